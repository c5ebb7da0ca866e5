package actortest

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
)

// ThenReply requires that the last message was carried out with the given
// reply, which must have the type that the handler declares.
func (s *Scenario) ThenReply(want any) *Scenario {
	s.t.Helper()
	st, ok := s.carriedOut("ThenReply")
	if !ok {
		return s
	}
	if declared := st.subject.replyTypeOf(st.message); reflect.TypeOf(want) != declared {
		s.t.Fatalf("%s: ThenReply(%T): the handler replies with %v", st, want, declared)
	}
	if diff := cmp.Diff(documentOf(want), document(st.decision.Outcome.Reply)); diff != "" {
		s.t.Errorf("%s: reply (-want +got):\n%s", st, diff)
	}
	return s
}

// ThenRaised requires that the next events which the last command raised are
// these, in this order. Calls go on where the one before ended.
func (s *Scenario) ThenRaised(events ...any) *Scenario {
	s.t.Helper()
	st, ok := s.carriedOut("ThenRaised")
	if !ok {
		return s
	}
	want := make([]actor.Event, 0, len(events))
	for _, e := range events {
		encoded, err := st.subject.behavior.Encode(e)
		if err != nil {
			s.t.Fatalf("%s: ThenRaised: %v", st, err)
		}
		want = append(want, encoded)
	}
	got := st.own()[st.raised:]
	got = got[:min(len(got), len(want))]
	st.raised += len(got)
	if diff := cmp.Diff(records(want), records(got)); diff != "" {
		s.t.Errorf("%s: events (-want +got):\n%s", st, diff)
	}
	return s
}

// own returns the raised events without those of the runtime's own.
func (st *step) own() []actor.Event {
	return slices.DeleteFunc(slices.Clone(st.decision.Events), func(e actor.Event) bool { return actor.Reserved(e.Name) })
}

// ThenNothingElse requires that the last message raised no more events than
// those that ThenRaised has named; after a When alone, none at all. Events of the
// runtime's own, see [actor.Reserved], do not count.
func (s *Scenario) ThenNothingElse() *Scenario {
	s.t.Helper()
	st := s.current("ThenNothingElse")
	if rest := st.own()[st.raised:]; len(rest) > 0 {
		s.t.Errorf("%s: raised as well: %s", st, describeEvents(rest))
	}
	return s
}

// ThenRejected requires that the aggregate rejected the command. An
// [*actor.Rejection] is compared by its code, and by its details if it has any. Any
// other error is no rejection but a fault: see [Scenario.ThenFails].
func (s *Scenario) ThenRejected(want error) *Scenario {
	s.t.Helper()
	st := s.current("ThenRejected")
	st.expected = true
	got := st.decision.Outcome.Rejection
	r, ok := errors.AsType[*actor.Rejection](want)
	if !ok {
		s.t.Errorf("%s: %q is no *actor.Rejection; a handler that returns it fails, see ThenFails; got %s", st, want, describe(st.decision))
		return s
	}
	if st.decision.Outcome.Code != actor.CodeRejected || got == nil {
		s.t.Errorf("%s: want a rejection %q, got %s", st, want, describe(st.decision))
		return s
	}
	switch {
	case got.Code != r.Code:
		s.t.Errorf("%s: want a rejection with %s, got %s", st, r.Code, describe(st.decision))
	case len(r.Details) > 0:
		if diff := cmp.Diff(documentOf(r.Details), documentOf(got.Details)); diff != "" {
			s.t.Errorf("%s: details of the rejection %s (-want +got):\n%s", st, r.Code, diff)
		}
	}
	return s
}

// ThenFails requires that the last message was refused with the given code by
// the runtime, not by the aggregate: a creation policy, an expected version, a
// malformed command, [actor.CodeParked] for a panic or an error that is no rejection.
func (s *Scenario) ThenFails(code actor.Code) *Scenario {
	s.t.Helper()
	st := s.current("ThenFails")
	st.expected = true
	if got := st.decision.Outcome.Code; got != code {
		s.t.Errorf("%s: want the failure %s, got %s", st, code, describe(st.decision))
	}
	return s
}

// ThenVersion requires the version that the caller of the last message is told.
func (s *Scenario) ThenVersion(want actor.Version) *Scenario {
	s.t.Helper()
	st := s.current("ThenVersion")
	if got := st.decision.Outcome.Version; got != want {
		s.t.Errorf("%s: want version %d, got %d", st, want, got)
	}
	return s
}

// ThenState requires a state of the aggregate of the last message; see
// [Scenario.ThenStateOf].
func (s *Scenario) ThenState(want any) *Scenario {
	s.t.Helper()
	return s.ThenStateOf(s.current("ThenState").message.Target, want)
}

// ThenStateOf requires a state of an aggregate: the wanted state itself, S or
// *S, unexported fields included, or a func(*S) that looks at it. The function
// gets a copy.
func (s *Scenario) ThenStateOf(of actor.Address, want any) *Scenario {
	s.t.Helper()
	rebuilt, err := s.subject(of).rebuild()
	if err != nil {
		s.t.Fatalf("%s: %v", of, err)
	}
	state, v := reflect.ValueOf(rebuilt.State()), reflect.ValueOf(want)
	switch {
	case !v.IsValid():
		s.t.Fatalf("%s: ThenState(nil)", of)
	case v.Kind() == reflect.Func && v.Type().NumIn() == 1 && v.Type().NumOut() == 0 && v.Type().In(0) == state.Type():
		v.Call([]reflect.Value{state})
	case v.Type() == state.Type():
		s.reportState(of, want, rebuilt.State())
	case v.Type() == state.Type().Elem():
		s.reportState(of, want, state.Elem().Interface())
	default:
		s.t.Fatalf("%s: ThenState(%T): want %v, its value, or a function of it", of, want, state.Type())
	}
	return s
}

func (s *Scenario) reportState(of actor.Address, want, got any) {
	s.t.Helper()
	if diff := compareStates(want, got); diff != "" {
		s.t.Errorf("%s: state (-want +got):\n%s", of, diff)
	}
}

// ThenShown requires what a read of the aggregate's state shows, compared as
// JSON; want may be any value that encodes to it.
func (s *Scenario) ThenShown(want any) *Scenario {
	s.t.Helper()
	st := s.current("ThenShown")
	shown := st.subject.live.Decide(&actor.Message{Type: actor.TypeState, Target: st.message.Target})
	if shown.Outcome.Code != actor.CodeOK {
		s.t.Errorf("%s: nothing is shown: %s", st.message.Target, describe(shown))
		return s
	}
	if diff := cmp.Diff(documentOf(want), document(shown.Outcome.Reply)); diff != "" {
		s.t.Errorf("%s: shown (-want +got):\n%s", st.message.Target, diff)
	}
	return s
}

// Decision returns what came of the last message.
func (s *Scenario) Decision() actor.Decision {
	s.t.Helper()
	return s.current("Decision").decision
}

// Reply returns the reply to the last message of s, for what a test cannot
// know beforehand. It ends the test when the message was refused.
func Reply[R any](s *Scenario) R {
	s.t.Helper()
	var reply R
	st, ok := s.carriedOut("Reply")
	if !ok {
		s.t.FailNow()
	}
	if err := json.Unmarshal(st.decision.Outcome.Reply, &reply); err != nil {
		s.t.Fatalf("%s: Reply: %v", st, err)
	}
	return reply
}

func (s *Scenario) carriedOut(caller string) (*step, bool) {
	s.t.Helper()
	st := s.current(caller)
	if st.decision.Outcome.Code == actor.CodeOK {
		return st, true
	}
	st.expected = true // reported here, once
	s.t.Errorf("%s: %s: the message was refused: %s", st, caller, describe(st.decision))
	return st, false
}
