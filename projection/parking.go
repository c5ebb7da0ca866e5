package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/ganglion-go/ganglion/actor"
)

// Bounds of what is kept of a failure, in bytes.
const (
	reasonMax = 4 << 10
	stackMax  = 16 << 10

	// inlineMax is the largest event that is kept with what is parked. A larger one is
	// read from the stream again.
	inlineMax = 256 << 10

	// retryBatch is how many parked events of a source are read at once.
	retryBatch = 256
)

// parkedNow returns a source that is parked, as the transaction has it so far.
func (a *attempt) parkedNow(source string) *parked {
	if p, changed := a.parked[source]; changed {
		return p
	}
	return a.slot.parked[source]
}

// parkNew parks the first event of a source.
func (a *attempt) parkNew(r *record, failure error) error {
	p := &parked{
		Source: r.Source.String(), Slot: uint32(a.slot.id), Event: r.Name, Version: uint64(r.Version), Position: r.Position,
		Since: a.slot.session.now(),
	}
	a.slot.judge(p, failure)
	return a.park(r, p)
}

// park adds an event to those of its source that wait.
func (a *attempt) park(r *record, was *parked) error {
	if a.next.Parked >= a.slot.session.engine.cfg.ParkedMax {
		return fmt.Errorf("partition %d of %s: %w", a.slot.id, a.slot.session.projection.name, ErrParkingFull)
	}
	p := *was
	p.Count++
	a.next.Parked++
	a.parked[p.Source] = &p
	e := newParkedEvent(r)
	if len(r.Data) > inlineMax {
		e.Data, e.Omitted = "", true
	}
	return a.tx.put(parkedEventsName, parkedEventKey(a.slot.id, p.Source, e.Version), e)
}

// judge notes a failure, and what comes of it.
func (sl *slot) judge(p *parked, failure error) {
	cfg := &sl.session.engine.cfg
	p.Attempts++
	p.Ask = ""
	p.Reason, p.Stack = cut(failure.Error(), reasonMax), ""
	if panicked, ok := errors.AsType[*panicError](failure); ok {
		p.Stack = cut(panicked.stack, stackMax)
	}
	if panicked, ok := errors.AsType[*actor.Panic](failure); ok {
		p.Stack = cut(string(panicked.Stack), stackMax)
	}
	p.State = ParkedRetrying
	if _, killed := errors.AsType[*killedError](failure); killed {
		p.State = ParkedWaiting // another try of its own accord would end this process, too
	} else if p.Attempts >= cfg.Attempts && !errors.Is(failure, actor.ErrUndecodable) {
		p.State = ParkedWaiting
	}
	pause := cfg.BackoffMax
	if shift := p.Attempts - 1; shift < 20 {
		pause = min(cfg.Backoff<<shift, cfg.BackoffMax)
	}
	p.Next = sl.session.now() + pause.Microseconds()
}

func cut(s string, most int) string {
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}

func (a *attempt) writeParked(source string, p *parked) error {
	var was Revision
	if known := a.slot.parked[source]; known != nil {
		was = known.revision
	}
	if p == nil {
		return a.tx.replace(parkedName, parkedKey(a.slot.id, source), nil, was)
	}
	return a.tx.replace(parkedName, parkedKey(a.slot.id, source), p, was)
}

// reloadParked takes what is parked from the storage: operators change it.
func (sl *slot) reloadParked(ctx context.Context) error {
	s := sl.session
	found := map[string]*parked{}
	for doc, err := range s.engine.store.List(ctx, s.place(parkedName), Range{Prefix: sl.id.key() + "/"}) {
		if err != nil {
			return fmt.Errorf("list parked: %w", err)
		}
		p, err := decodeParked(s.engine.store, doc)
		if err != nil {
			return err
		}
		found[p.Source] = &p
	}
	sl.parked = found
	sl.countParked()
	return nil
}

// reviewParked tries what is due.
func (sl *slot) reviewParked(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sl.session.engine.cfg.BatchTimeout)
	defer cancel()
	if err := sl.reloadParked(ctx); err != nil {
		return err
	}
	now := sl.session.now()
	due := make([]*parked, 0, len(sl.parked))
	for _, p := range sl.parked {
		if p.Ask != "" || p.State == ParkedRetrying && p.Next <= now {
			due = append(due, p)
		}
	}
	slices.SortFunc(due, func(a, b *parked) int { return strings.Compare(a.Source, b.Source) })
	for _, p := range due {
		if err := sl.retry(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// retry applies the events of a parked source that wait, in order, up to one that
// fails. As it changes the checkpoint like any other transaction, no event is put
// behind those that wait in the meantime.
func (sl *slot) retry(ctx context.Context, p *parked) error {
	source, err := actor.ParseAddress(p.Source)
	if err != nil {
		return fmt.Errorf("parked source: %w", err)
	}
	waiting, err := sl.waitingOf(ctx, p)
	if err != nil {
		return err
	}
	release, err := sl.bewareParked(ctx, source, p, waiting)
	if err != nil {
		return err
	}
	defer release()
	a := sl.attempt()
	defer a.tx.txn.Abort(ctx)
	a.gotOn()
	next := *p
	if next.Ask != "" {
		next.Attempts = 0
	}
	failed := false
	for i := range waiting {
		e := &waiting[i]
		if i > 0 && a.tx.bytes > sl.session.engine.cfg.BatchBytes {
			next.Event, next.Version, next.Position = e.Name, e.Version, e.Position
			break
		}
		if skip := i == 0 && p.Ask == askSkip; !skip {
			failure, err := a.again(ctx, source, e)
			if err != nil {
				return err
			}
			if failure != nil {
				if i > 0 {
					next.Attempts = 0
				}
				next.Event, next.Version, next.Position = e.Name, e.Version, e.Position
				sl.judge(&next, failure)
				failed = true
				break
			}
		}
		if err := a.tx.replace(parkedEventsName, parkedEventKey(sl.id, p.Source, e.Version), nil, e.revision); err != nil {
			return err
		}
		next.Count--
		a.next.Parked--
		next.Version = e.Version + 1 // at least; the next try says which
	}
	a.parked[p.Source] = &next
	if !failed {
		next.Ask, next.State, next.Next = "", ParkedRetrying, 0
		if next.Count <= 0 || len(waiting) == 0 {
			a.parked[p.Source] = nil
		}
	}
	if err := a.mark(ctx, p.Source); err != nil {
		return err
	}
	return sl.retried(p, waiting, a.finish(ctx))
}

// retried decides how what waits is to be tried again when its transaction did not succeed.
func (sl *slot) retried(p *parked, waiting []parkedEvent, err error) error {
	if errors.Is(err, ErrTooLarge) && len(waiting) > 0 {
		if len(waiting) == 1 {
			sl.failing[waiting[0].Position] = err
		}
		sl.limit = max(len(waiting)/2, 1)
		return errAgain
	}
	if sent, ok := errors.AsType[*sendError](err); ok && sent.final() {
		sl.failing[sent.event] = err
		return errAgain
	}
	if err == nil && len(waiting) > 0 {
		sl.relax(p.Source, waiting[0].Version, 0)
	}
	return err
}

// mark notes for those who wait for the view which event of a source is the first that
// is parked.
func (a *attempt) mark(ctx context.Context, source string) error {
	data, found, err := a.tx.load(ctx, appliedName, source)
	if err != nil || !found {
		return err
	}
	var now applied
	if err := a.tx.store.Unmarshal(data, &now); err != nil {
		return fmt.Errorf("decode what was applied of %s: %w", source, err)
	}
	now.Waits = 0
	if p := a.parked[source]; p != nil {
		now.Waits = p.Version
	}
	a.applied[source] = now
	return nil
}

// countParked is for gauges, and has the slot look at what is parked from time to time.
func (sl *slot) countParked() {
	stuck := 0
	for _, p := range sl.parked {
		if p.State == ParkedWaiting {
			stuck++
		}
	}
	sl.waiting.Store(int32(len(sl.parked))) //nolint:gosec // bounded by ParkedMax
	sl.stuck.Store(int32(stuck))            //nolint:gosec // bounded by ParkedMax
}

// report logs what has become of a source in a transaction that was committed. nil: it
// was not parked before, or is not parked any more.
func (sl *slot) report(ctx context.Context, was, is *parked) {
	cfg, name := &sl.session.engine.cfg, sl.session.projection.name
	log := func(level slog.Level, text string, p *parked) {
		cfg.Logger.LogAttrs(ctx, level, "parked events of an aggregate", slog.String("now", text), slog.String("projection", name), slog.String("aggregate", p.Source),
			slog.String("event", p.Event), slog.Uint64("version", p.Version), slog.Int("attempts", p.Attempts),
			slog.Int("events", p.Count), slog.String("reason", p.Reason))
	}
	switch {
	case is == nil && was != nil:
		log(slog.LevelInfo, "applied or skipped", was)
	case is == nil:
	case is.State == ParkedWaiting && (was == nil || was.State != ParkedWaiting):
		log(slog.LevelError, "they wait for an operator, who retries or skips the one that failed", is)
	case was == nil:
		log(slog.LevelWarn, "event failed: it is parked with those behind it, and tried again", is)
	}
	if f := cfg.Listener.Parked; f != nil && was == nil && is != nil {
		f(name, is.Source, is.Reason)
	}
}

// again runs the handlers of a parked event. The failure is the event's, err is not.
func (a *attempt) again(ctx context.Context, source actor.Address, e *parkedEvent) (failure, err error) {
	sl := a.slot
	if failure, known := sl.failing[e.Position]; known {
		delete(sl.failing, e.Position)
		return failure, nil
	}
	r := e.record(source)
	if e.Omitted {
		if r.Data, err = sl.session.fetch(ctx, &r); err != nil {
			return err, nil
		}
	}
	sent := a.tx.save()
	failure = sl.session.projection.call(ctx, a.tx, &r)
	if failure == nil {
		return nil, nil
	}
	if err := a.notItsFault(ctx, failure); err != nil {
		return nil, err
	}
	if a.tx.native {
		sl.failing[e.Position] = failure
		return nil, errAgain
	}
	a.tx.rollback(sent)
	return failure, nil
}

// waitingOf reads the first events of a parked source.
func (sl *slot) waitingOf(ctx context.Context, p *parked) ([]parkedEvent, error) {
	var waiting []parkedEvent
	s := sl.session
	which := Range{Prefix: parkedEventPrefix(sl.id, p.Source), Limit: min(retryBatch, sl.limit)}
	if sl.caution != nil && !sl.caution.unmarked {
		which.Limit = 1
	}
	for doc, err := range s.engine.store.List(ctx, s.place(parkedEventsName), which) {
		if err != nil {
			return nil, fmt.Errorf("list parked events: %w", err)
		}
		e := parkedEvent{revision: doc.Revision}
		if err := s.engine.store.Unmarshal(doc.Data, &e); err != nil {
			return nil, fmt.Errorf("decode parked event: %w", err)
		}
		waiting = append(waiting, e)
	}
	return waiting, nil
}

var errGone = errors.New("the event is too large to be kept, and the stream has it no more")

// fetch reads the data of an event that was too large to be kept.
func (s *session) fetch(ctx context.Context, r *record) ([]byte, error) {
	filter := actor.EventFilter{Stream: s.stream, Kinds: []actor.Kind{r.Source.Kind}}
	for e, err := range s.engine.source.Events(ctx, filter, r.Position-1) {
		if err != nil {
			return nil, fmt.Errorf("read event %d: %w", r.Position, err)
		}
		if e.Source != r.Source || e.Version != r.Version {
			return nil, errGone
		}
		return e.Data, nil
	}
	return nil, errGone
}
