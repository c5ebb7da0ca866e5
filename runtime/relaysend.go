package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// relaySends bounds the commands that are on their way at once.
const relaySends = 64

// outgoing is one thing that a commit sends, or does to a timer.
type outgoing struct {
	actor.Outgoing
	committed time.Time
	order     int64 // of what is done to the same timer
}

// sending is what a batch of commits sends, by target: what is for one aggregate
// goes out one after another.
type sending struct {
	targets map[actor.Address][]outgoing
	order   []actor.Address // of their first
	timers  map[timerKey]int
}

type timerKey struct {
	of   actor.Address
	name string
}

func newSending() *sending {
	return &sending{targets: map[actor.Address][]outgoing{}, timers: map[timerKey]int{}}
}

// add adds what comes after all that was added before. Of what is done to one timer
// only the last counts: what came before is replaced already.
func (s *sending) add(o outgoing) {
	list, ok := s.targets[o.To]
	if !ok {
		s.order = append(s.order, o.To)
	}
	if o.Timer != "" {
		key := timerKey{o.To, o.Timer}
		if i, ok := s.timers[key]; ok {
			list[i] = o
			return
		}
		s.timers[key] = len(list)
	}
	s.targets[o.To] = append(list, o)
}

// collect adds what a commit sends. What cannot be understood, nobody can send: it is
// parked, and holds up nothing that comes after it.
func (s *relaying) collect(ctx context.Context, to *sending, c *store.Commit) error {
	for i := range c.Out {
		o, err := outgoingOf(c.Aggregate, &c.Out[i])
		if err != nil {
			if err := s.keepUnsendable(ctx, c, &c.Out[i], err); err != nil {
				return err
			}
			continue
		}
		if o.Timer == "" && !o.At.IsZero() {
			o.Timer = c.Out[i].ID // a timer of its own
		}
		to.add(outgoing{Outgoing: o, committed: time.UnixMicro(c.Time).UTC(), order: c.Time})
	}
	return nil
}

// send brings everything out, and returns when it is stored.
func (s *relaying) send(ctx context.Context, all *sending) error {
	if len(all.order) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var targets sync.WaitGroup
	slots := make(chan struct{}, relaySends)
	for _, to := range all.order {
		slots <- struct{}{}
		targets.Go(func() {
			defer func() { <-slots }()
			for i := range all.targets[to] {
				if err := s.sendOne(ctx, &all.targets[to][i]); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	targets.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("relay: %w", context.Cause(ctx))
	}
	return nil
}

// sendOne brings one thing out, or parks it: at once if no try can succeed, behind what
// waits for its target already, or when it could not be sent for SendTimeout.
func (s *relaying) sendOne(ctx context.Context, o *outgoing) error {
	if o.Name == "" {
		return s.cancelTimer(ctx, o)
	}
	if last, held, err := s.isHeld(ctx, store.Aggregate(o.To.String())); err != nil || held {
		if err == nil {
			err = s.hold(ctx, o, last, "it waits behind what could not be sent to the same aggregate")
		}
		return err
	}
	m := o.Message(o.committed)
	err := s.insist(ctx, func(ctx context.Context) error {
		if o.Timer == "" {
			return s.outbox.Send(ctx, m)
		}
		return s.outbox.SetTimer(ctx, m, o.Timer, o.order)
	})
	if ctx.Err() != nil || err == nil {
		return err
	}
	if never, ok := errors.AsType[*actor.Error](err); ok {
		return s.parkFinal(ctx, &m, never)
	}
	return s.hold(ctx, o, time.Time{}, fmt.Sprintf("it could not be sent for %v: %v", s.cfg.SendTimeout, err))
}

// cancelTimer gives up after a while: the aggregate knows which timers it has, and one
// that fires although it was cancelled has no effect.
func (s *relaying) cancelTimer(ctx context.Context, o *outgoing) error {
	err := s.insist(ctx, func(ctx context.Context) error { return s.outbox.CancelTimer(ctx, o.To, o.Timer, o.order) })
	if err == nil || ctx.Err() != nil {
		return err
	}
	s.cfg.Logger.ErrorContext(ctx, "a timer cannot be removed: it may fire, and has no effect then", "aggregate", o.To.String(), "timer", o.Timer, "error", err)
	return nil
}

// errSendTimeout ends the tries to send something.
var errSendTimeout = errors.New("not sent in time")

// insist tries until send succeeds, or ctx ends, or no try can succeed, or none did for
// SendTimeout, and one more try after the streams were found to be there: a process that
// stood still has not tried for as long as its clock says. While the streams are away, or
// take nothing from anybody, it goes on trying.
func (s *relaying) insist(ctx context.Context, send func(context.Context) error) error {
	const last = 5 * time.Second // of the last try, at most
	for {
		err := tryFor(ctx, s.cfg.SendTimeout, send)
		if isFinal(ctx, err) {
			return err
		}
		if ofStream(err) || s.streamsAway(ctx) {
			continue
		}
		if err = tryFor(ctx, min(last, s.cfg.SendTimeout), send); isFinal(ctx, err) || !ofStream(err) {
			return err
		}
	}
}

func isFinal(ctx context.Context, err error) bool {
	_, never := errors.AsType[*actor.Error](err)
	return err == nil || never || ctx.Err() != nil
}

// ofStream reports whether the stream refuses every message at present.
func ofStream(err error) bool {
	of, ok := errors.AsType[interface {
		error
		OfStream() bool
	}](err)
	return ok && of.OfStream()
}

// tryFor tries for so long.
func tryFor(ctx context.Context, d time.Duration, send func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d, errSendTimeout)
	defer cancel()
	for wait := relayMinPause; ; wait = min(2*wait, relayMaxPause) {
		err := send(ctx)
		if isFinal(ctx, err) {
			return err
		}
		if sleep(ctx, wait); ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// streamsAway reports whether the streams of commands and timers are not there, or others.
func (s *relaying) streamsAway(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	outgoing, err := s.outgoingNow(ctx)
	return err != nil || outgoing != s.outgoing
}
