package actortest

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
)

// ClientOption tunes a [Scenario.Client].
type ClientOption func(*client)

// Held keeps what a command causes until [Scenario.Deliver]: what it sends, what sagas and
// policies make of its events, and commands that were only enqueued. So a test sees what a
// caller may see on a node, where all that comes a little later.
func Held() ClientOption { return func(c *client) { c.held = true } }

// Client returns an [actor.Client] whose aggregates are those of the scenario, for code
// of an application that is given one: HTTP handlers, services, whatever uses [actor.Ask],
// [actor.Send] and [actor.Read].
//
//	s := actortest.New(t, app.Definitions()...)
//	server := httptest.NewServer(app.Handler(s.Client()))
//	// ... requests, and the steps and Thens of s beside them
//
// A call meets what it would meet on a node: validation, creation policies, versions,
// recorded outcomes of repeated ids, ids reused for another command, rejections as they
// look after the wire. Each command is a step with all the checks of a When, and the Thens
// that follow are about the last command that a client brought; a refusal is the caller's
// affair, and needs no Then. Around each call everything that is on its way is delivered
// ([Scenario.Deliver]), so that sagas and policies are at rest between two calls, but for
// their timers, which [Scenario.Advance] moves; [Held] leaves that to the test.
//
// Time is the scenario's, and ids follow from it and from the order of the calls. A
// context counts only if it has ended before the call, and [actor.Until] by the scenario's
// time.
//
// The client is safe for concurrent use, and calls run one after another. They must not
// overlap steps of the scenario: let requests end first.
func (s *Scenario) Client(opts ...ClientOption) actor.Client {
	c := &client{scenario: s}
	for _, opt := range opts {
		opt(c)
	}
	return c
}

type client struct {
	scenario *Scenario
	held     bool
}

// Deliver implements [actor.Client].
func (c *client) Deliver(ctx context.Context, m actor.Message) actor.Outcome {
	if m.Type != actor.TypeCommand {
		m.Lane, m.ID = actor.LaneDirect, ""
	}
	return c.call(ctx, m, func(m actor.Message) actor.Outcome {
		s := c.scenario
		if b := s.behaviors[m.Target.Kind]; b == nil || b.IsPolicy() {
			return actor.Failure(actor.CodeUnknownKind, "the scenario was not given kind "+string(m.Target.Kind))
		}
		if m.Type != actor.TypeCommand {
			return c.read(m)
		}
		return c.decide(m)
	})
}

// Enqueue implements [actor.Client].
func (c *client) Enqueue(ctx context.Context, m actor.Message) error {
	if m.Type != actor.TypeCommand {
		return actor.Failure(actor.CodeMalformed, "only commands can be enqueued").Err()
	}
	m.Lane = actor.LaneDurable
	return c.call(ctx, m, func(m actor.Message) actor.Outcome {
		s := c.scenario
		if b := s.behaviors[m.Target.Kind]; c.held || b == nil || b.IsPolicy() {
			s.waiting = append(s.waiting, parcel{message: m})
		} else {
			c.decide(m)
		}
		return actor.Outcome{}
	}).Err()
}

// call makes a message complete, and does with it what is to be done, with everything
// delivered before and after that.
func (c *client) call(ctx context.Context, m actor.Message, do func(actor.Message) actor.Outcome) (o actor.Outcome) {
	s := c.scenario
	s.calls.Lock()
	defer s.calls.Unlock()
	if ctx.Err() != nil {
		return actor.Failure(actor.CodeNoOwner, "the caller's context had ended before the message was sent")
	}
	if err := c.complete(&m); err != nil {
		return actor.Failure(actor.CodeMalformed, err.Error())
	}
	t := s.t
	defer func() {
		s.t = t
		v := recover()
		if err, ok := v.(error); ok && errors.Is(err, errEnded) {
			o = actor.Failure(actor.CodeUnknownOutcome, "the test has failed, see its log")
		} else if v != nil {
			panic(v)
		}
	}()
	s.t = ending{t}
	s.finishStep()
	c.deliver()
	o = do(m)
	c.deliver()
	return o
}

// ending is the test as a call sees it, which may run on another goroutine than the
// test's: that cannot end the test, so it ends the call.
type ending struct{ testing.TB }

var errEnded = errors.New("actortest: the call has ended")

// Fatalf reports, and ends the call.
func (e ending) Fatalf(format string, args ...any) {
	e.Helper()
	e.Errorf(format, args...)
	panic(errEnded)
}

// complete fills in what a client fills in, and refuses what it refuses.
func (c *client) complete(m *actor.Message) error {
	s := c.scenario
	s.commands++
	if m.ID == "" && m.Type == actor.TypeCommand {
		m.ID = actor.DeriveID(s.now, "actortest", strconv.Itoa(s.commands))
	}
	if !m.Time.IsZero() && !m.Deadline.IsZero() { // by the clock of whoever made it
		m.Deadline = s.now.Add(m.Deadline.Sub(m.Time))
	}
	m.Time = s.now
	m.Attempt = max(m.Attempt, 1)
	if err := m.Foreign(); err != nil {
		return err
	}
	return m.Validate()
}

// deliver brings what is on its way. The Thens stay with the last command of a client.
func (c *client) deliver() {
	s := c.scenario
	if c.held || len(s.waiting) == 0 {
		return
	}
	var last *step
	if s.last != nil {
		kept := *s.last
		last = &kept
	}
	s.Deliver()
	s.last = last
}

// decide takes one command in as a step of the scenario.
func (c *client) decide(m actor.Message) actor.Outcome {
	return c.handle(m, actor.CodeParked, "the handler failed; the command waits for an operator")
}

// read answers a query, or shows a state. The Thens stay where they are.
func (c *client) read(m actor.Message) actor.Outcome {
	last := c.scenario.last
	defer func() { c.scenario.last = last }()
	return c.handle(m, actor.CodeUnloadable, "the handler failed")
}

// handle takes a message in. A handler that panics is answered with the code and its detail.
func (c *client) handle(m actor.Message, panicked actor.Code, detail string) actor.Outcome {
	s := c.scenario
	s.decide(m)
	s.last.expected = true
	d := s.last.decision
	if d.Panic != nil {
		s.t.Logf("%s: %s", s.last, describe(d))
		return actor.Failure(panicked, detail)
	}
	return wired(d.Outcome)
}

// wired is an outcome as it comes to a caller: what a rejection tells has been JSON.
func wired(o actor.Outcome) actor.Outcome {
	if o.Rejection == nil {
		return o
	}
	data, err := json.Marshal(o.Rejection)
	r := new(actor.Rejection)
	if err == nil {
		err = json.Unmarshal(data, r)
	}
	if err != nil {
		r = &actor.Rejection{Code: o.Rejection.Code, Message: o.Rejection.Message}
	}
	o.Rejection = r
	return o
}

// Events returns all events of the scenario's aggregates in the order in which they came,
// those of Given included, as readers of the event stream get them: for the fixtures of
// read models, see projectiontest.Scenario.GivenRecords. It is a copy.
func (s *Scenario) Events() []actor.EventRecord {
	return append([]actor.EventRecord(nil), s.records...)
}

// record notes an event that was committed.
func (s *Scenario) record(r actor.EventRecord) {
	r.Position = uint64(len(s.records)) + 1
	s.records = append(s.records, r)
}
