package runtime_test

import (
	"testing"

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
