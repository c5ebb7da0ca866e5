package runtime

import (
	"math"
	"sync/atomic"
	"time"
)

// lease says whether the node may answer. Until when is the machine's decision
// (internal/placement); it is kept here for those who ask at every answer.
type lease struct {
	clock Clock
	until atomic.Int64 // Elapsed at which it lapses
}

func newLease(clock Clock) *lease {
	l := &lease{clock: clock}
	l.set(math.MinInt64)
	return l
}

func (l *lease) set(until time.Duration) { l.until.Store(int64(until)) }

func (l *lease) valid() bool { return l.validAt(l.clock.Elapsed()) }

// validAt reports whether the lease is valid at a time that the clock has just shown.
func (l *lease) validAt(now time.Duration) bool { return int64(now) < l.until.Load() }
