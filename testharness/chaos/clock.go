package chaos

import (
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

// shiftEvery is how often a node looks for a new shift of its clock.
const shiftEvery = 20 * time.Millisecond

// shiftedClock is a node's clock, whose wall time another process moves by writing
// nanoseconds into a file. Elapsed time is left alone: nothing but a hypervisor
// can make that jump. It implements runtime.Clock.
type shiftedClock struct {
	start time.Time
	shift atomic.Int64
}

// newShiftedClock reads the file for as long as the process lives.
func newShiftedClock(file string) *shiftedClock {
	c := &shiftedClock{start: time.Now()}
	go func() {
		for range time.Tick(shiftEvery) {
			data, err := os.ReadFile(file)
			if err != nil {
				continue // not written yet
			}
			if n, err := strconv.ParseInt(string(data), 10, 64); err == nil {
				c.shift.Store(n)
			}
		}
	}()
	return c
}

// Now returns the shifted wall time.
func (c *shiftedClock) Now() time.Time {
	return time.Now().Round(0).Add(time.Duration(c.shift.Load()))
}

// Elapsed returns the time since the process began to count. It goes on while the
// process is stopped by a signal, which is all that happens to it here.
func (c *shiftedClock) Elapsed() time.Duration { return time.Since(c.start) }

// writeShift moves the clocks that read the file. The rename makes it one step.
func writeShift(file string, d time.Duration) error {
	next := file + ".next"
	if err := os.WriteFile(next, []byte(strconv.FormatInt(int64(d), 10)), 0o600); err != nil {
		return err
	}
	return os.Rename(next, file)
}
