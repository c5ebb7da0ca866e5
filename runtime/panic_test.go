package runtime_test

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// fuse panics as long as it burns.
type fuse struct{ actor.Replies[int64] }

// fused returns counters whose fuse command counts its calls and panics while
// burning says so.
func fused(calls *atomic.Int64, burning func(sum int64) bool) *actor.Aggregate[counter] {
	return counters(nil, func(d *actor.Definition[counter]) {
		actor.On(d, func(c *counter, ctx *actor.Context, _ fuse) (int64, error) {
			calls.Add(1)
			ctx.Raise(added{N: 1})
			if burning(c.Sum) {
				panic("boom")
			}
			return c.Sum, nil
		})
	})
}

// TestNode_Panic_ParksThatCommandAlone: it is tried ParkAfter times, each on a
// fresh state, and then stored with its reason and stack. Others go on, and the
// durable lane moves past it.
func TestNode_Panic_ParksThatCommandAlone(t *testing.T) {
	t.Parallel()
	for _, lane := range []actor.Lane{actor.LaneDurable, actor.LaneDirect} {
		t.Run(map[actor.Lane]string{actor.LaneDurable: "durable", actor.LaneDirect: "direct"}[lane], func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var calls atomic.Int64
				s := newSetup(t, nil, func(c *runtime.Config) { c.ParkAfter = 4 }, fused(&calls, func(int64) bool { return true }))
				s.want(s.add("a", 5), actor.CodeOK)
				m := s.message("a", "fuse", fuse{})
				m.Lane = lane
				boom := s.send(m)
				next := s.send(s.message("a", "add", add{N: 1}))
				other := s.send(s.message("b", "add", add{N: 1}))
				s.want(s.await(boom), actor.CodeParked)
				s.want(s.await(next), actor.CodeOK)
				s.want(s.await(other), actor.CodeOK)
				if n := calls.Load(); n != 4 {
					t.Errorf("tried %d times, want 4", n)
				}
				if sum, v := s.read("a"); sum != 6 || v != 2 {
					t.Errorf("sum %d at version %d", sum, v)
				}
				parked := s.parked("a")
				if len(parked) != 1 {
					t.Fatalf("%d commands are parked", len(parked))
				}
				p := parked[0]
				if p.CommandID != string(m.ID) || p.Name != "fuse" || p.Attempts != 4 || !strings.Contains(p.Reason, "boom") ||
					!strings.Contains(p.Stack, "panic_test.go") || !strings.Contains(string(p.Message), string(m.ID)) {
					t.Errorf("parked %+v", p)
				}
				s.watermarksReachTheEnd()
			})
		})
	}
}

// watermarksReachTheEnd waits until every partition's watermark is saved at its
// last command.
func (s *setup) watermarksReachTheEnd() {
	s.t.Helper()
	s.bus.mu.Lock()
	last := map[store.Partition]uint64{}
	for _, e := range s.bus.log {
		last[store.Partition(e.partition)] = e.batch[0].Sequence
	}
	s.bus.mu.Unlock()
	s.eventually("all watermarks are saved", func() bool {
		claims, err := s.store.Claims(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, c := range claims {
			if c.Watermark.Sequence < last[c.Partition] { // above it, other partitions' commands are
				return false
			}
		}
		return true
	})
}

// TestNode_Panic_Once: it is tried again on a fresh state, and then succeeds.
func TestNode_Panic_Once(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls atomic.Int64
		s := newSetup(t, nil, nil, fused(&calls, func(int64) bool { return calls.Load() < 3 }))
		if o := s.want(s.ask(s.message("a", "fuse", fuse{})), actor.CodeOK); string(o.Reply) != "1" || o.Version != 1 {
			t.Errorf("%+v", o)
		}
		if n := len(s.parked("a")); n != 0 {
			t.Errorf("%d commands are parked", n)
		}
	})
}

// TestNode_Panic_OnASpeculativeState: the handler panics on a state that never
// becomes durable, and is not parked for it.
func TestNode_Panic_OnASpeculativeState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		var calls atomic.Int64
		s := newSetup(t, h, func(c *runtime.Config) { c.ParkAfter = 1 }, fused(&calls, func(sum int64) bool { return sum == 7 }))
		s.want(s.add("a", 5), actor.CodeOK)
		appends := h.holdAppends()
		x := s.send(s.message("a", "add", add{N: 1}))
		inFlight := <-appends
		y := s.send(s.message("a", "add", add{N: 0}))
		boom := s.send(s.message("a", "fuse", fuse{})) // 6+1
		s.eventually("it has panicked", func() bool { return calls.Load() == 1 })
		s.unanswered(boom, 50*time.Millisecond)
		s.unanswered(y, 0)
		h.letAppends()
		s.foreign("a", "added.v1", `{"n":100}`)
		inFlight.write(t, h.Store)
		s.want(s.await(x), actor.CodeOK)
		s.want(s.await(y), actor.CodeOK)
		if o := s.want(s.await(boom), actor.CodeOK); string(o.Reply) != "107" {
			t.Errorf("%s", o.Reply)
		}
		if n := len(s.parked("a")); n != 0 {
			t.Errorf("%d commands are parked", n)
		}
	})
}

// TestNode_Panic_BehindACommitThatLands: what was decided before the panic is
// written and answered, although the state was thrown away.
func TestNode_Panic_BehindACommitThatLands(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		appends := h.holdAppends()
		x := s.send(s.message("a", "add", add{N: 1}))
		inFlight := <-appends
		y := s.send(s.message("a", "add", add{N: 2})) // gathered
		boom := s.send(s.message("a", "explode", explode{}))
		z := s.send(s.message("a", "add", add{N: 4}))
		s.pause(50 * time.Millisecond)
		h.letAppends()
		inFlight.write(t, h.Store)
		s.want(s.await(x), actor.CodeOK)
		s.want(s.await(y), actor.CodeOK)
		s.want(s.await(boom), actor.CodeParked)
		s.want(s.await(z), actor.CodeOK)
		if sum, v := s.read("a"); sum != 7 || v != 3 {
			t.Errorf("sum %d at version %d", sum, v)
		}
	})
}

// TestNode_Panic_OfAQuery_IsNotParked and does not harm the aggregate.
func TestNode_Panic_OfAQuery_IsNotParked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil, counters(nil, func(d *actor.Definition[counter]) {
			actor.Query(d, func(*counter, *actor.QueryContext, peek) (int64, error) { panic("boom") })
		}))
		s.want(s.add("a", 5), actor.CodeOK)
		m := s.query("a")
		m.Name = "peek"
		s.want(s.ask(m), actor.CodeUnloadable)
		if sum, _ := s.read("a"); sum != 5 || len(s.parked("a")) != 0 {
			t.Errorf("sum %d, %d parked", sum, len(s.parked("a")))
		}
	})
}

// TestNode_RejectionAfterRaise_LeavesNoTrace, also while others are in flight.
func TestNode_RejectionAfterRaise_LeavesNoTrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		appends := h.holdAppends()
		replies := []reply{s.send(s.message("a", "add", add{N: 1}))}
		inFlight := <-appends
		for range 3 {
			replies = append(replies, s.send(s.message("a", "raiseThenReject", raiseThenReject{})), s.send(s.message("a", "add", add{N: 1})))
		}
		s.pause(50 * time.Millisecond)
		h.letAppends()
		inFlight.write(t, h.Store)
		for i, r := range replies {
			s.want(s.await(r), []actor.Code{actor.CodeOK, actor.CodeRejected}[i%2])
		}
		if sum, v := s.read("a"); sum != 4 || v != 5 { // the first refusal began a commit
			t.Errorf("sum %d at version %d", sum, v)
		}
	})
}

// Where no more can be parked, the command stands in its aggregate's way until an
// operator has made room: nothing is dropped, and it is seen.
func TestNode_Panic_StandsStillWhereNoMoreCanBeParked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls atomic.Int64
		var logged strings.Builder
		var mu sync.Mutex
		log := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return logged.Write(p)
		}), nil))
		s := newSetup(t, nil, func(c *runtime.Config) { c.ParkAfter, c.ParkedMax, c.Logger = 1, 2, log }, fused(&calls, func(int64) bool { return true }))
		for _, id := range []string{"a", "b"} {
			s.want(s.await(s.send(s.message(id, "fuse", fuse{}))), actor.CodeParked)
		}
		m := s.message("c", "fuse", fuse{})
		third := s.send(m)
		s.eventually("the third stands still", func() bool { return standing(s.node) == 1 })
		s.want(s.ask(direct(s.message("d", "fuse", fuse{}))), actor.CodeOverloaded)
		s.want(s.add("d", 1), actor.CodeOK) // it stands in nobody's way
		behind := s.send(s.message("c", "add", add{N: 1}))
		s.want(s.add("other", 1), actor.CodeOK)
		time.Sleep(90 * time.Second) // of the bubble: it is said again
		if n := len(s.parked("c")); n != 0 {
			t.Errorf("%d commands of the third are parked", n)
		}
		mu.Lock()
		lines := strings.Count(logged.String(), "as many commands are parked as may be")
		mu.Unlock()
		if lines != 2 {
			t.Errorf("it is logged %d times, want 2", lines)
		}
		first := s.parked("a")[0]
		if err := s.store.Unpark(t.Context(), first.Aggregate, first.CommandID); err != nil {
			t.Fatal(err)
		}
		s.want(s.await(behind), actor.CodeOK)
		s.eventually("the third is parked", func() bool { return len(s.parked("c")) == 1 && standing(s.node) == 0 })
		_ = third // its caller has given up
		s.watermarksReachTheEnd()
	})
}

func standing(n *runtime.Node) (waiting int) {
	for _, p := range n.Status().Partitions {
		waiting += p.AwaitingParking
	}
	return waiting
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A panic's value may be of any size, and none of it keeps the command from being parked.
func TestNode_Panic_WithALargeReason(t *testing.T) {
	bubble(t, func(t *testing.T) {
		large := counters(nil, func(d *actor.Definition[counter]) {
			actor.On(d, func(*counter, *actor.Context, fuse) (int64, error) { panic(strings.Repeat("x", 3<<20)) })
		})
		s := newSetup(t, nil, func(c *runtime.Config) { c.ParkAfter = 1 }, large)
		s.want(s.await(s.send(s.message("a", "fuse", fuse{}))), actor.CodeParked)
		if p := s.parked("a"); len(p) != 1 || len(p[0].Reason) > 8<<10 {
			t.Errorf("parked: %d, a reason of %d bytes", len(p), len(p[0].Reason))
		}
	})
}
