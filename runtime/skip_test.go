package runtime_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
)

// TestNode_Skip: a parked command that was skipped is refused for ever, whoever repeats
// it, also by a node that has only the store. A skip that comes after the command had an
// outcome gets that.
func TestNode_Skip(t *testing.T) {
	t.Parallel()
	for _, lane := range []actor.Lane{actor.LaneDurable, actor.LaneDirect} {
		t.Run(map[actor.Lane]string{actor.LaneDurable: "durable", actor.LaneDirect: "direct"}[lane], func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var calls atomic.Int64
				var fixed atomic.Bool
				s := newSetup(t, nil, func(c *runtime.Config) { c.RingMax = 1 }, fused(&calls, func(int64) bool { return !fixed.Load() }))
				s.want(s.add("a", 5), actor.CodeOK)
				x := s.message("a", "fuse", fuse{})
				x.Lane = lane
				s.want(s.ask(x), actor.CodeParked)
				fixed.Store(true)
				before := calls.Load()
				skipped := s.want(s.ask(actor.Skip(x)), actor.CodeRejected)
				if !errors.Is(skipped.Err(), actor.ErrSkipped) || skipped.Version != 2 {
					t.Errorf("%+v", skipped)
				}
				s.want(s.add("a", 1), actor.CodeOK)
				s.want(s.add("a", 1), actor.CodeOK) // the ring has it no more
				s.close()
				s.start("n1")
				for _, m := range []actor.Message{x, actor.Skip(x), x} {
					if o := s.ask(m); !errors.Is(o.Err(), actor.ErrSkipped) {
						t.Errorf("%s again: %+v", m.Name, o)
					}
				}
				if sum, v := s.read("a"); sum != 7 || v != 4 || calls.Load() != before {
					t.Errorf("sum %d at version %d, called %d times", sum, v, calls.Load()-before)
				}
				y := s.message("a", "fuse", fuse{})
				y.Lane = lane
				s.want(s.ask(y), actor.CodeOK)
				s.want(s.ask(actor.Skip(y)), actor.CodeOK)
				if sum, v := s.read("a"); sum != 8 || v != 5 {
					t.Errorf("sum %d at version %d", sum, v)
				}
			})
		})
	}
}

// TestNode_Skip_MeetsRetry: whichever is decided first is the outcome of both, and of the
// caller, also while the commit of the first is under way.
func TestNode_Skip_MeetsRetry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls atomic.Int64
		h := newHooked()
		s := newSetup(t, h, nil, fused(&calls, func(int64) bool { return false }))
		s.want(s.add("a", 5), actor.CodeOK)
		for i, want := range []actor.Code{actor.CodeOK, actor.CodeRejected} {
			retry := s.message("a", "fuse", fuse{})
			order := []actor.Message{retry, actor.Skip(retry), retry}
			if i == 1 {
				order[0], order[1] = order[1], order[0]
			}
			appends := h.holdAppends()
			var replies []reply
			for _, m := range order {
				replies = append(replies, s.send(m))
			}
			inFlight := <-appends
			s.pause(50 * time.Millisecond)
			h.letAppends()
			inFlight.write(t, h.Store)
			for _, r := range replies {
				s.want(s.await(r), want)
			}
		}
		if sum, v := s.read("a"); sum != 6 || v != 3 || calls.Load() != 1 {
			t.Errorf("sum %d at version %d, called %d times", sum, v, calls.Load())
		}
	})
}

// TestNode_Skip_OfAnUnknownKind: nobody can decide it. The record of the command is not
// replaced by one of the skip.
func TestNode_Skip_OfAnUnknownKind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		m := s.message("b", "add", add{N: 1})
		m.Target.Kind = "nothing"
		m.OnRefusal = &actor.Fallback{To: s.message("a", "add", add{}).Target, Name: "add", Data: []byte(`{}`)}
		s.want(s.ask(m), actor.CodeUnknownKind)
		s.want(s.ask(actor.Skip(m)), actor.CodeUnknownKind)
		p, found, err := s.store.FindParked(t.Context(), "nothing/b", string(m.ID))
		if err != nil || !found || p.Name != "add" {
			t.Errorf("%+v, %v, %v", p, found, err)
		}
	})
}

// TestNode_Panic_AgainAddsUp: the record of a retry that panics, too, has all attempts,
// and all that travels with the command.
func TestNode_Panic_AgainAddsUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls atomic.Int64
		s := newSetup(t, nil, func(c *runtime.Config) { c.ParkAfter = 2 }, fused(&calls, func(int64) bool { return true }))
		m := s.message("a", "fuse", fuse{})
		m.Metadata.User = "ann"
		m.OnRefusal = &actor.Fallback{To: m.Target, Name: "add", Data: []byte(`{}`)}
		for n := 1; n <= 3; n++ {
			s.want(s.ask(m), actor.CodeParked)
			parked := s.parked("a")
			if len(parked) != 1 || parked[0].Attempts != 2*n {
				t.Fatalf("parked %+v", parked)
			}
			got, err := runtime.ParkedMessage(&parked[0])
			if err != nil {
				t.Fatal(err)
			}
			if got.ID != m.ID || got.Target != m.Target || !got.Time.Equal(m.Time) || got.Metadata != m.Metadata ||
				got.OnRefusal == nil || got.OnRefusal.Name != "add" || string(got.Data) != string(m.Data) {
				t.Errorf("%+v, want %+v", got, m)
			}
		}
	})
}
