package runtime

import (
	"fmt"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/testenv"
)

type nothing struct{ N int }

// idlePartition has n activations that were last used at 0.
func idlePartition(n int) *partition {
	behavior := actor.Define("nothing", func(*actor.Definition[nothing]) {}).Behavior()
	cfg := (&Config{Name: "n", MaxActivations: n}).withDefaults()
	in := &incarnation{cfg: &cfg, memory: &memory{cfg: &cfg}, shortestIdle: restingAfter}
	p := &partition{incarnation: in, activations: map[actor.Address]*activation{}}
	for i := range n {
		a := &activation{partition: p, behavior: behavior, address: actor.Address{Kind: "nothing", ID: fmt.Sprint(i)}, ring: newOutcomeRing(), resting: true}
		p.activations[a.address] = a
		p.recency.touch(a, 0)
		p.memory.count.Add(1)
	}
	return p
}

func TestRecency_Order(t *testing.T) {
	t.Parallel()
	rnd := testenv.Rand(t)
	var r recency
	var order []*activation // oldest first
	all := make([]activation, 20)
	for step := range int64(5000) {
		a := &all[rnd.IntN(len(all))]
		kept := order[:0:0]
		for _, o := range order {
			if o != a {
				kept = append(kept, o)
			}
		}
		if order = kept; rnd.IntN(4) == 0 {
			r.remove(a)
		} else {
			r.touch(a, step)
			order = append(order, a)
		}
		at := r.oldest
		for i, want := range order {
			if at != want {
				t.Fatalf("step %d: place %d of %d is another", step, i, len(order))
			}
			at = at.newer
		}
		if at != nil || len(order) > 0 && r.newest != order[len(order)-1] || len(order) == 0 && r.newest != nil {
			t.Fatalf("step %d: more than was put in", step)
		}
	}
}

// BenchmarkPassivateIdle is one sweep over 100,000 activations at rest, as it
// comes every few seconds.
func BenchmarkPassivateIdle(b *testing.B) {
	p := idlePartition(100_000)
	for b.Loop() {
		p.passivateIdle(restingAfter + time.Second)
	}
	if len(p.activations) != 100_000 {
		b.Fatal("some were given up")
	}
}
