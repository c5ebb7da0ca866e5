package runtime_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
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

// TestNode_Timer_OfAnEarlierBuild_BeyondTheLatest: earlier builds set timers for times at
// which nothing fires. One that fires all the same, as those who fire timers bound the
// time or pass over it, is set again once, after TimerPatience, for a time that is kept;
// and it takes effect then.
func TestNode_Timer_OfAnEarlierBuild_BeyondTheLatest(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]time.Time{
		"just beyond": actor.MaxTimerTime.Add(time.Hour),
		"last year":   time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		"no JSON":     time.Date(20_000, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				clock := &setClock{virtualClock: virtualClock{time.Now()}}
				snapshots := make(chan error, 10)
				s := newSetup(t, nil, func(c *runtime.Config) {
					c.Clock = clock
					c.Listener.SnapshotSaved = func(_ actor.Kind, _ int, err error) { snapshots <- err }
				}, clockworks(2, nil))
				set := actor.Outgoing{
					ID: actor.InternalID(time.Now(), "out"), To: address("a"), Name: "strike", Timer: "x", At: at, Data: []byte(`{"Say":"x"}`),
				}
				earlier := store.Commit{
					Aggregate: aggregate("a"), First: 1, Time: time.Now().UnixMicro(),
					Events:   []store.Event{{Name: actor.EventEffects, Data: []byte(`{"set":1}`)}},
					Outcomes: []store.Outcome{{CommandID: string(s.nextID()), Events: 1, Reply: []byte("null")}},
					Out:      []store.Outgoing{{ID: string(set.ID), To: aggregate("a"), Name: set.Name, Timer: set.Timer, At: at.UnixMicro(), Data: set.Data}},
				}
				if err := s.store.Append(t.Context(), []store.Commit{earlier})[0]; err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				s.want(s.ask(set.Message(start)), actor.CodeCancelled)
				if took := time.Since(start); took < 5*time.Second {
					t.Errorf("set again after %v", took)
				}
				again := s.commits("a")
				if len(again) != 2 || len(again[1].Out) != 1 {
					t.Fatalf("commits: %+v", again)
				}
				if is := time.UnixMicro(again[1].Out[0].At).UTC(); !is.Equal(actor.MaxTimerTime) {
					t.Errorf("set again for %v", is)
				}
				if err := <-snapshots; err != nil {
					t.Errorf("snapshot: %v", err)
				}
				clock.by.Store(int64(time.Until(actor.MaxTimerTime) + time.Second))
				for range 2 { // also from the snapshot
					s.restart()
					out, err := runtime.Outgoing(&again[1])
					if err != nil {
						t.Fatal(err)
					}
					s.want(s.ask(out[0].Message(start)), actor.CodeOK)
				}
				s.wants("a", "x")
				if n := len(s.commits("a")); n != 3 {
					t.Errorf("%d commits", n)
				}
			})
		})
	}
}
