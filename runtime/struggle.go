package runtime

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// What the store does not do is asked of it again, without an end: the aggregate stands
// still meanwhile, and what waits behind it. So that people see it, such an aggregate is
// counted from some failures in a row on, and logged, at 8, 16, 32 of them and so on:
// after seconds, then after minutes.

// failuresUnseen is how often something is tried again before people see it.
const failuresUnseen = 8

// struggleLogEvery is the least time between two lines: while the store is gone, all
// aggregates are in the same trouble.
const struggleLogEvery = time.Second

// struggles are the aggregates of a node that the store fails again and again. The zero
// value is for use.
type struggles struct {
	count  atomic.Int64
	logged atomic.Int64 // Clock.Elapsed of the last line; 0: none
}

// level returns the level at which to log a failure, of which there were so many in a row.
func (s *struggles) level(now time.Duration, failures int) slog.Level {
	last := s.logged.Load()
	if failures < failuresUnseen || failures&(failures-1) != 0 || !due(time.Duration(last), now, struggleLogEvery) ||
		!s.logged.CompareAndSwap(last, int64(now)) {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// wrote notes how a write of the aggregate ended.
func (a *activation) wrote(err error) {
	if err == nil {
		if a.failures > 0 {
			a.struggle(false)
		}
		a.failures = 0
		return
	}
	a.failures++
	a.struggle(a.failures >= failuresUnseen)
	p := a.partition
	p.cfg.Logger.Log(p.ctx, p.memory.struggles.level(p.cfg.Clock.Elapsed(), a.failures), "a commit is not written, and decided and tried again",
		"aggregate", a.address.String(), "failures", a.failures, "struggling_aggregates", p.memory.struggles.count.Load(), "error", err)
}

// struggle leaves the count alone once the partition has stopped, as reweighLocked does.
func (a *activation) struggle(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.struggling == on || a.partition.ctx.Err() != nil {
		return
	}
	a.struggling = on
	if on {
		a.partition.memory.struggles.count.Add(1)
	} else {
		a.partition.memory.struggles.count.Add(-1)
	}
}
