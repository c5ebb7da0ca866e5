package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// What cannot be sent, although the streams are there and others can be sent, is parked
// after a bound, alone. What the same target is sent later is parked behind it, so that
// its order is kept, and the relay goes on with all others. The relay tries again by
// itself what is parked so, in order, as an operator's retry does ([Release]).
//
// That a target is held is in the records alone. A relay reads them when it begins, and
// those of one target before it parks something more for it:
//
//	relay                                  whoever releases
//	                                       lists: command 1
//	lists: command 1, so the target is     sends 1
//	  held                                 takes 1 off
//	parks 2                                lists: 2, or nothing
//	                                       sends 2, or leaves it to the next time
//	lists: nothing, or command 2           takes 2 off
//	sends 3, behind 2; or parks it
//
// A record is taken off after its command is stored, so that whoever finds no record
// sends behind it. Two that release the same send each command twice, the first time in
// order, under the same id.
//
// A relay that dies behind the parking does all of that again. What is parked already is
// left as it is: its place in the order is its time.
type relayUnsent struct {
	mu   sync.Mutex
	held map[store.Aggregate]lastUnsent
}

// lastUnsent is what was parked last for a target.
type lastUnsent struct {
	id string
	at time.Time
}

// WaitsUnsent is why a parked command waits that could not be sent to its aggregate, or
// waits behind such a one.
const WaitsUnsent actor.Code = "unsent"

// parkedTimer is what a parked command has besides if it is a timer that is to be set.
type parkedTimer struct {
	Order int64 `json:"order"`
}

// loadHeld reads which targets and which histories are held.
func (s *relaying) loadHeld(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, heldTimeouts*s.cfg.Timeout)
	defer cancel()
	targets := map[store.Aggregate]lastUnsent{}
	s.held, s.tried = map[store.Aggregate]*heldNow{}, time.Now()
	for p, err := range s.store.ListParked(ctx, "") {
		if errors.Is(err, store.ErrCorrupt) {
			s.cfg.Logger.ErrorContext(ctx, "a parked record cannot be read", "aggregate", p.Aggregate, "command_id", p.CommandID, "error", err)
			if p.CommandID == heldHistoryID { // from where on, the event stream tells
				s.held[p.Aggregate] = &heldNow{heldHistory: heldHistory{Stream: s.stream, From: 1}, reason: "its record could not be read", since: time.Now()}
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("relay: what is parked: %w", err)
		}
		if ParkedWaits(&p) == WaitsUnsent {
			targets[p.Aggregate] = lastUnsent{p.CommandID, p.Time}
		}
		s.findHeld(&p)
	}
	s.unsent.mu.Lock()
	maps.Copy(s.unsent.held, targets) // what was parked since the list was read, stays; what is not there any more, resend finds out
	s.unsent.mu.Unlock()
	s.countHeld()
	s.countHistories()
	return nil
}

// heldTimeouts is for how many times RelayConfig.Timeout all that is parked may be read:
// a list may be long.
const heldTimeouts = 6

func (r *Relay) countHeld() {
	r.unsent.mu.Lock()
	targets := len(r.unsent.held)
	r.unsent.mu.Unlock()
	r.progress.mu.Lock()
	r.progress.heldTargets = targets
	r.progress.mu.Unlock()
}

// isHeld reports whether something waits that is to be sent to the target before, and
// when the last of it was parked. What was parked last is released last.
func (r *Relay) isHeld(ctx context.Context, target store.Aggregate) (at time.Time, held bool, err error) {
	r.unsent.mu.Lock()
	last, held := r.unsent.held[target]
	r.unsent.mu.Unlock()
	if !held {
		return at, false, nil
	}
	p, found, err := r.store.FindParked(ctx, target, last.id)
	if err == nil && found && ParkedWaits(&p) == WaitsUnsent {
		return last.at, true, nil
	}
	waiting, err := unsentOf(ctx, r.store, target)
	if err != nil {
		return at, false, err
	}
	if n := len(waiting); n > 0 {
		return waiting[n-1].Time, true, nil
	}
	r.unsent.mu.Lock()
	if r.unsent.held[target] == last { // nothing was parked since the list was read
		delete(r.unsent.held, target)
	}
	r.unsent.mu.Unlock()
	r.countHeld()
	return at, false, nil
}

// unsentOf returns what is parked for a target as it could not be sent, oldest first.
func unsentOf(ctx context.Context, s store.Parking, target store.Aggregate) (waiting []store.Parked, err error) {
	for p, err := range s.ListParked(ctx, target) {
		if errors.Is(err, store.ErrCorrupt) {
			continue // nothing can be sent of it
		}
		if err != nil {
			return nil, fmt.Errorf("what waits for %q: %w", target, err)
		}
		if ParkedWaits(&p) == WaitsUnsent {
			waiting = append(waiting, p)
		}
	}
	return waiting, nil
}

// hold parks what cannot be sent, or is not to be sent before what is parked. last is
// when the last thing was parked for the target.
func (s *relaying) hold(ctx context.Context, o *outgoing, last time.Time, why string) error {
	m := o.Message(o.committed)
	record := recordOf(&m, WaitsUnsent)
	if o.Timer != "" {
		record.Set = &parkedTimer{Order: o.order}
	}
	return s.holdMessage(ctx, &m, record.encode(), last, why)
}

func (r *Relay) holdMessage(ctx context.Context, m *actor.Message, record []byte, last time.Time, why string) error {
	target := store.Aggregate(m.Target.String())
	at := time.Now()
	if !at.After(last) {
		at = last.Add(time.Millisecond)
	}
	err := r.parkNew(ctx, store.Parked{
		Aggregate: target, CommandID: string(m.ID), Name: m.Name, Reason: shorten(why, parkedReasonMax), Attempts: 1,
		Time: at, Message: record,
	}, m.Target.Kind)
	if err != nil {
		return err
	}
	r.unsent.mu.Lock()
	r.unsent.held[target] = lastUnsent{string(m.ID), at}
	r.unsent.mu.Unlock()
	r.countHeld()
	return nil
}

// parkNew parks what is not parked yet, once there is room. A record that there is, of
// this or of an owner that has read the command meanwhile, stays.
func (r *Relay) parkNew(ctx context.Context, p store.Parked, kind actor.Kind) error {
	_, found, err := r.store.FindParked(ctx, p.Aggregate, p.CommandID)
	if errors.Is(err, store.ErrCorrupt) {
		found, err = true, nil
	}
	if err != nil || found {
		return orNil("find what is parked", err)
	}
	if err := r.awaitParkingRoom(ctx, &p); err != nil {
		return err
	}
	if err := r.store.Park(ctx, p); err != nil {
		return fmt.Errorf("park what cannot be sent: %w", err)
	}
	r.cfg.Logger.ErrorContext(ctx, "parked: it cannot be sent", "target", p.Aggregate, "name", p.Name, "command_id", p.CommandID, "reason", p.Reason)
	if f := r.cfg.Listener.Parked; f != nil {
		f(kind)
	}
	return nil
}

func orNil(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// awaitParkingRoom waits until fewer commands are parked than may be. Nothing is dropped
// to make room: the relay stands still.
func (r *Relay) awaitParkingRoom(ctx context.Context, p *store.Parked) error {
	waits := false
	defer func() {
		if waits {
			r.progress.awaitRoom(-1)
		}
	}()
	var logged time.Time
	for {
		n, err := r.store.CountParked(ctx, r.cfg.ParkedMax)
		if err != nil || n < r.cfg.ParkedMax {
			return orNil("count what is parked", err)
		}
		if now := time.Now(); now.Sub(logged) >= fullRepeat {
			logged = now
			r.cfg.Logger.ErrorContext(ctx, "as many commands are parked as may be: the relay stands still until an operator retries or skips some",
				"parked", n, "target", p.Aggregate, "name", p.Name, "command_id", p.CommandID, "reason", p.Reason)
		}
		if !waits {
			waits = true
			r.progress.awaitRoom(1)
		}
		if sleep(ctx, fullPause); ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

func (p *relayProgress) awaitRoom(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.awaitingRoom += n
}

// resend tries what is parked as it could not be sent, until ctx ends.
func (r *Relay) resend(ctx context.Context) {
	for pause := r.cfg.ResendEvery; ; {
		if sleep(ctx, pause); ctx.Err() != nil {
			return
		}
		began := time.Now()
		r.unsent.mu.Lock()
		targets := slices.Sorted(maps.Keys(r.unsent.held))
		r.unsent.mu.Unlock()
		for _, target := range targets {
			err := Release(ctx, r.store, r.outbox, target, resendTimeout)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				r.cfg.Logger.DebugContext(ctx, "what could not be sent cannot be sent still", "target", target, "error", err)
			} else if _, _, err := r.isHeld(ctx, target); err != nil {
				r.cfg.Logger.DebugContext(ctx, "what waits for a target is not known", "target", target, "error", err)
			}
		}
		pause = max(r.cfg.ResendEvery, 2*time.Since(began))
	}
}

// resendTimeout bounds one try of what could not be sent before.
const resendTimeout = 2 * time.Second

// Release sends what is parked for a target as it could not be sent, in order, and takes
// it off the list. It ends with an error at what cannot be sent still. Each try is bounded
// by timeout. More than one may do so, beside the relay.
func Release(ctx context.Context, s store.Parking, outbox Outbox, target store.Aggregate, timeout time.Duration) error {
	for {
		waiting, err := unsentOf(ctx, s, target)
		if err != nil || len(waiting) == 0 {
			return err
		}
		for i := range waiting {
			if err := release(ctx, s, outbox, &waiting[i], timeout); err != nil {
				return fmt.Errorf("release %s of %q: %w", waiting[i].CommandID, target, err)
			}
		}
	}
}

func release(ctx context.Context, s store.Parking, outbox Outbox, p *store.Parked, timeout time.Duration) error {
	m, err := ParkedMessage(p)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if timer, ok := timerToSet(p); ok {
		err = outbox.SetTimer(bounded, m, m.Timer, timer.Order)
	} else {
		err = outbox.Send(bounded, m)
	}
	if never, ok := errors.AsType[*actor.Error](err); ok && ctx.Err() == nil { // nothing waits behind that
		p.Reason, p.Message = cannotBeSent(never), encodeParked(&m, actor.CodeOK)
		return s.Park(ctx, *p)
	}
	if err != nil {
		return err
	}
	return s.Unpark(ctx, p.Aggregate, p.CommandID)
}

func cannotBeSent(why *actor.Error) string {
	return shorten("it could not be sent: "+why.Error(), parkedReasonMax)
}

// timerToSet returns what a parked command has besides if it is a timer to be set.
func timerToSet(p *store.Parked) (parkedTimer, bool) {
	var r struct {
		Set *parkedTimer `json:"set"`
	}
	if json.Unmarshal(p.Message, &r) != nil || r.Set == nil {
		return parkedTimer{}, false
	}
	return *r.Set, true
}
