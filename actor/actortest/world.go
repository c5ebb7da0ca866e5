package actortest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
)

// world is what the aggregates of a scenario ask for, and who carries it out.
type world struct {
	ctx        context.Context //nolint:containedctx // the test's
	performers map[string]*actor.Performer
	attempts   []Attempt
	seen       int // of attempts, that ThenAttempted has consumed
}

// asked is an effect that is not over.
type asked struct {
	id   actor.EffectID
	task actor.EffectTask
	at   time.Time // of the next attempt
}

// Attempt is one attempt of an effect, as it was made in a scenario.
type Attempt struct {
	actor.Call
	Input json.RawMessage
	At    time.Time // when it began
	Err   error     // that it failed with; nil: it succeeded
}

// Performs gives the scenario what carries effects out: the application's own handlers, or
// scripted answers ([Answers]). What an aggregate asks for is performed as on a node: in
// order for an aggregate and an effect, again after the pauses of its policy (without
// their chance), and its end is brought to the aggregate. Attempts are made when
// the scenario's time comes to them, by [Scenario.Advance] or [Scenario.At], and those that are due by
// [Scenario.Deliver]. Without a performer an effect stays asked for.
//
// An attempt that fails with [context.DeadlineExceeded] counts as one that has taken until
// its deadline. The handler's context has that deadline in the scenario's time, and
// does not end by itself: a handler that waits for it would wait for ever.
func (s *Scenario) Performs(all ...*actor.Performer) *Scenario {
	s.t.Helper()
	s.world.ctx = s.t.Context() //nolint:fatcontext // the same each time
	for _, p := range all {
		if s.world.performers == nil {
			s.world.performers = map[string]*actor.Performer{}
		}
		s.world.performers[p.Name()] = p
	}
	return s
}

// Answer is what a scripted attempt comes to.
type Answer[R any] func() (R, error)

// Succeeds answers with a result.
func Succeeds[R any](result R) Answer[R] { return func() (R, error) { return result, nil } }

// Fails answers with an error, which may be an [actor.Final] one.
func Fails[R any](err error) Answer[R] {
	return func() (none R, _ error) { return none, err }
}

// TimesOut answers not at all before the attempt's deadline.
func TimesOut[R any]() Answer[R] { return Fails[R](context.DeadlineExceeded) }

// Answers returns what carries an effect out by giving these answers, one for each attempt,
// of whichever aggregate; the last one again and again.
func Answers[I, R any](effect *actor.Effect[I, R], answers ...Answer[R]) *actor.Performer {
	n := 0
	return effect.By(func(context.Context, actor.Call, I) (none R, _ error) {
		if len(answers) == 0 {
			return none, actor.Final(errors.New("actortest: no answer is scripted"))
		}
		answer := answers[min(n, len(answers)-1)]
		n++
		return answer()
	})
}

// ask notes what a decision has asked for.
func (s *Scenario) ask(subject *subject, o actor.Outgoing) {
	s.t.Helper()
	m := o.Message(s.now)
	task, id, err := actor.ReadEffectTask(&m)
	if err != nil {
		s.t.Fatalf("%s asks for what cannot be read: %v", subject.address, err)
	}
	subject.effects[o.Timer] = &asked{id: id, task: task, at: s.now}
}

// performNext makes the attempt that is due first, up to a time. It returns false when
// none is.
func (s *Scenario) performNext(until time.Time) bool {
	s.t.Helper()
	var next *asked
	var of *subject
	for _, subject := range s.subjects {
		for timer, e := range subject.effects {
			if s.world.performers[e.task.Effect] == nil || e.at.After(until) || !subject.isNext(timer) {
				continue
			}
			if next == nil || e.at.Before(next.at) || e.at.Equal(next.at) && e.key() < next.key() {
				next, of = e, subject
			}
		}
	}
	if next == nil {
		return false
	}
	if next.at.After(s.now) {
		s.now = next.at
	}
	s.perform(of, next)
	return true
}

func (e *asked) key() string { return e.id.Address.String() + " " + e.id.Timer }

// isNext reports whether the effect is the first of its name.
func (s *subject) isNext(timer string) bool {
	prefix := timer[:strings.LastIndexByte(timer, '.')+1]
	for other := range s.effects {
		if other < timer && strings.HasPrefix(other, prefix) {
			return false
		}
	}
	return true
}

// perform makes one attempt.
func (s *Scenario) perform(of *subject, e *asked) {
	s.t.Helper()
	p := s.world.performers[e.task.Effect]
	policy := p.Policy()
	e.task.Begin(s.now)
	a := Attempt{At: s.now, Input: e.task.Input, Call: actor.Call{
		Key: e.id.Key(), Attempt: e.task.Attempt, Effect: e.task.Effect, Address: of.address, Asked: e.task.Asked,
		Deadline: s.now.Add(policy.Timeout), Metadata: e.id.Metadata,
	}}
	result, err := call(s.world.ctx, p, a)
	a.Err = err
	s.world.attempts = append(s.world.attempts, a)
	ended := s.now
	if errors.Is(err, context.DeadlineExceeded) {
		ended = a.Deadline
	}
	if err == nil {
		e.task.Succeed(result)
	} else if e.task.Fail(e.id, err, policy, ended, 0.5) == "" {
		e.at = e.task.Next
		return
	}
	s.finishStep()
	if ended.After(s.now) {
		s.now = ended
	}
	s.decide(e.task.Conclusion(e.id, s.now))
}

// deadline is a context with a deadline that does not end it.
type deadline struct {
	context.Context //nolint:containedctx // it is one
	at              time.Time
}

func (d deadline) Deadline() (time.Time, bool) { return d.at, true }

func call(ctx context.Context, p *actor.Performer, a Attempt) (result []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the handler panicked: %v", v)
		}
	}()
	return p.Perform(deadline{ctx, a.Deadline}, a.Call, a.Input) //nolint:contextcheck // as above
}

// Attempts returns all attempts of effects so far, in the order in which they began.
func (s *Scenario) Attempts() []Attempt { return slices.Clone(s.world.attempts) }

// ThenAsked requires that the last message asked for an effect, once, with this input.
func (s *Scenario) ThenAsked(effect string, input any) *Scenario {
	s.t.Helper()
	st, ok := s.carriedOut("ThenAsked")
	if !ok {
		return s
	}
	var got []any
	for i := range st.decision.Out {
		m := st.decision.Out[i].Message(s.now)
		if task, _, err := actor.ReadEffectTask(&m); err == nil && task.Effect == effect {
			got = append(got, document(task.Input))
		}
	}
	if diff := cmp.Diff([]any{documentOf(input)}, got); diff != "" {
		s.t.Errorf("%s: asked for %s (-want +got):\n%s", st, effect, diff)
	}
	return s
}

// ThenAskedNothing requires that the last message asked for no effect.
func (s *Scenario) ThenAskedNothing() *Scenario {
	s.t.Helper()
	st := s.current("ThenAskedNothing")
	for _, o := range st.decision.Out {
		if effect, ok := actor.EffectOf(o.Timer); ok {
			s.t.Errorf("%s: asked for %s", st, effect)
		}
	}
	return s
}

// ThenAttempted requires that the next attempts of the scenario were of this effect, with
// these numbers. Calls go on where the one before ended.
func (s *Scenario) ThenAttempted(effect string, numbers ...int) *Scenario {
	s.t.Helper()
	rest := s.world.attempts[s.world.seen:]
	rest = rest[:min(len(rest), len(numbers))]
	s.world.seen += len(rest)
	var want, got []string
	for _, n := range numbers {
		want = append(want, fmt.Sprintf("%s, attempt %d", effect, n))
	}
	for _, a := range rest {
		got = append(got, fmt.Sprintf("%s, attempt %d", a.Effect, a.Attempt))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("attempts (-want +got):\n%s", diff)
	}
	return s
}

// ThenPending requires that so many effects of an aggregate are not over.
func (s *Scenario) ThenPending(of actor.Address, want int) *Scenario {
	s.t.Helper()
	if got := s.subject(of).live.PendingEffects(); len(got) != want {
		s.t.Errorf("%s waits for %d effects, want %d: %v", of, len(got), want, got)
	}
	return s
}
