package runtime_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
)

// TestEffect_Soak has 500 effects of 50 aggregates fail at random up to five times, on two
// nodes of which each is killed twice: in order for each aggregate, none lost, none given
// up, the numbers of attempts grow, and no node makes more at once than it may.
// GANGLION_SEED repeats a run.
func TestEffect_Soak(t *testing.T) {
	random := rnd(t) // of the test; handlers have one of their own
	bubble(t, func(t *testing.T) {
		const aggregates, each, parallel = 50, 10, 16
		fate := rand.New(rand.NewPCG(random.Uint64(), 1))
		s := newEffects(t, actor.EffectPolicy{FirstRetry: 50 * time.Millisecond, MaxRetry: time.Second, Parallel: parallel}, nil)
		fails, attempts := map[string]int{}, map[string]int{}
		current := map[actor.Address]string{} // the key that the aggregate is at
		finished := map[string]bool{}
		most := 0
		tune := s.tune
		s.tune = func(c *runtime.Config) {
			tune(c)
			now := 0 // on this node
			c.Effects.Performers = []*actor.Performer{s.charge.By(func(ctx context.Context, call actor.Call, _ charge) (bill, error) {
				s.mu.Lock()
				now++
				most = max(most, now)
				if call.Attempt <= attempts[call.Key] {
					t.Errorf("attempt %d of %s comes after %d", call.Attempt, call.Key, attempts[call.Key])
				}
				attempts[call.Key] = call.Attempt
				if at := current[call.Address]; at != call.Key {
					if at != "" && !finished[at] {
						t.Errorf("%s is at %s before %s is over", call.Address, call.Key, at)
					}
					current[call.Address] = call.Key
				}
				if _, known := fails[call.Key]; !known {
					fails[call.Key] = fate.IntN(6)
				}
				s.mu.Unlock()
				timer := time.NewTimer(100 * time.Millisecond)
				defer timer.Stop()
				var err error
				select {
				case <-timer.C:
				case <-ctx.Done():
					err = context.Cause(ctx)
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				now--
				if err == nil && fails[call.Key] > 0 {
					fails[call.Key]--
					err = errProvider
				}
				finished[call.Key] = finished[call.Key] || err == nil
				return bill{Number: call.Key}, err
			})}
		}
		s.launch("n1")
		live := map[string]*runtime.Node{"n1": s.node}
		links := map[string]*link{"n1": s.link}
		s.launch("n2")
		live["n2"], links["n2"] = s.node, s.link
		s.awaitShared(live["n1"], live["n2"])
		want := map[string][]string{}
		for i := range aggregates {
			id := fmt.Sprint(i)
			want[id] = s.pay(id, each, "")
		}
		for n := range 4 {
			s.pause(time.Duration(500+random.IntN(3000)) * time.Millisecond)
			name := fmt.Sprintf("n%d", n%2+1)
			links[name].dead.Store(true)
			if err := live[name].Close(); err != nil {
				t.Fatal(err)
			}
			s.pause(time.Duration(random.IntN(2000)) * time.Millisecond)
			s.launch(name)
			live[name], links[name] = s.node, s.link
		}
		for i := range aggregates {
			id := fmt.Sprint(i)
			o := s.awaitEnds(id, each)
			equal(t, "paid by "+id, o.Paid, want[id])
			if len(o.Failed) > 0 {
				t.Errorf("%s: given up: %+v", id, o.Failed)
			}
		}
		if most > parallel || most < parallel/2 {
			t.Errorf("%d attempts at once on a node that may make %d", most, parallel)
		}
	})
}
