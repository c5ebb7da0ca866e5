package runtime_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

// traffic drives a client for each of some counters, on both lanes, and wants
// each command to succeed on its first attempt. A direct message that nobody is
// there to take counts as a pause, as it does for natsbus's clients.
type traffic struct {
	s       *setup
	stop    chan struct{}
	pause   time.Duration
	running sync.WaitGroup
	mu      sync.Mutex
	sent    map[string]int64
	longest time.Duration
}

func (s *setup) traffic(counters int) *traffic { return s.trafficEvery(counters, time.Millisecond) }

// trafficEvery has each client pause for so long between two commands.
func (s *setup) trafficEvery(counters int, pause time.Duration) *traffic {
	t := &traffic{s: s, pause: pause, stop: make(chan struct{}), sent: map[string]int64{}}
	for i := range counters {
		t.running.Go(func() { t.run(fmt.Sprint("t-", i), i%2 == 0) })
	}
	return t
}

func (t *traffic) run(id string, durable bool) {
	last := time.Now()
	for {
		select {
		case <-t.stop:
			return
		case <-time.After(t.pause):
		}
		m := t.s.message(id, "add", add{N: 1})
		r := make(reply, 2)
		if durable {
			t.s.bus.publish(m, r)
		} else if !t.s.bus.direct(direct(m), r) {
			continue
		}
		select {
		case o := <-r:
			if o.Code != actor.CodeOK {
				t.s.t.Errorf("%+v", o)
			}
		case <-time.After(time.Minute):
			t.s.t.Errorf("a command for %s was lost, durable: %v", id, durable)
			return
		}
		t.mu.Lock()
		t.sent[id]++
		t.longest = max(t.longest, time.Since(last))
		t.mu.Unlock()
		last = time.Now()
	}
}

// end stops the clients and compares the counters with what was answered.
func (t *traffic) end(longest time.Duration) {
	t.s.t.Helper()
	close(t.stop)
	t.running.Wait()
	for id, n := range t.sent {
		if sum, v := t.s.read(id); sum != n || int64(v) != n || n < 10 {
			t.s.t.Errorf("%s: sum %d at version %d, %d commands were answered", id, sum, v, n)
		}
	}
	if t.longest > longest {
		t.s.t.Errorf("a counter stood still for %v, %v are allowed", t.longest, longest)
	}
}

// epochs returns the sum of all claims' epochs: how often any was taken.
func (s *setup) epochs() (n uint64) {
	s.t.Helper()
	claims, err := s.store.Claims(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range claims {
		n += c.Epoch
	}
	return n
}

// TestNode_Join_MovesSharesUnderLoad: nodes come one after another. Each gets its
// share, nothing moves that need not, and no command fails.
func TestNode_Join_MovesSharesUnderLoad(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		all := []*runtime.Node{s.node}
		names := []string{"n1"}
		load := s.traffic(8)
		for i := 2; i <= 4; i++ {
			before, was := s.epochs(), append([]string(nil), names...)
			names = append(names, fmt.Sprint("n", i))
			s.launch(names[i-1])
			all = append(all, s.node)
			s.awaitShared(all...)
			moved := uint64(0)
			for p := range store.Partition(partitions) {
				if placement.Highest(was, p) != placement.Highest(names, p) {
					moved++
				}
			}
			if got := s.epochs() - before; got != moved {
				t.Errorf("%d moves when %s came, %d are necessary", got, names[i-1], moved)
			}
			s.pause(lease)
		}
		load.end(100 * time.Millisecond)
	})
}

// TestNode_StartTogether_SharesFromTheBeginning: nodes that start at the same
// time see each other before they take anything.
func TestNode_StartTogether_SharesFromTheBeginning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := prepare(t, nil, nil)
		var all []*runtime.Node
		for i := range 3 {
			s.launch(fmt.Sprint("n", i))
			all = append(all, s.node)
			s.pause(lease / 50)
		}
		s.awaitShared(all...)
		s.pause(5 * lease)
		if n := s.epochs(); n != partitions {
			t.Errorf("%d claims were taken for %d partitions", n, partitions)
		}
	})
}

// TestNode_HandOver: a cordoned node passes on what it has while there is
// somebody, keeps it while there is nobody, and goes on answering until then.
func TestNode_HandOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		first := s.node
		if err := first.HandOver(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.pause(2 * lease)
		if st := first.Status(); !st.Draining || len(st.Partitions) != partitions {
			t.Errorf("alone: %+v", st)
		}
		if one, _ := s.session("n1"); !one.Draining {
			t.Error("the store does not say that it drains")
		}
		load := s.traffic(6)
		s.launch("n2")
		s.awaitServing()
		if err := first.HandOver(t.Context()); err != nil || len(first.Status().Partitions) != 0 {
			t.Errorf("%v; it serves %+v", err, first.Status().Partitions)
		}
		load.end(100 * time.Millisecond)
		if err := first.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestNode_HandOver_OutlivesTheSession: the next incarnation is cordoned, too.
func TestNode_HandOver_OutlivesTheSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		before := s.node.Status().Incarnation
		if err := s.node.HandOver(t.Context()); err != nil {
			t.Fatal(err)
		}
		for { // against the node's own renewals
			one, _ := s.session("n1")
			if s.store.DeclareDead(t.Context(), one) == nil {
				break
			}
		}
		s.eventually("another incarnation", func() bool {
			st := s.node.Status()
			return st.Incarnation != before && st.LeaseValid
		})
		s.pause(2 * lease)
		one, _ := s.session("n1")
		if st := s.node.Status(); !st.Draining || len(st.Partitions) != 0 || !one.Draining {
			t.Errorf("%+v, session %+v", st, one)
		}
	})
}

// TestNode_HandOver_Stuck: a handler that does not return holds up its partition
// alone, and that only for the time of a drain.
func TestNode_HandOver_Stuck(t *testing.T) {
	bubble(t, func(t *testing.T) {
		held := make(chan struct{})
		s := newSetup(t, nil, func(c *runtime.Config) { c.DrainTimeout, c.WriteTimeout = 2*time.Second, time.Second }, counters(held))
		first := s.node
		names := []string{"n1", "n2"}
		var theirs []actor.Partition // what n2 is to get
		for p := range actor.Partition(partitions) {
			if placement.Highest(names, store.Partition(p)) == "n2" {
				theirs = append(theirs, p)
			}
		}
		s.send(direct(s.message(s.idsIn(theirs[0], 1)[0], "hold", hold{})))
		s.pause(time.Millisecond)
		start := time.Now()
		s.launch("n2")
		s.eventually("all others", func() bool { return len(s.node.Status().Partitions) == len(theirs)-1 })
		if took := time.Since(start); took > lease {
			t.Errorf("the others were handed over after %v", took)
		}
		s.awaitShared(first, s.node)
		if took := time.Since(start); took < 2*time.Second || took > 6*time.Second {
			t.Errorf("the one that was stuck was handed over after %v", took)
		}
		close(held)
	})
}

// TestNode_HandOver_Unannounced: who does not hear of a release finds it with the
// next look.
func TestNode_HandOver_Unannounced(t *testing.T) {
	t.Parallel()
	for _, mute := range []bool{false, true} {
		t.Run(fmt.Sprint("mute ", mute), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSetup(t, nil, nil)
				s.bus.mute = mute
				first := s.node
				s.launch("n2")
				s.awaitShared(first, s.node)
				s.pause(lease)
				load := s.traffic(6)
				if err := first.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				s.awaitServing()
				s.pause(lease)
				load.end(map[bool]time.Duration{false: 30 * time.Millisecond, true: lease / 3}[mute])
			})
		})
	}
}

// TestNode_HandOver_NeedsNoLook: while many partitions change hands, hardly anybody reads
// the store: who releases one tells who takes it, and the other way round.
func TestNode_HandOver_NeedsNoLook(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := prepare(t, h, nil)
		s.bus = newLogBus(128)
		s.launch("n1")
		first := s.node
		s.awaitShared(first)
		s.launch("n2")
		s.awaitShared(first, s.node)
		s.pause(lease)
		h.with(func(h *hooked) { h.looks = 0 })
		start := time.Now()
		if err := first.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		s.awaitShared(s.node)
		var looks int
		h.with(func(h *hooked) { looks = h.looks })
		t.Logf("%d looks in %v", looks, time.Since(start))
		// Each node looks as it begins and as it has ended, and now and then for a telling that
		// met another goroutine first: 4 to 7. Without tellings it would be one for each batch, 27.
		if looks > 12 {
			t.Errorf("%d looks for some 64 partitions", looks)
		}
	})
}

// releases is a store that fails releases, before or after they took effect.
type releases struct {
	store.Store
	mu     sync.Mutex
	before int
	after  int
}

func (r *releases) ReleaseClaims(ctx context.Context, held []store.Claim) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.before > 0 {
		r.before--
		return store.ErrUnknown
	}
	err := r.Store.ReleaseClaims(ctx, held)
	if r.after > 0 && err == nil {
		r.after--
		return store.ErrUnknown
	}
	return err
}

// TestNode_HandOver_ReleaseFails: the claim is given up with the next round, and
// the partition does not stay without an owner.
func TestNode_HandOver_ReleaseFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ before, after int }{{1, 0}, {0, 1}, {3, 3}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newSetup(t, &releases{Store: memory.New(), before: c.before, after: c.after}, nil)
				first := s.node
				load := s.traffic(6)
				s.launch("n2")
				s.awaitShared(first, s.node)
				load.end(2 * lease)
			})
		})
	}
}

// TestNode_DeadNode_IsForgotten: its session stays to be seen for a while.
func TestNode_DeadNode_IsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, first := newPair(t, nil, nil)
		_ = first.Close()
		s.awaitServing()
		s.pause(5 * time.Minute)
		if one, ok := s.session("n1"); !ok || !one.Dead {
			t.Errorf("session %+v, %v", one, ok)
		}
		s.pause(6 * time.Minute)
		if one, ok := s.session("n1"); ok {
			t.Errorf("session %+v", one)
		}
	})
}
