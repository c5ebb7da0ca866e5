package runtime

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// newRand returns a source of randomness whose seed is printed, and taken from
// GANGLION_SEED when that is set.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("GANGLION_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("GANGLION_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("GANGLION_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// stoppedClock stands still until it is set.
type stoppedClock struct {
	wall    time.Time
	elapsed time.Duration
}

func (c *stoppedClock) Now() time.Time         { return c.wall }
func (c *stoppedClock) Elapsed() time.Duration { return c.elapsed }
