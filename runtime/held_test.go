package runtime_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// waiting is a read of a counter's state that waits for what is beyond a version.
func waiting(id string, beyond actor.Version, d time.Duration) actor.Message {
	return actor.Message{
		Type: actor.TypeState, Lane: actor.LaneDirect, Target: address(id), Time: time.Now(),
		Wait: actor.Wait{Beyond: beyond, For: d},
	}
}

func (s *setup) shown(r reply, sum int64, v actor.Version) actor.Outcome {
	s.t.Helper()
	o := s.want(s.await(r), actor.CodeOK)
	var c counter
	if err := json.Unmarshal(o.Reply, &c); err != nil || c.Sum != sum || o.Version != v {
		s.t.Errorf("shown is %s at version %d, %v; want %d at %d", o.Reply, o.Version, err, sum, v)
	}
	return o
}

// A read that waits is answered as soon as the aggregate is beyond the version, or when its
// wait is over, and holds up nobody meanwhile.
func TestNode_HeldRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, func(c *runtime.Config) { c.MailboxMax = 4 })
		var all []reply
		for range 20 { // more than a mailbox takes at once
			all = append(all, s.send(waiting("a", 0, 20*time.Second)))
			s.pause(time.Millisecond)
		}
		later := s.send(waiting("a", 1, 20*time.Second))
		s.unanswered(all[0], 10*time.Second)
		began := time.Now()
		s.want(s.add("a", 5), actor.CodeOK)
		for _, r := range all {
			s.shown(r, 5, 1)
		}
		if waited := time.Since(began); waited > 100*time.Millisecond {
			t.Errorf("the change is shown after %v", waited)
		}
		s.unanswered(later, time.Second)
		s.want(s.add("a", -7), actor.CodeRejected) // which nobody is told as a version
		s.unanswered(later, time.Second)
		s.shown(s.send(waiting("a", 0, 20*time.Second)), 5, 1) // it is there
		s.want(s.add("a", 2), actor.CodeOK)
		s.shown(later, 7, 3)
		began = time.Now()
		s.shown(s.send(waiting("a", 3, 5*time.Second)), 7, 3)
		if waited := time.Since(began); waited < 5*time.Second || waited > 6*time.Second {
			t.Errorf("a wait of 5 s ended after %v", waited)
		}
		began = time.Now()
		s.want(s.ask(waiting("none", 0, 5*time.Second)), actor.CodeDoesNotExist)
		if waited := time.Since(began); waited < 5*time.Second || waited > 6*time.Second {
			t.Errorf("a wait of 5 s ended after %v", waited)
		}
	})
}

// A wait outlives its activation.
func TestNode_HeldRead_Passivated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var p passivations
		s := newSetup(t, nil, func(c *runtime.Config) { p.listen(c); c.PassivateAfter = time.Second })
		s.want(s.add("a", 1), actor.CodeOK)
		r := s.send(waiting("a", 1, 30*time.Second))
		s.eventually("the activation is given up", func() bool { _, given := p.count(runtime.PassivatedIdle); return given == 1 })
		s.unanswered(r, time.Second)
		s.want(s.add("a", 1), actor.CodeOK)
		s.shown(r, 2, 2)
	})
}

// What is shown is durable: a change that is on its way to the store is not, and one that
// does not get there is none.
func TestNode_HeldRead_ShowsWhatIsDurable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHooked()
		s := newSetup(t, h, nil)
		s.want(s.add("a", 1), actor.CodeOK)
		r := s.send(waiting("a", 1, 30*time.Second))
		release := make(chan struct{})
		h.with(func(h *hooked) {
			h.append = func(ctx context.Context, commits []store.Commit) []error {
				<-release
				h.with(func(h *hooked) { h.append = nil })
				s.foreign("a", "added.v1", `{"n":100}`)
				return h.Store.Append(ctx, commits) // a conflict
			}
		})
		change := s.send(s.message("a", "add", add{N: 10}))
		s.unanswered(r, time.Second)
		close(release)
		s.want(s.await(change), actor.CodeOK)
		o := s.want(s.await(r), actor.CodeOK)
		if o.Version != 2 && o.Version != 3 {
			t.Errorf("shown is %s at version %d", o.Reply, o.Version)
		}
		s.shown(s.send(waiting("a", 2, time.Second)), 111, 3)
	})
}

// A partition that is handed over answers what it holds, so that callers ask the next owner.
func TestNode_HeldRead_HandOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, first := newPair(t, nil, nil)
		id := ""
		for i := 0; id == "" || placement.Highest([]string{"n1", "n2"}, store.Partition(s.bus.partitions.Of(address(id)))) != "n1"; i++ {
			id = fmt.Sprint("k-", i)
		}
		s.want(s.add(id, 1), actor.CodeOK)
		r := s.send(waiting(id, 1, 30*time.Second))
		s.unanswered(r, time.Second)
		began := time.Now()
		if err := first.HandOver(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.shown(r, 1, 1)
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("the hand-over took %v", waited)
		}
		s.awaitServing()
		r = s.send(waiting(id, 1, 30*time.Second))
		s.unanswered(r, time.Second)
		s.want(s.add(id, 1), actor.CodeOK)
		s.shown(r, 2, 2)
	})
}

// A saga that has ended shows it, and lets nobody wait for more.
func TestNode_HeldRead_Ended(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type stop struct{ actor.Replies[actor.None] }
		steps := actor.DefineSaga("counter", func(d *actor.SagaDefinition[counter]) {
			actor.On(d, (*counter).add)
			actor.On(d, func(_ *counter, ctx *actor.Context, _ stop) (actor.None, error) { ctx.End(); return actor.None{}, nil })
			actor.Apply(d, (*counter).added)
		})
		s := newSetup(t, nil, nil, steps)
		s.want(s.add("a", 1), actor.CodeOK)
		if o := s.shown(s.send(waiting("a", 0, 30*time.Second)), 1, 1); o.Ended {
			t.Error("it has ended already")
		}
		r := s.send(waiting("a", 1000, 30*time.Second))
		s.unanswered(r, time.Second)
		s.want(s.ask(s.message("a", "stop", stop{})), actor.CodeOK)
		if o := s.shown(r, 1, 2); !o.Ended {
			t.Error("it is not shown that it has ended")
		}
		if o := s.shown(s.send(waiting("a", 1000, 30*time.Second)), 1, 2); !o.Ended {
			t.Error("it is not shown that it has ended")
		}
	})
}

// A partition holds as many reads as it may, and answers those beyond at once.
func TestNode_HeldRead_Bound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const bound = 1024
		s := newSetup(t, nil, nil)
		of := s.bus.partitions.Of(address("a"))
		held := 0
		var last reply
		for i := 0; held < bound; i++ {
			if id := fmt.Sprint("k-", i%500); s.bus.partitions.Of(address(id)) == of {
				last = s.send(waiting(id, 0, 30*time.Second))
				held++
			}
			if i%100 == 0 {
				s.pause(time.Millisecond)
			}
		}
		s.unanswered(last, 100*time.Millisecond)
		began := time.Now()
		s.want(s.ask(waiting("a", 0, 30*time.Second)), actor.CodeDoesNotExist)
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("one beyond is answered after %v", waited)
		}
		if err := s.node.Close(); err != nil {
			t.Error(err)
		}
	})
}
