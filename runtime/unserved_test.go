package runtime_test

import (
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// TestNode_Promised_AndUnserved: nobody waits who could be told that a command cannot be
// executed by any node that is there, so it is parked with its reason, and the others go
// on. Who waits is told.
func TestNode_Promised_AndUnserved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSetup(t, nil, nil)
		unknownKind := s.message("x", "add", add{N: 1})
		unknownKind.Target.Kind = "nothing"
		timer := s.message("a", "renamed", add{N: 1})
		timer.OnRefusal = nil
		malformed := s.message("a", "add", add{N: 1})
		malformed.Data = []byte(`{"N":"one"}`)
		for _, test := range []struct {
			m    actor.Message
			want actor.Code
		}{
			{unknownKind, actor.CodeUnknownKind},
			{timer, actor.CodeUnknownCommand},
			{malformed, actor.CodeMalformed},
		} {
			s.bus.publish(test.m, nil)
			var parked store.Parked
			s.eventually(string(test.want)+" is parked", func() bool {
				var found bool
				var err error
				parked, found, err = s.store.FindParked(t.Context(), store.Aggregate(test.m.Target.String()), string(test.m.ID))
				return err == nil && found
			})
			m, err := runtime.ParkedMessage(&parked)
			if err != nil || m.Name != test.m.Name || runtime.ParkedWaits(&parked) != test.want || parked.Reason == "" {
				t.Errorf("%s: parked %+v, %v", test.want, parked, err)
			}
			// Who asks again, as he may, is told.
			s.want(s.ask(test.m), test.want)
		}
		s.want(s.add("a", 2), actor.CodeOK)
		if n := len(s.parked("a")); n != 2 {
			t.Errorf("%d parked, want 2", n)
		}
		before := s.bus
		s.restart()
		if sum, version := s.read("a"); sum != 2 || version != 1 || s.bus != before {
			t.Errorf("sum %d, version %d", sum, version)
		}
	})
}

// TestNode_UnservedTimer_StaysSet: the firing of a timer that no node can execute is parked.
// Whoever sends it again, and waits, is told no, and the timer stays set: a refusal would be its
// end, and with it that of what is promised.
func TestNode_UnservedTimer_StaysSet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newClockworks(t, nil, nil)
		s.want(s.tell("a", "strike", strike{Say: "first"}), actor.CodeOK)
		m := s.message("a", "ganglion.perform", strike{Say: "later"})
		m.ID, m.Timer = actor.InternalID(time.Now(), "of a build with more"), "x"
		s.setBySlowCommit(&m)
		for _, heard := range []bool{false, true, false, true} {
			if heard {
				again := m
				again.Deadline = time.Now().Add(time.Minute) // as clients set it
				s.want(s.ask(again), actor.CodeUnknownCommand)
			} else {
				s.bus.publish(m, nil)
			}
			s.eventually("it is parked", func() bool {
				parked, found, err := s.store.FindParked(t.Context(), aggregate("a"), string(m.ID))
				if err != nil || !found || runtime.ParkedWaits(&parked) != actor.CodeUnknownCommand {
					return false
				}
				kept, err := runtime.ParkedMessage(&parked)
				return err == nil && kept.Deadline.IsZero() // of a promise: nodes try it by themselves
			})
		}
		s.want(s.tell("a", "strike", strike{Say: "second"}), actor.CodeOK)
		if n := len(s.commits("a")); n != 3 {
			t.Errorf("%d commits, want 3: %+v", n, s.commits("a"))
		}
	})
}
