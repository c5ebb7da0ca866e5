package runtime

import (
	"sync/atomic"
	"time"
)

// Clock tells the time to a node.
type Clock interface {
	// Now returns wall time. It stamps commits and judges deadlines of messages;
	// nothing that safety rests on.
	Now() time.Time
	// Elapsed returns the time since some fixed instant. It never goes back, and
	// on Linux goes on while the machine is suspended. Leases are measured with it.
	Elapsed() time.Duration
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

// hybridClock stamps commits: microseconds of wall time, but always growing.
// (Kulkarni et al., Logical Physical Clocks, 2014, in one 64-bit word.)
type hybridClock struct {
	wall Clock
	last atomic.Int64
}

// after returns a time that is later than any returned before and than floor.
func (h *hybridClock) after(floor int64) int64 {
	for {
		last := h.last.Load()
		next := max(h.wall.Now().UnixMicro(), last+1, floor+1)
		if h.last.CompareAndSwap(last, next) {
			return next
		}
	}
}
