package runtime

import "testing"

type boundedOutbox struct {
	Outbox
	max int
}

func (b boundedOutbox) MaxEventBytes() int { return b.max }

// TestConfig_EventBytes_FitTheStream: nothing is committed that the event stream could not
// take. That a command beyond the limit is refused, and changes nothing, is in
// TestNode_Refusals.
func TestConfig_EventBytes_FitTheStream(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ configured, stream, want int }{
		{0, 1 << 20, 512 << 10}, {0, 40_000, 40_000}, {9000, 40_000, 9000}, {8 << 20, 1 << 20, 1 << 20}, {0, 0, 1},
	} {
		if got := (Config{EventBytes: c.configured, Outbox: boundedOutbox{max: c.stream}}).withDefaults().EventBytes; got != c.want {
			t.Errorf("EventBytes of %d with a stream that takes %d is %d, want %d", c.configured, c.stream, got, c.want)
		}
	}
}
