package actor_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
)

// follower is a saga over accounts: it notes what it hears.
type follower struct{ Notes []string }

type (
	noted   struct{ Note string }
	goOn    struct{ actor.Replies[actor.None] }
	showing struct{ actor.Replies[int] }
)

var followers = actor.DefineSaga("follower", func(d *actor.SagaDefinition[follower]) {
	byID := func(id string) string {
		switch id {
		case "nobody's":
			return ""
		case "too long":
			return strings.Repeat("x", actor.MaxIDBytes+1)
		case "panics":
			panic("correlate failed")
		}
		return "of " + id
	}
	actor.StartsOn(d, accounts, func(f *follower, ctx *actor.Context, e deposited) {
		if e.Amount == 0 {
			return
		}
		r, ok := ctx.Event()
		if !ok || r.Source.Kind != "account" {
			panic("no event")
		}
		ctx.Raise(noted{Note: r.Name})
		if e.Amount == 99 {
			ctx.Deadline(2 * time.Hour)
		}
		if e.Amount == 98 {
			ctx.Deadline(0)
		}
	}, func(_ deposited, r actor.EventRecord) string { return byID(r.Source.ID) })
	actor.Reacts(d, accounts, func(f *follower, ctx *actor.Context, _ withdrawn) {
		ctx.Raise(noted{Note: "withdrawn"})
		ctx.After(time.Minute, goOn{})
		ctx.End()
		ctx.End()
	}, func(_ withdrawn, r actor.EventRecord) string { return byID(r.Source.ID) })
	actor.On(d, func(f *follower, ctx *actor.Context, _ goOn) (actor.None, error) {
		ctx.After(time.Minute, goOn{})
		return actor.None{}, nil
	})
	actor.Query(d, func(f *follower, _ *actor.QueryContext, _ showing) (int, error) { return len(f.Notes), nil })
	actor.Apply(d, func(f *follower, e noted) { f.Notes = append(f.Notes, e.Note) })
	actor.SagaDeadline(d, time.Hour)
	actor.OnOverdue(d, func(f *follower, ctx *actor.Context) { ctx.Raise(noted{Note: "overdue"}) })
})

func recordOf(id string, v actor.Version, name, data string) actor.EventRecord {
	return actor.EventRecord{
		Position: 77, Partition: 3, Source: accounts.ID(id), Version: v, Name: name, Data: []byte(data),
		Time: at, CommandID: "c-9", Metadata: actor.Metadata{Correlation: "co", User: "ann"},
	}
}

// route has all reactions of a definition look at an event.
func route(t *testing.T, of actor.Registrable, r actor.EventRecord) ([]actor.Message, error) {
	t.Helper()
	var all []actor.Message
	for _, reaction := range of.Behavior().Reactions() {
		messages, err := reaction.Route(r)
		if err != nil {
			return nil, err
		}
		if (reaction.Kind != r.Source.Kind || reaction.Event != r.Name) && len(messages) > 0 {
			t.Errorf("%+v routes %s", reaction, r.Name)
		}
		all = append(all, messages...)
	}
	return all, nil
}

func TestReactions_Declared(t *testing.T) {
	t.Parallel()
	var got []string
	for _, r := range followers.Behavior().Reactions() {
		got = append(got, string(r.Reactor)+" "+string(r.Kind)+" "+r.Event)
	}
	want := []string{
		"follower account deposited.v0", "follower account deposited.v1", "follower account paid-in",
		"follower account withdrawn.v1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for b, want := range map[*actor.Behavior][2]bool{
		accounts.Behavior(): {false, false}, followers.Behavior(): {true, false}, greet.Behavior(): {false, true},
	} {
		if b.IsSaga() != want[0] || b.IsPolicy() != want[1] {
			t.Errorf("%s: saga %v, policy %v", b.Kind(), b.IsSaga(), b.IsPolicy())
		}
	}
	if n := len(accounts.Behavior().Reactions()); n != 0 {
		t.Errorf("%d reactions of an aggregate", n)
	}
	var commands []string
	for c := range followers.Behavior().Commands() {
		commands = append(commands, c.Name)
	}
	if diff := cmp.Diff([]string{"goOn"}, commands); diff != "" {
		t.Errorf("commands for callers (-want +got):\n%s", diff)
	}
}

func TestReaction_Route(t *testing.T) {
	t.Parallel()
	r := recordOf("a-1", 4, "deposited.v1", `{"amount":5}`)
	all, err := route(t, followers, r)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d messages, %v", len(all), err)
	}
	m := all[0]
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	if m.Target != followers.ID("of a-1") || !m.Time.Equal(at) || m.Type != actor.TypeCommand || !actor.Reserved(m.Name) {
		t.Errorf("message %+v", m)
	}
	if diff := cmp.Diff(actor.Metadata{Correlation: "co", Causation: "c-9", User: "ann"}, m.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if ms, timed := m.ID.UnixMilli(); !timed || ms != at.UnixMilli() {
		t.Errorf("id %s", m.ID)
	}
	moved := r
	moved.Position, moved.Partition = 78, 4 // another event stream
	if again, err := route(t, followers, moved); err != nil || cmp.Diff(all, again) != "" {
		t.Errorf("in another place of the stream: %v\n%s", err, cmp.Diff(all, again))
	}
	later := r
	later.Version++
	if other, err := route(t, followers, later); err != nil || other[0].ID == m.ID {
		t.Errorf("another event: %v, id %s", err, other[0].ID)
	}

	// An older form comes as the present one.
	old, err := route(t, followers, recordOf("a-1", 4, "deposited.v0", `{"units":2}`))
	if err != nil || old[0].Name != m.Name || !strings.Contains(string(old[0].Data), `"amount":200`) || !strings.Contains(string(old[0].Data), `"event":"deposited.v1"`) {
		t.Errorf("%v, %+v %s", err, old, old[0].Data)
	}
}

func TestReaction_RouteElsewhere(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]actor.EventRecord{
		"not its event":   recordOf("a-1", 1, "opened.v1", `{}`),
		"not its kind":    {Source: actor.Address{Kind: "other", ID: "a"}, Version: 1, Name: "deposited.v1", Data: []byte(`{}`), Time: at},
		"concerns nobody": recordOf("nobody's", 1, "deposited.v1", `{"amount":1}`),
	} {
		if all, err := route(t, followers, r); err != nil || len(all) > 0 {
			t.Errorf("%s: %d messages, %v", name, len(all), err)
		}
	}
	for name, test := range map[string]struct {
		r    actor.EventRecord
		want error
	}{
		"impossible id": {recordOf("too long", 1, "deposited.v1", `{"amount":1}`), actor.ErrAddress},
		"malformed":     {recordOf("a-1", 1, "deposited.v1", `[`), actor.ErrUndecodable},
		"upcast panics": {recordOf("a-1", 1, "paid-in", `{}`), actor.ErrUndecodable},
	} {
		if _, err := route(t, followers, test.r); !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", name, err, test.want)
		}
	}
	_, err := route(t, followers, recordOf("panics", 1, "deposited.v1", `{"amount":1}`))
	if p, ok := errors.AsType[*actor.Panic](err); !ok || p.Error() != "correlate failed" || len(p.Stack) == 0 {
		t.Errorf("panic: %v", err)
	}
}

// hear brings an event to a follower, as its owner does.
func hear(t *testing.T, i *actor.Instance, v actor.Version, name, data string) actor.Decision {
	t.Helper()
	all, err := route(t, followers, recordOf("a-1", v, name, data))
	if err != nil || len(all) != 1 {
		t.Fatalf("%d messages, %v", len(all), err)
	}
	return i.Decide(&all[0])
}

func TestSaga_Life(t *testing.T) {
	t.Parallel()
	i := followers.Behavior().New(followers.ID("of a-1"))
	if d := hear(t, i, 1, "withdrawn.v1", `{}`); d.Outcome.Code != actor.CodeOK || len(d.Events) > 0 || d.Moot {
		t.Errorf("before it exists: %+v", d)
	}
	if d := hear(t, i, 2, "deposited.v1", `{"amount":0}`); len(d.Events) > 0 || i.Exists() || timerNames(i) != "" {
		t.Errorf("did nothing, and exists: %+v", d)
	}
	d := hear(t, i, 3, "deposited.v0", `{"units":1}`)
	if eventNames(d) != "noted.v1" || timerNames(i) != "ganglion.deadline" || !d.Out[0].At.Equal(at.Add(time.Hour)) {
		t.Fatalf("start: %+v, timers %s", d, timerNames(i))
	}
	deadline := d.Out[0]
	if err := func() error { m := deadline.Message(at); return m.Validate() }(); err != nil {
		t.Error(err)
	}
	if d := hear(t, i, 4, "deposited.v1", `{"amount":5}`); eventNames(d) != "noted.v1" || len(d.Out) > 0 {
		t.Errorf("the same event again: %+v", d)
	}
	d = hear(t, i, 5, "deposited.v1", `{"amount":99}`)
	if len(d.Out) != 1 || !d.Out[0].At.Equal(at.Add(2*time.Hour)) {
		t.Fatalf("deadline moved: %+v", d.Out)
	}
	early := deadline.Message(at)
	if d := i.Decide(&early); d.Outcome.Code != actor.CodeCancelled {
		t.Errorf("the former deadline: %+v", d)
	}
	overdue := d.Out[0].Message(at)
	if d := i.Decide(&overdue); eventNames(d) != "ganglion.overdue.v1 noted.v1" || !i.RuntimeState().Overdue || !strings.Contains(string(d.Events[0].Data), "06:06:07") {
		t.Errorf("overdue: %s %s", eventNames(d), d.Events[0].Data)
	}
	i.Decide(&actor.Message{Target: i.Address(), ID: "c-7", Name: "goOn", Time: at})
	d = hear(t, i, 6, "withdrawn.v1", `{}`)
	if eventNames(d) != "noted.v1 ganglion.ended.v1" || timerNames(i) != "" || len(d.Out) != 1 || d.Out[0].Timer != "goOn" || d.Out[0].Name != "" {
		t.Errorf("end: %s, timers %q, out %+v", eventNames(d), timerNames(i), d.Out)
	}

	version := i.Version()
	if d := hear(t, i, 7, "deposited.v1", `{"amount":5}`); d.Outcome.Code != actor.CodeOK || len(d.Events) > 0 || !d.Moot {
		t.Errorf("after its end: %+v", d)
	}
	if d := i.Decide(&actor.Message{Target: i.Address(), ID: "c-8", Name: "goOn", Time: at}); !errors.Is(d.Outcome.Err(), actor.ErrEnded) || i.Version() != version {
		t.Errorf("a command after its end: %+v", d)
	}
	if d := i.Decide(&actor.Message{Type: actor.TypeQuery, Target: i.Address(), Name: "showing", Time: at}); string(d.Outcome.Reply) != "5" {
		t.Errorf("a query after its end: %+v", d.Outcome)
	}
}

func TestSaga_NoDeadlineWanted(t *testing.T) {
	t.Parallel()
	i := followers.Behavior().New(followers.ID("of a-1"))
	if d := hear(t, i, 1, "deposited.v1", `{"amount":98}`); len(d.Out) > 0 || timerNames(i) != "" {
		t.Errorf("%+v", d.Out)
	}
}

// TestSaga_Snapshot: ended and timers are no part of the state, and come back.
func TestSaga_Snapshot(t *testing.T) {
	t.Parallel()
	i := followers.Behavior().New(followers.ID("of a-1"))
	hear(t, i, 1, "deposited.v1", `{"amount":5}`)
	hear(t, i, 2, "withdrawn.v1", `{}`)
	state, err := i.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	kept, err := json.Marshal(i.RuntimeState())
	if err != nil {
		t.Fatal(err)
	}
	var rest actor.RuntimeState
	if err := json.Unmarshal(kept, &rest); err != nil {
		t.Fatal(err)
	}
	back, err := followers.Behavior().Restore(i.Address(), i.Version(), state)
	if err != nil {
		t.Fatal(err)
	}
	back.Resume(rest)
	if diff := cmp.Diff(i.RuntimeState(), back.RuntimeState()); diff != "" || !back.Exists() {
		t.Errorf("exists %v (-want +got):\n%s", back.Exists(), diff)
	}
}

var greet = actor.DefinePolicy("greet", func(d *actor.PolicyDefinition) {
	actor.When(d, accounts, func(p *actor.PolicyContext, e deposited) {
		switch e.Amount {
		case 0:
			return
		case 1:
			panic("policy failed")
		case 2:
			p.Send(actor.Address{Kind: "sender"}, ping{})
		}
		for range e.Amount {
			p.Send(senders.ID(p.Event().Source.ID), ping{Text: p.NewID()})
		}
	})
})

func TestPolicy_Route(t *testing.T) {
	t.Parallel()
	all, err := route(t, greet, recordOf("a-1", 4, "deposited.v1", `{"amount":3}`))
	if err != nil || len(all) != 3 {
		t.Fatalf("%d messages, %v", len(all), err)
	}
	seen := map[string]bool{}
	for _, m := range all {
		if err := m.Validate(); err != nil || m.Target != senders.ID("a-1") || m.Name != "ping" || m.Metadata.Causation != "c-9" || !m.Time.Equal(at) {
			t.Errorf("%+v: %v", m, err)
		}
		if seen[string(m.ID)] || seen[string(m.Data)] {
			t.Errorf("twice: %s %s", m.ID, m.Data)
		}
		seen[string(m.ID)], seen[string(m.Data)] = true, true
	}
	if again, err := route(t, greet, recordOf("a-1", 4, "deposited.v1", `{"amount":3}`)); err != nil || cmp.Diff(all, again) != "" {
		t.Errorf("again: %v\n%s", err, cmp.Diff(all, again))
	}
	if all, err := route(t, greet, recordOf("a-1", 4, "deposited.v1", `{"amount":0}`)); err != nil || len(all) > 0 {
		t.Errorf("%d messages, %v", len(all), err)
	}
	for _, amount := range []string{"1", "2"} {
		_, err := route(t, greet, recordOf("a-1", 4, "deposited.v1", `{"amount":`+amount+`}`))
		if _, ok := errors.AsType[*actor.Panic](err); !ok {
			t.Errorf("amount %s: %v", amount, err)
		}
	}
	if _, err := route(t, greet, recordOf("a-1", 4, "deposited.v1", `{"amount":257}`)); !errors.Is(err, actor.ErrTooLarge) {
		t.Errorf("too many: %v", err)
	}
}

func TestDefine_SagaMistakes(t *testing.T) {
	t.Parallel()
	own := func(_ deposited, r actor.EventRecord) string { return r.Source.ID }
	hears := func(*follower, *actor.Context, deposited) {}
	for name, define := range map[string]func(){
		"outside a saga": func() {
			actor.Define("x", func(d *actor.Definition[follower]) { actor.StartsOn(d, accounts, hears, own) })
		},
		"a deadline outside a saga": func() {
			actor.Define("x", func(d *actor.Definition[follower]) { actor.SagaDeadline(d, time.Hour) })
		},
		"an event of another": func() {
			actor.DefineSaga("x", func(d *actor.SagaDefinition[follower]) {
				actor.Reacts(d, accounts, func(*follower, *actor.Context, noted) {}, func(noted, actor.EventRecord) string { return "" })
			})
		},
		"twice": func() {
			actor.DefineSaga("x", func(d *actor.SagaDefinition[follower]) {
				actor.StartsOn(d, accounts, hears, own)
				actor.Reacts(d, accounts, hears, own)
			})
		},
		"a policy twice": func() {
			actor.DefinePolicy("x", func(d *actor.PolicyDefinition) {
				actor.When(d, accounts, func(*actor.PolicyContext, deposited) {})
				actor.When(d, accounts, func(*actor.PolicyContext, deposited) {})
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("accepted")
				}
			}()
			define()
		})
	}
}
