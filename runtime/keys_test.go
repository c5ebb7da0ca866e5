package runtime_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
)

// farKeys are keys of callers that look as if they were made in the future.
func farKeys() map[string]actor.CommandID {
	return map[string]actor.CommandID{
		"year 10889":                       "ffffffff-ffff-7fff-bfff-ffffffffffff",
		"upper case":                       "FFFFFFFF-FFFF-7FFF-BFFF-FFFFFFFFFFFF",
		"in 7 minutes":                     actor.DeriveID(time.Now().Add(7*time.Minute), "key"),
		"soon":                             actor.DeriveID(time.Now().Add(5*time.Second), "key"),
		"of a client whose clock is ahead": actor.StampID(time.Now().Add(6*time.Minute).UnixMilli(), 0, 1),
		"forged":                           actor.StampID(1<<48-1, 0, 1),
	}
}

// TestNode_Key_OfTheFuture_CostsOthersNothing: a caller's key has a time ahead of all
// others, and is forgotten. Commands without a key ask the store nothing after that, nor
// after a passivation, a restart, or once that time has come; and the key is still known.
func TestNode_Key_OfTheFuture_CostsOthersNothing(t *testing.T) {
	t.Parallel()
	for _, every := range []int{0, 5} {
		for name, key := range farKeys() {
			t.Run(fmt.Sprintf("%s, snapshot every %d", name, every), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					h := newHooked()
					s := newSetup(t, h, func(c *runtime.Config) { c.RingMax = 4; c.PassivateAfter = passivateAfter },
						counters(nil, func(d *actor.Definition[counter]) { d.SnapshotEvery(every) }))
					m := s.message("a", "add", add{N: 5})
					m.ID = key
					first := s.want(s.ask(m), actor.CodeOK)
					others := func(when string) {
						t.Helper()
						before := h.asked()
						for range 10 {
							s.pause(2 * time.Millisecond) // ids of one millisecond are judged alike
							s.want(s.add("a", 1), actor.CodeOK)
						}
						if n := h.asked() - before; n != 0 {
							t.Errorf("%s, ten commands without a key asked the store %d times", when, n)
						}
					}
					others("in memory")
					others("once it is forgotten")
					s.passivate()
					others("after a passivation")
					s.restart()
					others("at the next owner")
					s.pause(8 * time.Minute)
					others("once its time has come")
					if diff := differ(first, s.ask(m)); diff != "" {
						t.Errorf("the key again (-first +got):\n%s", diff)
					}
				})
			})
		}
	}
}
