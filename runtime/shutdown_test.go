package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
	"github.com/ganglion-go/ganglion/store/storetest"
)

// TestNode_Shutdown_LosesNoRequest: commands flow while nodes hand over to one
// another. Each is answered, by one of them, on its first attempt.
func TestNode_Shutdown_LosesNoRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const clients, handOvers = 8, 6
		s := newSetup(t, nil, nil)
		stop := make(chan struct{})
		var running sync.WaitGroup
		sent := make([]int64, clients)
		for i := range clients {
			running.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
					m := s.message(fmt.Sprint(i), "add", add{N: 1})
					r := make(reply, 2)
					if i%2 == 0 {
						s.bus.publish(m, r)
					} else if !s.bus.direct(direct(m), r) {
						continue // nobody serves: it has not been taken in
					}
					select {
					case o := <-r:
						if o.Code != actor.CodeOK {
							t.Errorf("%+v", o)
						}
						sent[i]++
					case <-time.After(time.Minute):
						t.Errorf("lane %d: a command was lost", i%2)
						return
					}
				}
			})
		}
		for i := range handOvers {
			old := s.node
			s.launch(fmt.Sprint("next-", i))
			s.pause(50 * time.Millisecond)
			if err := old.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			s.awaitServing()
		}
		close(stop)
		running.Wait()
		for i, n := range sent {
			if sum, v := s.read(fmt.Sprint(i)); sum != n || int64(v) != n || n < 100 {
				t.Errorf("counter %d: sum %d at version %d, %d commands were answered", i, sum, v, n)
			}
		}
	})
}

// TestNode_Shutdown_GivesEverythingBack: claims are free, with the watermarks at
// the last command; the session is gone; Run has returned; it can be repeated.
func TestNode_Shutdown_GivesEverythingBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, func(c *runtime.Config) { c.WatermarkEvery = time.Hour })
		last := map[actor.Partition]uint64{}
		for i := range 20 {
			id := fmt.Sprint(i)
			s.want(s.add(id, 1), actor.CodeOK)
			last[s.bus.partitions.Of(address(id))] = uint64(i + 1)
		}
		expired := s.send(until(s.message("x", "add", add{N: 1}), time.Now().Add(-time.Second)))
		last[s.bus.partitions.Of(address("x"))] = 21
		s.pause(time.Millisecond)
		for range 2 {
			if err := s.node.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-s.done; err != nil {
			t.Errorf("run: %v", err)
		}
		s.want(s.await(expired), actor.CodeExpired) // its watermark was saved with the release
		for p := range store.Partition(partitions) {
			c := s.claim(p)
			if w := c.Watermark.Sequence; c.Owner != "" || c.Session != "" || w < last[actor.Partition(p)] || w > 21 {
				t.Errorf("claim %+v, want a watermark of %d to 21", c, last[actor.Partition(p)])
			}
		}
		if one, ok := s.session("n1"); ok {
			t.Errorf("session %+v", one)
		}
		if err := s.node.Run(t.Context()); !errors.Is(err, runtime.ErrClosed) {
			t.Errorf("second run: %v", err)
		}
	})
}

// TestNode_Shutdown_WithinItsBound: a handler does not return. The rest is cut,
// the error says so, and the next owner finds the command unfinished.
func TestNode_Shutdown_WithinItsBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		held := make(chan struct{})
		s := newSetup(t, nil, func(c *runtime.Config) { c.DrainTimeout, c.WriteTimeout = time.Second, time.Second }, counters(held))
		id := s.idsIn(1, 1)[0]
		r := s.send(s.message(id, "hold", hold{}))
		s.pause(time.Millisecond)
		start := time.Now()
		if err := s.node.Shutdown(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		if w := s.watermark(1); w != 0 {
			t.Errorf("watermark %d", w)
		}
		close(held)
		s.unanswered(r, 0)
		s.start("n1")
		s.want(s.await(r), actor.CodeOK)
	})
}

// TestNode_Shutdown_SessionLostMeanwhile starts no new incarnation.
func TestNode_Shutdown_SessionLostMeanwhile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		held := make(chan struct{})
		s := newSetup(t, nil, nil, counters(held))
		s.send(direct(s.message("a", "hold", hold{})))
		s.pause(time.Millisecond)
		done := make(chan error, 1)
		go func() { done <- s.node.Shutdown(t.Context()) }()
		s.pause(time.Millisecond)
		for { // against the node's own renewals
			one, _ := s.session("n1")
			if s.store.DeclareDead(t.Context(), one) == nil {
				break
			}
		}
		s.pause(lease)
		close(held)
		if err := <-done; err == nil {
			t.Error("no error")
		}
		if err := <-s.done; err != nil {
			t.Errorf("run: %v", err)
		}
		if one, ok := s.session("n1"); ok {
			t.Errorf("session %+v", one)
		}
	})
}

// TestNode_Shutdown_DuringARoundOfClaiming: a claim that is won while the node is
// drained is given back, too.
func TestNode_Shutdown_DuringARoundOfClaiming(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow := &slowClaims{Store: memory.New(), taking: make(chan struct{}), proceed: make(chan struct{})}
		var mu sync.Mutex
		left := 0
		s := prepare(t, slow, func(c *runtime.Config) {
			c.Listener.PartitionLeft = func(p actor.Partition, cause error) {
				mu.Lock()
				defer mu.Unlock()
				if left++; errors.Is(cause, runtime.ErrClosed) {
					t.Errorf("partition %d was cut", p)
				}
			}
		})
		s.launch("n1")
		<-slow.taking
		done := make(chan error, 1)
		go func() { done <- s.node.Shutdown(t.Context()) }()
		s.pause(time.Millisecond)
		close(slow.proceed)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if _, ok := s.session("n1"); ok {
			t.Error("the session is there")
		}
		if left != partitions {
			t.Errorf("%d partitions were left", left)
		}
		s.bus.mu.Lock()
		defer s.bus.mu.Unlock()
		for p, flows := range s.bus.serving {
			if len(flows) > 0 {
				t.Errorf("partition %d is served", p)
			}
		}
	})
}

type slowClaims struct {
	store.Store
	once            sync.Once
	taking, proceed chan struct{}
}

func (s *slowClaims) TakeClaims(ctx context.Context, by store.Session, want []store.Claim) ([]store.Claim, error) {
	s.once.Do(func() { close(s.taking) })
	<-s.proceed
	return s.Store.TakeClaims(context.WithoutCancel(ctx), by, want)
}

// TestNode_Shutdown_BeforeItServes: never run, and while it waits for the session
// of a predecessor.
func TestNode_Shutdown_BeforeItServes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		never, err := runtime.New(runtime.Config{Name: "n0"}, memory.New(), newLogBus(1), counters(nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(never.Shutdown(t.Context()), never.Close(), never.Run(t.Context())); err != nil {
			t.Error(err)
		}
		s := prepare(t, nil, func(c *runtime.Config) { c.SoleHolderOfName = false })
		s.start("n1")
		_ = s.node.Close()
		s.launch("n1")
		s.pause(lease / 2)
		start := time.Now()
		if err := s.node.Shutdown(t.Context()); err != nil || time.Since(start) > lease/6 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := <-s.done; err != nil {
			t.Error(err)
		}
	})
}

// TestNode_Close_IsPrompt under load, whatever the store does, and leaves no
// goroutine: the bubble would report it.
func TestNode_Close_IsPrompt(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]storetest.Faults{
		"healthy": {}, "blocked": {Blocked: true}, "cut off": {CutOff: true}, "slow": {Delay: 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := storetest.NewFaulty(t.Context(), memory.New(), 1)
				t.Cleanup(f.Close)
				s := newSetup(t, f, nil)
				s.want(s.add("0", 1), actor.CodeOK)
				f.Set(faults)
				var replies []reply
				for i := range 200 {
					m := s.message(fmt.Sprint(i%20), "add", add{N: 1})
					m.Lane = actor.Lane(i % 2)
					replies = append(replies, s.send(m))
				}
				s.pause(150 * time.Millisecond)
				start := time.Now()
				if err := s.node.Close(); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took > 200*time.Millisecond {
					t.Errorf("took %v", took)
				}
				answered := 0
				for _, r := range replies {
					answered += len(r)
				}
				if err := s.node.Close(); err != nil {
					t.Error(err)
				}
				s.pause(time.Hour)
				for _, r := range replies {
					answered -= len(r)
				}
				if answered != 0 {
					t.Error("an answer came after Close")
				}
			})
		})
	}
}

// TestNode_Run_EndOfContext cuts as Close does.
func TestNode_Run_EndOfContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		node, err := runtime.New(runtime.Config{Name: "n", Lease: lease, Clock: virtualClock{time.Now()}}, memory.New(), newLogBus(partitions), counters(nil))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- node.Run(ctx) }()
		if err := node.AwaitServing(ctx, partitions); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if ps := node.Status().Partitions; slices.ContainsFunc(ps, func(p runtime.PartitionStatus) bool { return p.Unfinished > 0 }) {
			t.Errorf("%+v", ps)
		}
	})
}

// TestNode_Shutdown_DoesNotWaitForWhatIsNotPosted: a durable command has no room
// in memory while its partition is drained.
func TestNode_Shutdown_DoesNotWaitForWhatIsNotPosted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		held := make(chan struct{})
		var mu sync.Mutex
		var took [partitions]time.Duration
		var start time.Time
		s := newSetup(t, nil, func(c *runtime.Config) {
			c.MaxActivations, c.DrainTimeout, c.WriteTimeout = 1, time.Minute, time.Second
			c.Listener.PartitionLeft = func(p actor.Partition, _ error) {
				mu.Lock()
				defer mu.Unlock()
				took[p] = time.Since(start)
			}
		}, counters(held))
		stuck := s.send(direct(s.message(s.idsIn(1, 1)[0], "hold", hold{})))
		s.pause(time.Millisecond)
		waiting := s.send(s.message(s.idsIn(2, 1)[0], "add", add{N: 1}))
		s.pause(time.Second)
		start = time.Now()
		time.AfterFunc(10*time.Second, func() { close(held) })
		if err := s.node.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took[1] < 10*time.Second || took[2] > time.Second {
			t.Errorf("partitions were left after %v", took)
		}
		s.want(s.await(stuck), actor.CodeOK)
		s.unanswered(waiting, 0)
		s.start("n1")
		s.want(s.await(waiting), actor.CodeOK)
	})
}
