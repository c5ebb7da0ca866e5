package natsbus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
)

const (
	// eventWindow is the number of events on the way to one reader.
	eventWindow = 2048

	// eventsLook is the time between two looks at the event stream for whether
	// events were removed that a reader has not had.
	eventsLook = 5 * time.Second

	// progressEvery is how many events a reader passes over at most before it says so.
	progressEvery = 1024
)

// EventsHead returns the incarnation of the event stream that there is now, and the
// position of its newest event, 0 before the first. Positions of two incarnations
// cannot be compared. The error wraps [ErrEventsLost] when there is no stream.
func (b *Bus) EventsHead(ctx context.Context) (incarnation string, last uint64, err error) {
	s, err := b.events(ctx)
	if err != nil {
		return "", 0, fmt.Errorf("end of events: %w", eventsLost(err))
	}
	return s.incarnation, s.last, nil
}

// Events yields the events behind a position that the filter selects, in order, each
// once, and waits for more until ctx ends; then it ends without an error. It survives
// lost connections and changes of leaders, for as long as they take.
//
// It ends with an error that wraps [ErrEventsLost] when the stream is not the
// filter's, or not the one that it began with any more; with [ErrEventsTrimmed] when
// events behind the position have been removed from the stream, which it finds out with
// the next event or within five seconds; with [ErrForeignStream] when it meets a message
// that is no event; and with [nats.ErrConnectionClosed]. In the first two cases the
// reader begins anew from the store, or from position 0.
//
// All readers of a bus share one consumer for the newest 16,384 events, or 16 MiB,
// whatever they select; one that is farther behind has a consumer of its own until it
// has come near, with up to 2,048 events and 8 MiB on the way. The data of an event is
// shared by all readers. It runs on the goroutine of its caller.
func (b *Bus) Events(ctx context.Context, filter actor.EventFilter, after uint64) iter.Seq2[actor.EventRecord, error] {
	return func(yield func(actor.EventRecord, error) bool) {
		b.tail.join(ctx)
		defer b.tail.leave()
		r := &eventReader{bus: b, shares: true, filter: filter, stream: filter.Stream, cursor: after, yield: yield}
		if err := r.run(ctx); err != nil && ctx.Err() == nil && !r.stopped {
			yield(actor.EventRecord{}, fmt.Errorf("read events: %w", err))
		}
	}
}

// EventNames yields the events of an incarnation of the stream from the first one that
// it still has up to a position, in order, without their data, and then ends. Errors
// are those of [Bus.Events].
func (b *Bus) EventNames(ctx context.Context, stream string, upTo uint64) iter.Seq2[actor.EventRecord, error] {
	return func(yield func(actor.EventRecord, error) bool) {
		s, err := b.events(ctx)
		if err == nil && s.incarnation != stream {
			err = fmt.Errorf("incarnation %s has become %s: %w", stream, s.incarnation, ErrStreamLost)
		}
		if err != nil {
			yield(actor.EventRecord{}, fmt.Errorf("read events: %w", eventsLost(err)))
			return
		}
		upTo = min(upTo, s.last)
		if s.first > upTo {
			return
		}
		r := &eventReader{bus: b, bare: true, stream: stream, cursor: s.first - 1}
		r.yield = func(e actor.EventRecord, err error) bool {
			return yield(e, err) && e.Position < upTo
		}
		if err := r.run(ctx); err != nil && ctx.Err() == nil && !r.stopped {
			yield(actor.EventRecord{}, fmt.Errorf("read events: %w", err))
		}
	}
}

func eventsLost(err error) error {
	if errors.Is(err, ErrNotProvisioned) || errors.Is(err, ErrStreamLost) {
		return fmt.Errorf("%w: %w", ErrEventsLost, err)
	}
	return err
}

// eventReader is one call of Events.
type eventReader struct {
	bus        *Bus
	filter     actor.EventFilter
	partitions map[actor.Partition]bool // of the filter; nil: all
	kinds      map[actor.Kind]bool      // of the filter; nil: all
	shares     bool                     // reads from the tail where that is enough
	bare       bool                     // headers only
	yield      func(actor.EventRecord, error) bool
	stopped    bool // yield has returned false
	passed     int  // events passed over since the last that was yielded

	stream string              // incarnation; empty before the first look without one in the filter
	cursor uint64              // all selected events up to here have been yielded
	recent []actor.EventRecord // what was taken from the tail
	feed   *feed

	lookAt time.Time // when to look at the stream again
	looked uint64    // cursor at the last look
}

// run yields events until ctx ends, the caller stops, or it cannot go on.
func (r *eventReader) run(ctx context.Context) error {
	if r.filter.Partitions != nil && len(r.filter.Partitions) == 0 || r.filter.Kinds != nil && len(r.filter.Kinds) == 0 || r.cursor == math.MaxUint64 {
		<-ctx.Done() // it selects nothing, or nothing can follow
		return nil
	}
	r.prepare()
	status := r.bus.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer r.bus.nc.RemoveStatusListener(status)
	defer r.close()
	for ctx.Err() == nil {
		if l := r.near(ctx); l != nil {
			if r.share(ctx, l); r.stopped {
				return nil
			}
			continue
		}
		if err := r.open(ctx, status); err != nil {
			return err
		}
		if r.feed == nil {
			return nil // ctx has ended before there was a consumer
		}
		err := r.consume(ctx, status)
		switch {
		case r.stopped || ctx.Err() != nil:
			return nil
		case errors.Is(err, errNear):
			r.close()
			continue
		case r.bus.nc.IsClosed():
			return nats.ErrConnectionClosed
		case errors.Is(err, ErrEventsTrimmed), errors.Is(err, ErrEventsLost), errors.Is(err, ErrForeignStream):
			return err
		}
		r.bus.cfg.Logger.DebugContext(ctx, "event consumer reset", slog.Any("cause", err))
		r.close()
	}
	return nil
}

// errNear ends a reader's own consumer, as the tail has what follows.
var errNear = errors.New("the tail has what follows")

// near returns the log of the tail if that has everything that follows the cursor.
func (r *eventReader) near(ctx context.Context) *recent {
	if !r.shares {
		return nil
	}
	l := r.bus.tail.present()
	if l == nil {
		return nil
	}
	l.await(ctx)
	stream, ok := l.covers(r.stream, r.cursor)
	if !ok {
		return nil
	}
	r.stream = stream
	return l
}

// share yields from the log until ctx ends, the caller stops, or the log lacks what
// follows.
func (r *eventReader) share(ctx context.Context, l *recent) {
	if r.recent == nil {
		r.recent = make([]actor.EventRecord, tailBatch)
	}
	for !r.stopped && ctx.Err() == nil {
		n, grown, ok := l.next(r.stream, r.cursor, r.recent)
		if !ok {
			return
		}
		for i := 0; i < n && !r.stopped; i++ {
			r.hand(&r.recent[i])
			r.recent[i] = actor.EventRecord{}
		}
		r.tell()
		if n > 0 {
			continue
		}
		select {
		case <-grown:
		case <-ctx.Done():
		}
	}
}

// prepare makes sets of what the filter selects.
func (r *eventReader) prepare() {
	if r.filter.Partitions != nil {
		r.partitions = make(map[actor.Partition]bool, len(r.filter.Partitions))
		for _, p := range r.filter.Partitions {
			r.partitions[p] = true
		}
	}
	if r.filter.Kinds != nil {
		r.kinds = make(map[actor.Kind]bool, len(r.filter.Kinds))
		for _, k := range r.filter.Kinds {
			r.kinds[k] = true
		}
	}
}

func (r *eventReader) close() {
	if r.feed != nil {
		r.cursor = max(r.cursor, r.feed.flow.Reached())
		r.feed.close()
		r.feed = nil
	}
}

// open makes a consumer that goes on behind the cursor. It tries for as long as it
// makes sense to. Without one there is an error, also when ctx has ended.
func (r *eventReader) open(ctx context.Context, status <-chan nats.Status) error {
	var lostSince time.Time
	wait, patience := reopenMinPause, beginPatience
	for ; ; wait, patience = min(2*wait, reopenMaxPause), min(2*patience, reopenTimeout) {
		forget(status)
		err := r.openWithin(ctx, patience)
		switch {
		case err == nil, ctx.Err() != nil:
			return err
		case r.bus.nc.IsClosed():
			return nats.ErrConnectionClosed
		case errors.Is(err, ErrEventsTrimmed), errors.Is(err, ErrForeignStream):
			return err
		case errors.Is(err, ErrNotProvisioned): // a server that just starts says so, too
			if lostSince.IsZero() {
				lostSince = time.Now()
			}
			if time.Since(lostSince) >= lossGrace {
				return eventsLost(err)
			}
		case errors.Is(err, ErrStreamLost):
			return eventsLost(err)
		default:
			lostSince = time.Time{}
		}
		if !pause(ctx, wait+rand.N(wait)) {
			return context.Cause(ctx)
		}
	}
}

func (r *eventReader) openWithin(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if r.stream == "" {
		s, err := r.bus.events(ctx)
		if err != nil {
			return err
		}
		r.stream = s.incarnation
	}
	f, err := r.bus.openFeed(ctx, feedConfig{
		of: r.bus.ns.EventStream(), bare: r.bare, name: "reader",
		stream: r.stream, start: r.cursor + 1, window: eventWindow,
	})
	if err != nil {
		return err
	}
	r.feed = f
	r.looked = r.cursor
	if err := r.look(ctx); err != nil {
		r.close()
		return err
	}
	return nil
}

// look makes sure that the stream still has, or had until the reader was there, what
// is behind the position of the last look.
//
// A consumer passes over what has been removed without a word. Say the reader is at
// 10 and busy, the stream is trimmed up to 20, and the consumer goes on with 21. The
// next look then finds that the stream begins with 21, behind the 10 of the look
// before, wherever the reader has got by then.
func (r *eventReader) look(ctx context.Context) error {
	s, err := r.bus.events(ctx)
	if err != nil {
		return err
	}
	if s.incarnation != r.stream {
		return fmt.Errorf("incarnation %s has become %s: %w", r.stream, s.incarnation, ErrStreamLost)
	}
	if s.first > r.looked+1 {
		return fmt.Errorf("events %d to %d are gone: %w", r.looked+1, s.first-1, ErrEventsTrimmed)
	}
	r.looked, r.lookAt = max(r.cursor, r.feed.flow.Reached()), time.Now().Add(eventsLook)
	return nil
}

// consume yields what comes for as long as the consumer is sound.
func (r *eventReader) consume(ctx context.Context, status <-chan nats.Status) error {
	tick := time.NewTicker(r.bus.cfg.Heartbeat)
	defer tick.Stop()
	for {
		var err error
		select {
		case msg := <-r.feed.msgs:
			err = r.take(msg)
			for run := 0; err == nil && !r.stopped && run < runLength && len(r.feed.msgs) > 0; run++ {
				err = r.take(<-r.feed.msgs)
			}
			if err == nil && len(r.feed.msgs) == 0 {
				r.tell()
			}
			if err == nil && r.near(ctx) != nil {
				err = errNear
			}
		case <-tick.C:
			err = r.tick(ctx)
		case <-status:
			err = errReconnected
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err != nil || r.stopped {
			return err
		}
	}
}

func (r *eventReader) tick(ctx context.Context) error {
	if err := r.feed.tick(); err != nil {
		return err
	}
	if time.Now().Before(r.lookAt) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, reopenTimeout)
	defer cancel()
	return r.look(ctx)
}

// take yields one event.
func (r *eventReader) take(msg *nats.Msg) error {
	sequence, err := r.feed.accept(msg)
	if err != nil || sequence == 0 || sequence <= r.cursor {
		return err
	}
	if sequence > r.cursor+1 { // each event has the next position
		return fmt.Errorf("events %d to %d are gone: %w", r.cursor+1, sequence-1, ErrEventsTrimmed)
	}
	e, err := r.bus.ns.DecodeEvent(msg.Subject, msg.Header, msg.Data)
	if err != nil {
		return fmt.Errorf("%w: position %d: %w", ErrForeignStream, sequence, err)
	}
	e.Position = sequence
	r.hand(&e)
	return nil
}

// hand yields an event if it is selected.
func (r *eventReader) hand(e *actor.EventRecord) {
	r.cursor = e.Position
	if r.partitions != nil && !r.partitions[e.Partition] || r.kinds != nil && !r.kinds[e.Source.Kind] {
		if r.passed++; r.passed >= progressEvery {
			r.tell()
		}
		return
	}
	r.passed = 0
	r.stopped = !r.yield(*e, nil)
}

// tell yields the position if the events before it were passed over, and somebody
// wants to know.
func (r *eventReader) tell() {
	if !r.filter.Progress || r.passed == 0 || r.stopped {
		return
	}
	r.passed = 0
	r.stopped = !r.yield(actor.EventRecord{Position: r.cursor}, nil)
}
