package chaos

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// clockEvery is how often a node looks for a new setting of its clock.
const clockEvery = 20 * time.Millisecond

// clockSetting is what is wrong with a node's clock. The zero value is nothing.
type clockSetting struct {
	shift  time.Duration // of wall time, from the machine's
	halted bool          // wall time and elapsed time stand still
}

// brokenClock is a node's clock, which another process breaks by writing a setting
// into a file. A clock that was halted goes on from where it stood, as that of a
// guest does which a hypervisor has stopped: all the time is missing. It implements
// runtime.Clock.
type brokenClock struct {
	start time.Time

	mu      sync.Mutex
	setting clockSetting
	stands  time.Duration // elapsed time at which it was halted
	lag     time.Duration // time that it has missed
}

// newBrokenClock reads the file for as long as the process lives.
func newBrokenClock(file string) *brokenClock {
	c := &brokenClock{start: time.Now()}
	go func() {
		for range time.Tick(clockEvery) {
			data, err := os.ReadFile(file)
			if err != nil {
				continue // not written yet
			}
			var s clockSetting
			if _, err := fmt.Sscan(string(data), (*int64)(&s.shift), &s.halted); err == nil {
				c.set(s)
			}
		}
	}()
	return c
}

func (c *brokenClock) set(s clockSetting) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch elapsed := c.elapsedLocked(); {
	case s.halted && !c.setting.halted:
		c.stands = elapsed
	case !s.halted && c.setting.halted:
		c.lag = time.Since(c.start) - c.stands
	}
	c.setting = s
}

func (c *brokenClock) elapsedLocked() time.Duration {
	if c.setting.halted {
		return c.stands
	}
	return time.Since(c.start) - c.lag
}

// Now returns the shifted wall time.
func (c *brokenClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.start.Round(0).Add(c.elapsedLocked() + c.setting.shift)
}

// Elapsed returns the time since the process began to count, less what the clock
// has missed. It goes on while the process is stopped by a signal.
func (c *brokenClock) Elapsed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.elapsedLocked()
}

// write sets the clocks that read the file. The rename makes it one step.
func (s clockSetting) write(file string) error {
	next := file + ".next"
	if err := os.WriteFile(next, fmt.Appendf(nil, "%d %t", int64(s.shift), s.halted), 0o600); err != nil {
		return err
	}
	return os.Rename(next, file)
}
