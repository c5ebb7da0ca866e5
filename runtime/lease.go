package runtime

import (
	"math"
	"sync/atomic"
	"time"
)

// lease says whether the node may answer. It is valid for a fixed time from
// when the last renewal that succeeded was sent, on the node's own clock.
type lease struct {
	clock Clock
	ttl   time.Duration
	until atomic.Int64 // Elapsed at which it lapses
	whole atomic.Int64 // Elapsed since which it has not lapsed
}

func newLease(clock Clock, ttl time.Duration) *lease {
	l := &lease{clock: clock, ttl: ttl}
	l.revoke()
	return l
}

// renewed records a renewal that succeeded and was sent at the given Elapsed.
func (l *lease) renewed(sent time.Duration) {
	if now := int64(l.clock.Elapsed()); now >= l.until.Load() {
		l.whole.Store(now)
	}
	l.until.Store(int64(sent + l.ttl))
}

// revoke ends the lease until it is renewed.
func (l *lease) revoke() { l.until.Store(math.MinInt64) }

func (l *lease) valid() bool { return int64(l.clock.Elapsed()) < l.until.Load() }

// unbroken returns the Elapsed since which the lease has been valid without a
// gap; ok is false when it is not valid.
func (l *lease) unbroken() (since time.Duration, ok bool) {
	return time.Duration(l.whole.Load()), l.valid()
}
