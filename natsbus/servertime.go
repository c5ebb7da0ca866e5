package natsbus

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

const (
	// serverTimeFor is how long a measurement of the server's time is good enough to
	// call a command late by.
	serverTimeFor = time.Second

	serverTimeTimeout = time.Second
)

// serverTime is what time it is by the leader of the command stream, whose clock stamps
// what is stored there: how long a command has waited in the stream is the difference of
// two readings of that one clock. No other clock is compared with it, but for the time
// that passes here since it was read.
//
// Another leader may have another clock. So no command is called late by a measurement
// that is not fresh (docs/adr/0037-whose-clock-decides.md).
type serverTime struct {
	origin time.Time // elapsed time is counted from here

	measuring chan struct{} // capacity 1: full while the server is asked

	mu    sync.Mutex
	known bool
	base  int64 // the server's time at the origin, at the earliest, in nanoseconds since 1970
	tried bool
	asked time.Duration // elapsed time when the server was asked last, with or without an answer
}

func newServerTime() *serverTime {
	return &serverTime{origin: time.Now(), measuring: make(chan struct{}, 1)}
}

// answered takes in what the leader said that its time is, to a question that was sent
// at that time.
func (s *serverTime) answered(sent time.Time, says time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.tried = sent.Sub(s.origin), true
	if s.known = !says.IsZero(); s.known {
		s.base = says.UnixNano() - int64(time.Since(s.origin)) // the answer took its time: not later than that
	}
}

// silent notes that the leader was asked and did not answer.
func (s *serverTime) silent(sent time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.tried, s.known = sent.Sub(s.origin), true, false
}

// age returns for how long, at the least, what was stored at a time has been stored, and
// whether that rests on a fresh measurement. It is less than 0 for what was stored while
// the leader answered, or by another clock. ok is false when the leader's time is not known.
func (s *serverTime) age(stored int64) (age time.Duration, fresh, ok bool) {
	now := time.Since(s.origin)
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(s.base + int64(now) - stored), s.tried && now-s.asked < serverTimeFor, s.known
}

// left returns the time until the deadline of a message that has arrived, for
// [actor.Delivery].
func (b *Bus) left(ctx context.Context, from origin, h nats.Header) (time.Duration, error) {
	patience, err := wire.Patience(h)
	if err != nil || patience == 0 {
		return 0, err //nolint:wrapcheck // it says what is malformed
	}
	if from.stored == 0 {
		return patience, nil
	}
	age, fresh, ok := b.time.age(from.stored)
	if odd := !ok || age >= patience || age < -serverTimeTimeout; odd && !fresh {
		age, ok = b.measuredAge(ctx, from.stored)
	}
	switch {
	case !ok:
		return patience, nil // nobody can tell: as if it had just been sent
	case age >= patience:
		return -1, nil
	default:
		return patience - max(age, 0), nil
	}
}

// measuredAge asks the leader what time it is, unless somebody else just has.
func (b *Bus) measuredAge(ctx context.Context, stored int64) (time.Duration, bool) {
	b.time.measuring <- struct{}{}
	defer func() { <-b.time.measuring }()
	age, fresh, ok := b.time.age(stored)
	if fresh {
		return age, ok
	}
	ctx, cancel := context.WithTimeout(ctx, serverTimeTimeout)
	defer cancel()
	sent := time.Now()
	if found, err := findStream(ctx, b.js, b.ns.Stream()); err == nil {
		b.time.answered(sent, found.CachedInfo().TimeStamp)
	} else {
		b.time.silent(sent)
	}
	age, _, ok = b.time.age(stored)
	return age, ok
}
