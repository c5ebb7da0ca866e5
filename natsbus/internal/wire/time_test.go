package wire_test

import (
	"math"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// TestTruncateTime_FarAway: what 64 bits of microseconds cannot hold stays on its side of
// the present. A deadline that means never came out as one that had passed.
func TestTruncateTime_FarAway(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		is    time.Time
		after bool
	}{
		"the end of time": {time.Unix(math.MaxInt64-62135596801, 0), true},
		"beyond 64 bits":  {time.Unix(math.MaxInt64/1_000_000+1, 0), true},
		"long ago":        {time.Unix(-math.MaxInt64/1_000_000-1, 0), false},
	} {
		got := wire.TruncateTime(c.is)
		if got.After(now) != c.after || got.Year() < 1 || got.Year() > 9999 {
			t.Errorf("%s: %v", name, got)
		}
	}
}
