package runtime_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
)

var errUnreached = errors.New("nobody answers")

// reachable is which nodes messaging answers.
type reachable struct {
	mu  sync.Mutex
	not map[string]bool
}

func (r *reachable) set(cut bool, names ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		r.not[name] = cut
	}
}

func (r *reachable) tune(c *runtime.Config) {
	name := c.Name
	c.Reach = func(context.Context) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.not[name] {
			return errUnreached
		}
		return nil
	}
}

const cutAfter = 15 * time.Second // the default

// TestNode_Cut_ConnectedNodesTakeOver: a node that messaging has not answered for 15 s
// hands its partitions to one that it answers, under load, and gets its share back when
// it is connected again. A shorter cut moves nothing.
func TestNode_Cut_ConnectedNodesTakeOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := &reachable{not: map[string]bool{}}
		s, first := newPair(t, nil, r.tune)
		second := s.node
		before := s.quiet()
		load := s.trafficEvery(2, 20*time.Millisecond) // for a minute and more
		r.set(true, "n1")
		s.pause(cutAfter - 2*time.Second)
		r.set(false, "n1")
		s.pause(2 * time.Second)
		r.set(true, "n1")
		s.pause(cutAfter - 2*time.Second)
		if moved := s.epochs() - before; moved > 0 || first.Status().Cut {
			t.Errorf("%d claims were taken, cut: %v", moved, first.Status().Cut)
		}
		s.awaitShared(second)
		if st := first.Status(); len(st.Partitions) > 0 || !st.Cut || second.Status().Cut {
			t.Errorf("the cut node: %+v", st)
		}
		if session, _ := s.session("n1"); !session.Cut || session.Dead {
			t.Errorf("session %+v", session)
		}
		s.quiet()
		r.set(false, "n1")
		s.awaitShared(first, second)
		if first.Status().Cut {
			t.Error("it is cut still")
		}
		load.end(2 * time.Second)
	})
}

// TestNode_Cut_AllOfThem: nothing moves while messaging answers nobody, nor when it
// answers one after another again.
func TestNode_Cut_AllOfThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := &reachable{not: map[string]bool{}}
		s, first := newPair(t, nil, r.tune)
		second := s.node
		before := s.quiet()
		r.set(true, "n1", "n2")
		s.pause(2 * time.Minute)
		if !first.Status().Cut || !second.Status().Cut {
			t.Error("they do not know that they are cut")
		}
		s.want(s.add("a", 1), actor.CodeOK) // what has arrived is answered
		r.set(false, "n2")
		s.pause(3 * time.Second)
		r.set(false, "n1")
		s.pause(time.Minute)
		if moved := s.epochs() - before; moved > 0 {
			t.Errorf("%d claims were taken", moved)
		}
		s.awaitShared(first, second)
	})
}

// TestNode_Cut_OutlivesASession: a node that loses its session while it is cut says so in
// the next one, and ends in time.
func TestNode_Cut_OutlivesASession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := &reachable{not: map[string]bool{}}
		s, first := newPair(t, nil, r.tune)
		r.set(true, "n1")
		s.awaitShared(s.node)
		old, _ := s.session("n1")
		s.eventually("the session is dead", func() bool {
			now, _ := s.session("n1")
			return s.store.DeclareDead(t.Context(), now) == nil
		})
		s.eventually("another one says that it is cut", func() bool {
			now, _ := s.session("n1")
			return now.Incarnation != old.Incarnation && now.Cut
		})
		s.awaitShared(s.node)
		start := time.Now()
		if err := first.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > lease {
			t.Errorf("the end took %v", took)
		}
	})
}

// TestNode_Cut_DrainsWithNobodyConnected: a node that ends while nobody is connected gives
// back what it has, at once.
func TestNode_Cut_DrainsWithNobodyConnected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := &reachable{not: map[string]bool{}}
		s, first := newPair(t, nil, r.tune)
		r.set(true, "n1", "n2")
		s.pause(time.Minute)
		start := time.Now()
		if err := first.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > lease {
			t.Errorf("the end took %v", took)
		}
		s.pause(time.Minute)
		if n := len(s.node.Status().Partitions); n == partitions {
			t.Error("a cut node has taken them")
		}
		r.set(false, "n2")
		s.awaitShared(s.node)
	})
}
