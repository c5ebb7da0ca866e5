package actortest

import (
	"encoding/json"
	"reflect"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Scenario is a sequence of steps over some aggregates. Its methods return the
// scenario, so that steps can be chained.
type Scenario struct {
	t         testing.TB
	behaviors map[actor.Kind]*actor.Behavior
	subjects  map[actor.Address]*subject
	defaults  []actor.CallOption
	now       time.Time
	commands  int
	last      *step
	waiting   []parcel // for Deliver
	records   []actor.EventRecord
	calls     sync.Mutex // held by a call of a client
	world     world
}

// step is one message with what came of it and what the test has asserted.
type step struct {
	subject  *subject
	message  actor.Message
	decision actor.Decision
	sent     []actor.Message
	raised   int  // events that ThenRaised has consumed
	sends    int  // of sent, that ThenSent has consumed
	expected bool // a refusal that a Then expected
}

// New returns a scenario over the given kinds of aggregates. Its time begins at
// 2026-01-01T00:00:00Z.
func New(t testing.TB, definitions ...actor.Registrable) *Scenario {
	t.Helper()
	s := &Scenario{
		t:         t,
		behaviors: map[actor.Kind]*actor.Behavior{},
		subjects:  map[actor.Address]*subject{},
		now:       time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	for _, d := range definitions {
		b := d.Behavior()
		if s.behaviors[b.Kind()] != nil {
			t.Fatalf("actortest: kind %s is given twice", b.Kind())
		}
		s.behaviors[b.Kind()] = b
	}
	t.Cleanup(s.finishStep)
	return s
}

// Given adds events to an aggregate's history.
func (s *Scenario) Given(to actor.Address, events ...any) *Scenario {
	s.t.Helper()
	stored := make([]actor.Event, 0, len(events))
	for _, e := range events {
		encoded, err := s.subject(to).behavior.Encode(e)
		if err != nil {
			s.t.Fatalf("Given %s: %v", to, err)
		}
		stored = append(stored, encoded)
	}
	return s.GivenStored(to, stored...)
}

// GivenStored adds events in their stored form, older forms included.
func (s *Scenario) GivenStored(to actor.Address, events ...actor.Event) *Scenario {
	s.t.Helper()
	s.finishStep()
	subject := s.subject(to)
	for _, e := range events {
		if err := subject.live.Replay(e); err != nil {
			s.t.Fatalf("Given %s: %v", to, err)
		}
		subject.history = append(subject.history, e)
		s.record(actor.EventRecord{
			Source: to, Version: subject.live.Version(), Name: e.Name, Data: e.Data, Time: s.now,
			CommandID: actor.DeriveID(s.now, "actortest", "given", to.String(), strconv.FormatUint(uint64(subject.live.Version()), 10)),
		})
	}
	return s
}

// At sets the time at which the following commands are made. Timers that are due by
// then fire on the way, each at its time, the earliest first; the Thens that follow
// are about the last of them.
func (s *Scenario) At(t time.Time) *Scenario {
	s.t.Helper()
	s.fireUntil(t)
	s.now = t
	return s
}

// Advance moves the time on, see [Scenario.At].
func (s *Scenario) Advance(d time.Duration) *Scenario { return s.At(s.now.Add(d)) }

// Now returns the scenario's time.
func (s *Scenario) Now() time.Time { return s.now }

// With sets options for all following commands, before those of each When.
func (s *Scenario) With(opts ...actor.CallOption) *Scenario {
	s.defaults = opts
	return s
}

// When decides a command or a query. Every call is a new intention with a
// command id of its own, unless [actor.WithCommandID] says otherwise. As on a
// node, an id that the aggregate has decided before gets the recorded outcome,
// and a command past its [actor.Until] is not executed.
func (s *Scenario) When(to actor.Address, payload any, opts ...actor.CallOption) *Scenario {
	s.t.Helper()
	name, messageType, ok := s.subject(to).nameOf(reflect.TypeOf(payload))
	if !ok {
		s.t.Fatalf("When: %s has no command or query %T", to.Kind, payload)
	}
	data, err := json.Marshal(payload)
	if err != nil {
		s.t.Fatalf("When %s: encode %T: %v", to, payload, err)
	}
	return s.when(messageType, to, name, data, opts)
}

// WhenJSON decides a command that is given as it stands on the wire.
func (s *Scenario) WhenJSON(to actor.Address, name, data string, opts ...actor.CallOption) *Scenario {
	s.t.Helper()
	return s.when(actor.TypeCommand, to, name, []byte(data), opts)
}

func (s *Scenario) when(t actor.MessageType, to actor.Address, name string, data []byte, opts []actor.CallOption) *Scenario {
	s.t.Helper()
	m := actor.Message{Type: t, Target: to, Name: name, Data: data, Time: s.now, Attempt: 1}
	for _, opt := range append(s.defaults[:len(s.defaults):len(s.defaults)], opts...) {
		opt(&m)
	}
	s.commands++
	if m.ID == "" && t == actor.TypeCommand {
		m.ID = actor.DeriveID(s.now, "actortest", strconv.Itoa(s.commands))
	}
	if err := m.Validate(); err != nil {
		s.t.Fatalf("When: %v", err)
	}
	return s.decide(m)
}

// WhenRetried brings the last message once more, under the same command id. As
// on a node, the recorded outcome answers it, and no event is raised again.
func (s *Scenario) WhenRetried() *Scenario {
	s.t.Helper()
	m := s.current("WhenRetried").message
	m.Attempt++
	return s.decide(m)
}

// WhenRepeated brings the last message once more as a new intention, under a
// new command id: what a caller does that has forgotten the first one.
func (s *Scenario) WhenRepeated() *Scenario {
	s.t.Helper()
	m := s.current("WhenRepeated").message
	return s.when(m.Type, m.Target, m.Name, m.Data, []actor.CallOption{
		func(again *actor.Message) { again.Expect, again.Metadata, again.Lane = m.Expect, m.Metadata, m.Lane },
	})
}

func (s *Scenario) subject(to actor.Address) *subject {
	s.t.Helper()
	if known := s.subjects[to]; known != nil {
		return known
	}
	b := s.behaviors[to.Kind]
	if b == nil {
		s.t.Fatalf("actortest: the scenario was not given kind %q", to.Kind)
	}
	if err := to.Validate(); err != nil {
		s.t.Fatalf("actortest: %v", err)
	}
	created := &subject{behavior: b, address: to, live: b.New(to), outcomes: map[actor.CommandID]outcome{}, timers: map[string]actor.Outgoing{}, effects: map[string]*asked{}}
	s.subjects[to] = created
	return created
}

func (s *Scenario) current(caller string) *step {
	s.t.Helper()
	if s.last == nil {
		s.t.Fatalf("actortest: %s before the first When", caller)
	}
	return s.last
}

// finishStep reports a refusal that no Then has expected: without it, a test
// of the steps that follow would stand on something that did not happen.
func (s *Scenario) finishStep() {
	s.t.Helper()
	if s.last == nil || s.last.expected || s.last.decision.Outcome.Code == actor.CodeOK {
		return
	}
	s.last.expected = true
	s.t.Errorf("%s: refused, and no Then expected it: %s", s.last, describe(s.last.decision))
}

// String names the message of the step in reports.
func (st *step) String() string {
	return st.message.Name + " to " + st.message.Target.String()
}
