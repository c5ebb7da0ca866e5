package runtime_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
)

// setClock is a clock whose wall time is set while it runs.
type setClock struct {
	virtualClock
	by atomic.Int64
}

func (c *setClock) Now() time.Time { return time.Now().Round(0).Add(time.Duration(c.by.Load())) }

// TestNode_Deadline_WrongClocks: a deadline is counted from the arrival. Neither the
// clock of the caller nor that of the owner matters, nor that one of them is set.
func TestNode_Deadline_WrongClocks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		clock := &setClock{virtualClock: virtualClock{time.Now()}}
		s := newSetup(t, nil, func(c *runtime.Config) { c.Clock = clock })
		left := func(d time.Duration) {
			s.bus.mu.Lock()
			defer s.bus.mu.Unlock()
			s.bus.left = d
		}
		want := int64(0)
		for _, owner := range []time.Duration{0, time.Hour, -time.Hour} {
			for _, caller := range []time.Duration{0, time.Hour, -time.Hour} {
				for _, lane := range []actor.Lane{actor.LaneDurable, actor.LaneDirect} {
					clock.by.Store(int64(owner))
					m := until(s.message("a", "add", add{N: 1}), time.Now().Add(caller))
					m.Lane = lane
					left(time.Second)
					if o := s.ask(m); o.Code != actor.CodeOK {
						t.Errorf("owner %v, caller %v, lane %d, in time: %+v", owner, caller, lane, o)
					}
					want++
					m = until(s.message("a", "add", add{N: 1}), time.Now().Add(caller))
					m.Lane = lane
					left(-1)
					if o := s.ask(m); o.Code != actor.CodeExpired {
						t.Errorf("owner %v, caller %v, lane %d, too late: %+v", owner, caller, lane, o)
					}
				}
			}
		}
		left(0)
		clock.by.Store(0)
		if sum, _ := s.read("a"); sum != want {
			t.Errorf("sum %d, want %d", sum, want)
		}
	})
}

// TestNode_Timer_ByTheOwnersClock: a caller's clock has no part in when a timer fires,
// nor does that of whoever sends a command to the aggregate.
func TestNode_Timer_ByTheOwnersClock(t *testing.T) {
	t.Parallel()
	for name, caller := range map[string]time.Duration{"an hour fast": time.Hour, "an hour slow": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newClockworks(t, nil, nil)
				s.deliver(s.store, 0, nil)
				start := time.Now()
				m := s.message("a", "wind", wind{Name: "x", In: 6 * time.Second, Say: "x"})
				m.Time = start.Add(caller)
				s.want(s.ask(m), actor.CodeOK)
				s.eventually("it strikes", func() bool { return len(s.heard("a")) == 1 })
				if took := time.Since(start); took < 6*time.Second || took > 7*time.Second {
					t.Errorf("caller %v off: struck after %v", caller, took)
				}
			})
		})
	}
}
