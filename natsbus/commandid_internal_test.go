package natsbus

import (
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// TestClient_Identify: an id that a client has made was sent before, unless it is told
// otherwise; of a caller's key the client knows nothing.
func TestClient_Identify(t *testing.T) {
	t.Parallel()
	var c Client
	now := time.UnixMilli(1_800_000_000_123)
	var fresh actor.Message
	c.identify(&fresh, now)
	if ms, stamped := fresh.ID.Stamped(); !stamped || ms != now.UnixMilli() || fresh.Attempt > 1 {
		t.Errorf("made %s of %d, attempt %d", fresh.ID, ms, fresh.Attempt)
	}
	for name, m := range map[string]struct {
		actor.Message
		want int
	}{
		"comes back":     {actor.Message{ID: fresh.ID}, 2},
		"made just now":  {actor.Message{ID: fresh.ID, Attempt: 1}, 1},
		"a later one":    {actor.Message{ID: fresh.ID, Attempt: 5}, 5},
		"a key":          {actor.Message{ID: "order-1"}, 0},
		"a UUIDv7":       {actor.Message{ID: actor.DeriveID(now, "x")}, 0},
		"of the runtime": {actor.Message{ID: actor.InternalID(now, "x")}, 0},
	} {
		id := m.ID
		if c.identify(&m.Message, now); m.Attempt != m.want || m.ID != id {
			t.Errorf("%s: attempt %d, want %d", name, m.Attempt, m.want)
		}
	}
}

func TestIDSource_Grows(t *testing.T) {
	t.Parallel()
	var s idSource
	now := time.UnixMilli(1_800_000_000_123)
	last := actor.CommandID("")
	for i := range 10_000 {
		id := s.next(now.Add(-time.Duration(i) * time.Microsecond))
		if _, stamped := id.Stamped(); id <= last || !stamped {
			t.Fatalf("%s after %s", id, last)
		}
		last = id
	}
}
