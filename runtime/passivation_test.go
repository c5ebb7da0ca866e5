package runtime_test

import (
	"fmt"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
)

// passivations records what was loaded and what was given up.
type passivations struct {
	mu     sync.Mutex
	loaded int
	given  map[runtime.PassivationReason]int
}

func (p *passivations) listen(c *runtime.Config) {
	p.given = map[runtime.PassivationReason]int{}
	c.Listener.Loaded = func(actor.Kind, int, time.Duration) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.loaded++
	}
	c.Listener.Passivated = func(_ actor.Kind, why runtime.PassivationReason) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.given[why]++
	}
}

func (p *passivations) count(why runtime.PassivationReason) (loaded, given int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loaded, p.given[why]
}

func TestNode_Passivation_ByIdleTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var p passivations
		s := newSetup(t, nil, func(c *runtime.Config) { p.listen(c); c.PassivateAfter = time.Minute },
			counters(nil), actor.Define("brief", func(d *actor.Definition[counter]) {
				d.PassivateAfter(10 * time.Second)
				actor.On(d, (*counter).add)
				actor.Apply(d, (*counter).added)
			}))
		s.want(s.add("a", 1), actor.CodeOK)
		m := s.message("b", "add", add{N: 1})
		m.Target.Kind = "brief"
		s.want(s.ask(m), actor.CodeOK)
		for _, c := range []struct {
			after time.Duration
			left  int64
		}{{9 * time.Second, 2}, {5 * time.Second, 1}, {40 * time.Second, 1}, {30 * time.Second, 0}} {
			s.pause(c.after)
			if st := s.node.Status(); st.Activations != c.left || (c.left == 0) != (st.MemoryBytes == 0) {
				t.Errorf("%v later: %d activations of %d bytes, want %d", c.after, st.Activations, st.MemoryBytes, c.left)
			}
		}
		s.want(s.add("a", 1), actor.CodeOK)
		if sum, v := s.read("a"); sum != 2 || v != 2 {
			t.Errorf("sum %d at version %d", sum, v)
		}
		if loaded, given := p.count(runtime.PassivatedIdle); loaded != 3 || given != 2 {
			t.Errorf("%d loaded, %d given up", loaded, given)
		}
	})
}

// TestNode_Passivation_LeastRecentlyUsedFirst, over all partitions.
func TestNode_Passivation_LeastRecentlyUsedFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var p passivations
		s := newSetup(t, nil, func(c *runtime.Config) { p.listen(c); c.MaxActivations = 4 })
		touch := func(id string, loads bool) {
			t.Helper()
			s.pause(time.Millisecond)
			before, _ := p.count(runtime.PassivatedBudget)
			s.want(s.add(id, 1), actor.CodeOK)
			if after, _ := p.count(runtime.PassivatedBudget); (after > before) != loads {
				t.Errorf("%s was loaded: %v, want %v", id, after > before, loads)
			}
		}
		for p := range actor.Partition(partitions) {
			touch(s.idsIn(p, 1)[0], true)
		}
		first, second := s.idsIn(0, 1)[0], s.idsIn(1, 1)[0]
		touch(first, false)
		touch("another", true) // in the place of second
		touch(first, false)
		touch(second, true)
	})
}

// TestNode_Passivation_StaysInTheBudget: far more aggregates are touched in
// turn than there is room for.
func TestNode_Passivation_StaysInTheBudget(t *testing.T) {
	t.Parallel()
	for name, tune := range map[string]func(*runtime.Config){
		"count": func(c *runtime.Config) { c.MaxActivations = 50 },
		"bytes": func(c *runtime.Config) { c.MaxBytes = 100 << 10 },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSetup(t, nil, tune)
				var cfg runtime.Config
				tune(&cfg)
				for i := range 10_000 {
					s.want(s.ask(direct(s.message(fmt.Sprint(i), "add", add{N: 1}))), actor.CodeOK)
					st := s.node.Status()
					if cfg.MaxActivations > 0 && st.Activations > int64(cfg.MaxActivations) || cfg.MaxBytes > 0 && st.MemoryBytes > cfg.MaxBytes+4096 {
						t.Fatalf("%d activations of %d bytes", st.Activations, st.MemoryBytes)
					}
				}
				if sum, v := s.read("17"); sum != 1 || v != 1 {
					t.Errorf("sum %d at version %d", sum, v)
				}
			})
		})
	}
}

// TestNode_Passivation_NeverWithWorkPending: a direct message for which there is
// no room is refused, a durable one waits.
func TestNode_Passivation_NeverWithWorkPending(t *testing.T) {
	bubble(t, func(t *testing.T) {
		held := make(chan struct{})
		var p passivations
		s := newSetup(t, nil, func(c *runtime.Config) {
			p.listen(c)
			c.MaxActivations, c.PassivateAfter = 1, time.Second
		}, counters(held))
		stuck := s.send(direct(s.message("a", "hold", hold{})))
		s.pause(time.Millisecond)
		s.want(s.ask(direct(s.message("b", "add", add{N: 1}))), actor.CodeOverloaded)
		s.want(s.ask(direct(s.message("c", "add", add{N: 1}))), actor.CodeOverloaded)
		durable := s.send(s.message("b", "add", add{N: 1}))
		s.unanswered(durable, 10*time.Second)
		close(held)
		s.want(s.await(stuck), actor.CodeOK)
		s.want(s.await(durable), actor.CodeOK)
		if _, given := p.count(runtime.PassivatedBudget); given != 1 {
			t.Errorf("%d given up", given)
		}
	})
}

// hoard keeps what its events bring, or much more.
type hoard struct{ Things []string }

type (
	collect struct {
		actor.Replies[actor.None]
		N, Bytes int
	}
	collected struct {
		Bytes int
		Text  string `json:",omitempty"`
	}
)

func hoards() *actor.Aggregate[hoard] {
	return actor.Define("counter", func(d *actor.Definition[hoard]) {
		actor.On(d, func(_ *hoard, ctx *actor.Context, c collect) (actor.None, error) {
			for range c.N {
				ctx.Raise(collected{Bytes: c.Bytes})
			}
			return actor.None{}, nil
		})
		actor.Apply(d, func(h *hoard, e collected) { h.Things = append(h.Things, strings.Repeat("x", e.Bytes)) })
	})
}

// TestNode_Memory_IsThatOfTheStates, without snapshots and loads, however little the
// events say: all are weighed, and the budget holds.
func TestNode_Memory_IsThatOfTheStates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ commands, events, bytes int }{{1, 1, 10_000}, {1, 100, 100}, {10, 1, 1000}, {50, 2, 100}} {
		t.Run(fmt.Sprintf("%d commands of %d events", c.commands, c.events), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const aggregates, budget = 60, 400 << 10
				s := newSetup(t, nil, func(cfg *runtime.Config) { cfg.MaxBytes = budget }, hoards())
				for i := range aggregates {
					for range c.commands {
						s.want(s.ask(direct(s.message(fmt.Sprint(i), "collect", collect{N: c.events, Bytes: c.bytes}))), actor.CodeOK)
					}
					synctest.Wait() // an activation is weighed behind its answer
					st := s.node.Status()
					if least := st.Activations * 9_000; st.MemoryBytes < least {
						t.Fatalf("%d activations of 10 KB are estimated at %d bytes", st.Activations, st.MemoryBytes)
					}
					if st.MemoryBytes > budget+30_000 || st.Activations*10_000 > budget+30_000 {
						t.Fatalf("%d activations of 10 KB in a budget of %d", st.Activations, budget)
					}
				}
			})
		})
	}
}

// TestNode_Memory_OfACounter_DoesNotGrowWithItsHistory, with and without snapshots.
func TestNode_Memory_OfACounter_DoesNotGrowWithItsHistory(t *testing.T) {
	t.Parallel()
	for _, every := range []int{0, 100} {
		t.Run(fmt.Sprintf("snapshot every %d", every), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSetup(t, nil, func(c *runtime.Config) { c.RingMax = 10 },
					counters(nil, func(d *actor.Definition[counter]) { d.SnapshotEvery(every) }))
				var replies []reply
				for range 3000 {
					replies = append(replies, s.send(direct(s.message("a", "bloat", bloat{Bytes: 100}))))
				}
				for _, r := range replies {
					s.want(s.await(r), actor.CodeOK)
				}
				if st := s.node.Status(); st.MemoryBytes > 16<<10 {
					t.Errorf("estimated at %d bytes", st.MemoryBytes)
				}
			})
		})
	}
}

// TestNode_IdleActivation_CostsAtMost4KB measures what an activation at rest
// takes in memory, state and outcomes included.
func TestNode_IdleActivation_CostsAtMost4KB(t *testing.T) { // alone: it measures the heap
	if testing.Short() {
		t.Skip("activates 10,000 aggregates")
	}
	const n, commands = 10_000, 20 // more than are remembered at rest
	got := idleBytes(t, n, commands)
	t.Logf("%d bytes per activation", got)
	if got > 4<<10 {
		t.Errorf("an idle activation takes %d bytes", got)
	}
}

func idleBytes(tb testing.TB, n, commands int) int64 {
	tb.Helper()
	s := benchSetup(tb, discardStore{}, func(c *runtime.Config) { c.MaxActivations = n + 1; c.MailboxMax = 1 << 20 })
	before := heapBytes()
	var wg sync.WaitGroup
	for i := range n * commands {
		wg.Add(1)
		s.addAsync(i/commands, wg.Done)
		if i%1000 == 999 {
			wg.Wait()
		}
	}
	wg.Wait()
	s.rest()
	after := heapBytes()
	if st := s.node.Status(); st.Activations != int64(n) {
		tb.Fatalf("%d activations", st.Activations)
	}
	return (after - before) / int64(n)
}

func heapBytes() int64 {
	goruntime.GC()
	goruntime.GC()
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
