package actortest

import (
	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
)

// twin is a second instance that must decide as the live one does.
type twin struct {
	from     string
	instance *actor.Instance
}

// decide runs a message on the live instance and on its twins, and makes the
// checks that every step makes.
func (s *Scenario) decide(m actor.Message) *Scenario {
	s.t.Helper()
	s.finishStep()
	subject := s.subject(m.Target)
	s.last = &step{subject: subject, message: m}
	if recorded, ok := subject.outcomes[m.ID]; ok && m.Type == actor.TypeCommand {
		s.last.decision = actor.Decision{Outcome: recorded.answers(subject.behavior, &m)}
		return s
	}
	if !m.Deadline.IsZero() && m.Time.After(m.Deadline) {
		s.last.decision = actor.Decision{Outcome: actor.Failure(actor.CodeExpired, "its deadline has passed")}
		return s
	}
	twins := s.twins(subject)
	d := subject.live.Decide(&m)
	s.last.decision = d
	for _, twin := range twins {
		s.compare(subject, twin, d, twin.instance.Decide(&m))
	}
	subject.history = append(subject.history, d.Events...)
	if m.Type == actor.TypeCommand && (d.Outcome.Code.Recorded() && !d.Invalid || len(d.Events) > 0) {
		subject.outcomes[m.ID] = outcome{of: m, is: d.Outcome}
		subject.commits = append(subject.commits, commit{id: m.ID, out: d.Out})
	}
	s.take(subject, m, d)
	s.checkState(subject, d.Tainted)
	return s
}

func (s *Scenario) twins(subject *subject) []twin {
	s.t.Helper()
	var twins []twin
	// Two: what depends on the order of a map often agrees by chance.
	for range 2 {
		if rebuilt, err := subject.rebuild(); err != nil {
			s.t.Fatalf("%s: %v", subject.address, err)
		} else {
			twins = append(twins, twin{from: "rebuilt from its events", instance: rebuilt})
		}
	}
	if !subject.snapshots() {
		return twins
	}
	restored, err := subject.restore(subject.live)
	if err != nil {
		s.t.Errorf("%s: snapshot: %v", subject.address, err)
		return twins
	}
	return append(twins, twin{from: "restored from a snapshot", instance: restored})
}

func (s *Scenario) compare(subject *subject, twin twin, first, second actor.Decision) {
	s.t.Helper()
	if diff := compareDecisions(first, second); diff != "" {
		s.t.Errorf("%s: not deterministic: decided again on an instance %s (-first +second):\n%s", s.last, twin.from, diff)
		return
	}
	if first.Tainted {
		return
	}
	if diff := cmp.Diff(subject.live.RuntimeState(), twin.instance.RuntimeState()); diff != "" {
		s.t.Errorf("%s: timers differ from those of an instance %s, after the same decision (-live +second):\n%s", s.last, twin.from, diff)
	}
	if diff := compareStates(subject.live.State(), twin.instance.State()); diff != "" {
		s.t.Errorf("%s: the state differs from that of an instance %s, after the same decision (-live +second):\n%s", s.last, twin.from, diff)
	}
}

// checkState compares the live state with what replay and a snapshot make of it.
// A tainted instance is thrown away, as a node does.
func (s *Scenario) checkState(subject *subject, tainted bool) {
	s.t.Helper()
	replayed, err := subject.rebuild()
	if err != nil {
		s.t.Fatalf("%s: its events cannot be replayed: %v", s.last, err)
	}
	if tainted {
		subject.live = replayed
	} else if diff := compareStates(replayed.State(), subject.live.State()); diff != "" {
		s.t.Errorf("%s: state was changed outside apply (-replayed +live):\n%s", s.last, diff)
	}
	if diff := cmp.Diff(replayed.RuntimeState(), subject.live.RuntimeState()); diff != "" {
		s.t.Errorf("%s: timers differ from what the history says (-replayed +live):\n%s", s.last, diff)
	}
	s.checkSnapshot(subject, replayed)
	if !subject.live.Exists() {
		return
	}
	if shown := subject.live.Decide(&actor.Message{Type: actor.TypeState, Target: subject.address}); shown.Outcome.Code != actor.CodeOK {
		s.t.Errorf("%s: the state cannot be shown: %s", s.last, describe(shown))
	}
}

// checkSnapshot looks at a snapshot of the live state, and takes one of the replayed state
// as a node does, which goes on with what it holds.
func (s *Scenario) checkSnapshot(subject *subject, replayed *actor.Instance) {
	s.t.Helper()
	if !subject.snapshots() {
		return
	}
	restored, err := subject.restore(subject.live)
	if err != nil {
		s.t.Errorf("%s: snapshot: %v", s.last, err)
		return
	}
	if diff := compareStates(subject.live.State(), restored.State()); diff != "" {
		s.t.Errorf("%s: a snapshot does not come back as the same state (-live +restored):\n%s", s.last, diff)
	} else if subject.live == replayed {
		return // it was thrown away, and is checked after the next step
	} else if _, err := replayed.TakeSnapshot(); err != nil {
		s.t.Errorf("%s: snapshot: %v", s.last, err)
	}
}
