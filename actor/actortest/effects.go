package actortest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
)

// maxDeliveries bounds one Deliver, and the firings of one move of the time.
const maxDeliveries = 10_000

// parcel is what waits for Deliver: a command that was sent, or an event for the
// sagas and policies of the scenario.
type parcel struct {
	message actor.Message
	event   *actor.EventRecord
}

// take notes what a decision has sent and raised.
func (s *Scenario) take(subject *subject, m actor.Message, d actor.Decision) {
	for i, e := range d.Events {
		r := actor.EventRecord{
			Source: subject.address, Version: d.Outcome.Version - actor.Version(len(d.Events)-1-i),
			Name: e.Name, Data: e.Data, Time: s.now, CommandID: m.ID, Metadata: m.Metadata,
		}
		s.record(r)
		s.waiting = append(s.waiting, parcel{event: &r})
	}
	if m.Timer != "" && d.Outcome.Code != actor.CodeCancelled {
		delete(subject.timers, m.Timer)
		delete(subject.effects, m.Timer)
	}
	for _, o := range d.Out {
		switch {
		case o.Name == actor.PerformCommand:
			s.ask(subject, o)
		case o.Timer == "":
			s.send(o.Message(s.now))
		case o.Name == "":
			delete(subject.timers, o.Timer)
		default:
			subject.timers[o.Timer] = o
		}
	}
}

func (s *Scenario) send(m actor.Message) {
	s.last.sent = append(s.last.sent, m)
	s.waiting = append(s.waiting, parcel{message: m})
}

// WhenEvent brings an event of another aggregate to the sagas and policies of the
// scenario that react to it: what a node does with every event that was committed.
// The scenario must have been given the event's kind. The Thens that follow are about
// the saga that reacted, the last one if several did, and about what all of them
// sent. [Scenario.WhenRetried] brings the event once more.
func (s *Scenario) WhenEvent(from actor.Address, event any) *Scenario {
	s.t.Helper()
	source := s.subject(from)
	e, err := source.behavior.Encode(event)
	if err != nil {
		s.t.Fatalf("WhenEvent %s: %v", from, err)
	}
	s.finishStep()
	source.foreign++
	s.commands++
	s.route(&actor.EventRecord{
		Source: from, Version: source.live.Version() + source.foreign, Name: e.Name, Data: e.Data, Time: s.now,
		CommandID: actor.DeriveID(s.now, "actortest", "event", fmt.Sprint(s.commands)),
	})
	return s
}

// route has all reactors of the scenario react to an event.
func (s *Scenario) route(r *actor.EventRecord) {
	s.t.Helper()
	base := &step{
		subject: s.subject(r.Source), message: actor.Message{Type: actor.TypeState, Target: r.Source, Name: r.Name},
		decision: actor.Decision{Outcome: actor.Outcome{Version: r.Version}},
	}
	s.last = base
	for _, kind := range slices.Sorted(maps.Keys(s.behaviors)) {
		for _, reaction := range s.behaviors[kind].Reactions() {
			if reaction.Kind != r.Source.Kind || reaction.Event != r.Name {
				continue
			}
			messages, err := reaction.Route(*r)
			if err != nil {
				s.t.Fatalf("%s: %v", base, err)
			}
			for _, m := range messages {
				if m.Target.Kind != kind { // a policy's
					s.send(m)
					continue
				}
				before := s.last.sent
				s.decide(m)
				s.last.sent = append(before, s.last.sent...)
			}
		}
	}
}

// Deliver brings everything that has been sent so far in the scenario to its
// aggregates, all events to the sagas and policies of the scenario, and then what
// follows from that, until nothing is left. Effects that are due are performed, if the
// scenario has a performer. What is for a kind that the scenario was
// not given stays sent. It does not wait for timers: see [Scenario.Advance].
//
// A command that is refused on the way is no failure of the test, as nobody waits for
// its reply; look at what it was to bring about. The Thens that follow Deliver are
// about the last command that it brought, and about what was sent and stayed.
func (s *Scenario) Deliver() *Scenario {
	s.t.Helper()
	s.finishStep()
	var stayed []actor.Message
	for n := 0; len(s.waiting) > 0 || s.performNext(s.now); n++ {
		if n == maxDeliveries {
			s.t.Fatalf("Deliver: no end after %d", n)
		}
		if len(s.waiting) == 0 {
			continue
		}
		next := s.waiting[0]
		s.waiting = s.waiting[1:]
		switch {
		case next.event != nil:
			s.route(next.event)
		case s.behaviors[next.message.Target.Kind] == nil:
			stayed = append(stayed, next.message)
		default:
			s.decide(next.message)
		}
		if s.last != nil {
			s.last.expected = true
		}
	}
	for _, m := range stayed {
		s.waiting = append(s.waiting, parcel{message: m})
	}
	if s.last != nil {
		s.last.sent = stayed
	}
	return s
}

// fireUntil moves the time on, from timer to timer.
func (s *Scenario) fireUntil(t time.Time) {
	s.t.Helper()
	for n := 0; ; n++ {
		due, ok := s.nextTimer(t)
		until := t
		if ok {
			until = due.At
		}
		if s.performNext(until) {
			if n == maxDeliveries {
				s.t.Fatal("effects are performed without an end")
			}
			continue
		}
		if !ok {
			break
		}
		if n == maxDeliveries {
			s.t.Fatalf("%s fires without an end", due.Timer)
		}
		if due.At.After(s.now) {
			s.now = due.At
		}
		s.decide(due.Message(s.now))
	}
	if t.After(s.now) {
		s.now = t
	}
}

// nextTimer returns the timer that fires first, up to t.
func (s *Scenario) nextTimer(t time.Time) (next actor.Outgoing, found bool) {
	for _, subject := range s.subjects {
		for _, o := range subject.timers {
			sooner := !found || o.At.Before(next.At) || o.At.Equal(next.At) && timerKey(o) < timerKey(next)
			if !o.At.After(t) && sooner {
				next, found = o, true
			}
		}
	}
	return next, found
}

func timerKey(o actor.Outgoing) string { return o.To.String() + " " + o.Timer }

// ThenSent requires that the next commands which the last message sent are these, to
// this aggregate. Calls go on where the one before ended.
func (s *Scenario) ThenSent(to actor.Address, commands ...actor.Command) *Scenario {
	s.t.Helper()
	st, ok := s.carriedOut("ThenSent")
	if !ok {
		return s
	}
	var want, got []record
	for _, c := range commands {
		want = append(want, record{Name: to.String() + " " + s.commandName(to, c), Data: documentOf(c)})
	}
	rest := st.sent[st.sends:]
	for _, m := range rest[:min(len(rest), len(want))] {
		got = append(got, record{Name: m.Target.String() + " " + m.Name, Data: document(m.Data)})
	}
	st.sends += len(got)
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("%s: sent (-want +got):\n%s", st, diff)
	}
	return s
}

// commandName asks the definition of a kind that the scenario was given, and the
// command itself otherwise.
func (s *Scenario) commandName(to actor.Address, c actor.Command) string {
	s.t.Helper()
	m, err := actor.NewMessage(to, c)
	if err != nil {
		s.t.Fatalf("%T: %v", c, err)
	}
	if b := s.behaviors[to.Kind]; b != nil && !b.HasCommand(m.Name) {
		s.t.Fatalf("%s has no command %s", to.Kind, m.Name)
	}
	return m.Name
}

// ThenOnRefusal requires that the command which ThenSent has named last comes with
// this one, to be sent back should it be refused.
func (s *Scenario) ThenOnRefusal(command actor.RefusalCommand) *Scenario {
	s.t.Helper()
	st := s.current("ThenOnRefusal")
	if st.sends == 0 {
		s.t.Fatalf("%s: ThenOnRefusal before ThenSent", st)
	}
	m := st.sent[st.sends-1]
	if m.OnRefusal == nil {
		s.t.Errorf("%s: nobody waits for a refusal of %s", st, m.Name)
		return s
	}
	want := record{Name: s.commandName(m.OnRefusal.To, command), Data: documentOf(command)}
	got := record{Name: m.OnRefusal.Name, Data: document(m.OnRefusal.Data)}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("%s: sent back if %s is refused (-want +got):\n%s", st, m.Name, diff)
	}
	return s
}

// ThenNothingElseSent requires that the last message sent no more commands than those
// that ThenSent has named; after a When alone, none at all.
func (s *Scenario) ThenNothingElseSent() *Scenario {
	s.t.Helper()
	st := s.current("ThenNothingElseSent")
	var rest []string
	for _, m := range st.sent[st.sends:] {
		rest = append(rest, fmt.Sprintf("%s to %s %s", m.Name, m.Target, m.Data))
	}
	if len(rest) > 0 {
		s.t.Errorf("%s: sent as well: %s", st, strings.Join(rest, ", "))
	}
	return s
}

// ThenTimer requires that the aggregate of the last message has set a timer of that
// name to that time and command.
func (s *Scenario) ThenTimer(name string, at time.Time, command actor.Command) *Scenario {
	s.t.Helper()
	st := s.current("ThenTimer")
	o, ok := s.subject(st.message.Target).timers[name]
	if !ok {
		s.t.Errorf("%s: timer %s is not set; set are %s", st, name, s.timersOf(st.message.Target))
		return s
	}
	if !o.At.Equal(at) {
		s.t.Errorf("%s: timer %s is set to %s, want %s", st, name, o.At.Format(time.RFC3339Nano), at.Format(time.RFC3339Nano))
	}
	want := record{Name: s.commandName(o.To, command), Data: documentOf(command)}
	if diff := cmp.Diff(want, record{Name: o.Name, Data: document(o.Data)}); diff != "" {
		s.t.Errorf("%s: command of timer %s (-want +got):\n%s", st, name, diff)
	}
	return s
}

// ThenNoTimer requires that the aggregate of the last message has set none of these
// timers; without names, none at all.
func (s *Scenario) ThenNoTimer(names ...string) *Scenario {
	s.t.Helper()
	st := s.current("ThenNoTimer")
	timers := s.subject(st.message.Target).timers
	for name := range timers {
		if len(names) == 0 || slices.Contains(names, name) {
			s.t.Errorf("%s: timer %s is set; set are %s", st, name, s.timersOf(st.message.Target))
			break
		}
	}
	return s
}

func (s *Scenario) timersOf(a actor.Address) string {
	var all []string
	for _, t := range s.subject(a).live.RuntimeState().Timers {
		all = append(all, fmt.Sprintf("%s (%s at %s)", t.Name, t.Command, t.At.Format(time.RFC3339Nano)))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// ThenEnded requires that the saga of the last message has ended.
func (s *Scenario) ThenEnded() *Scenario {
	s.t.Helper()
	return s.saga("ThenEnded", "ended", true, func(r actor.RuntimeState) bool { return r.Ended })
}

// ThenNotEnded requires that it has not.
func (s *Scenario) ThenNotEnded() *Scenario {
	s.t.Helper()
	return s.saga("ThenNotEnded", "ended", false, func(r actor.RuntimeState) bool { return r.Ended })
}

// ThenOverdue requires that the saga of the last message has not ended within its
// deadline.
func (s *Scenario) ThenOverdue() *Scenario {
	s.t.Helper()
	return s.saga("ThenOverdue", "overdue", true, func(r actor.RuntimeState) bool { return r.Overdue })
}

func (s *Scenario) saga(caller, what string, want bool, is func(actor.RuntimeState) bool) *Scenario {
	s.t.Helper()
	st := s.current(caller)
	if got := is(s.subject(st.message.Target).live.RuntimeState()); got != want {
		s.t.Errorf("%s: %s: %s is %v", st, caller, what, got)
	}
	return s
}

// effects is the comparable form of what a decision sends.
func effects(out []actor.Outgoing) []record {
	var all []record
	for i := range out {
		data, err := json.Marshal(out[i])
		if err != nil {
			all = append(all, record{Name: err.Error()})
			continue
		}
		r := record{Name: out[i].Name, Data: document(data)}
		all = append(all, r)
	}
	return all
}
