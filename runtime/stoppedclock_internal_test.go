package runtime

import (
	"time"
)

// stoppedClock stands still until it is set.
type stoppedClock struct {
	wall    time.Time
	elapsed time.Duration
}

func (c *stoppedClock) Now() time.Time         { return c.wall }
func (c *stoppedClock) Elapsed() time.Duration { return c.elapsed }
