package node

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

type (
	errand struct{}
	runIt  struct{ actor.Replies[actor.None] }
	ranIt  struct {
		actor.Replies[actor.None]
		actor.Performed[string]
	}
)

// TestTakes: what builds without effects have parked is sent again by a node that has them.
func TestTakes(t *testing.T) {
	t.Parallel()
	b := actor.Define("errand", func(d *actor.Definition[errand]) {
		actor.On(d, func(*errand, *actor.Context, runIt) (actor.None, error) { return actor.None{}, nil })
		actor.On(d, func(*errand, *actor.Context, ranIt) (actor.None, error) { return actor.None{}, nil })
	}).Behavior()
	task, err := json.Marshal(actor.EffectTask{Effect: "run", Input: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	const timer = "ganglion.effect.run.0000000000000000"
	for name, c := range map[string]struct {
		m    actor.Message
		want bool
	}{
		"a command":                {actor.Message{Name: "runIt", ID: "k", Data: []byte(`{}`)}, true},
		"an unknown one":           {actor.Message{Name: "runThat", ID: "k", Data: []byte(`{}`)}, false},
		"an effect":                {actor.Message{Name: "ganglion.perform", ID: "ganglion.x", Timer: timer, Data: task}, true},
		"an effect, cut off":       {actor.Message{Name: "ganglion.perform", ID: "ganglion.x", Timer: timer, Data: task[:5]}, false},
		"an effect of no timer":    {actor.Message{Name: "ganglion.perform", ID: "ganglion.x", Data: task}, false},
		"an unwanted end":          {actor.Message{Name: "ganglion.performed", ID: "ganglion.x", Timer: timer, Data: []byte(`{}`)}, true},
		"an end":                   {actor.Message{Name: "ranIt", ID: "ganglion.x", Timer: timer, Data: []byte(`{}`)}, true},
		"an end of a caller's":     {actor.Message{Name: "ranIt", ID: "k", Data: []byte(`{}`)}, false},
		"an end of a common timer": {actor.Message{Name: "ganglion.performed", ID: "ganglion.x", Timer: "t", Data: []byte(`{}`)}, false},
	} {
		c.m.Target = actor.Address{Kind: "errand", ID: "a"}
		if got := takes(b, &c.m); got != c.want {
			t.Errorf("%s is taken: %v, want %v", name, got, c.want)
		}
	}
}

// TestServed: what an owner of an earlier build has parked once more waits still.
func TestServed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    actor.Outcome
		want bool
	}{
		{actor.Outcome{}, true},
		{actor.Outcome{Code: actor.CodeRejected, Version: 3}, true},
		{actor.Outcome{Code: actor.CodeCancelled}, true},
		{actor.Outcome{Code: actor.CodeTooLarge, Version: 3}, true},
		{actor.Outcome{Code: actor.CodeUnknownCommand, Version: 3}, false},
		{actor.Outcome{Code: actor.CodeMalformed, Version: 3}, false},
		{actor.Outcome{Code: actor.CodeUnknownKind}, false},
		{actor.Outcome{Code: actor.CodeParked, Version: 3}, false},
		{actor.Outcome{Code: actor.CodeNoOwner}, false},
	} {
		if got := served(&c.o); got != c.want {
			t.Errorf("%+v is served: %v", c.o, got)
		}
	}
}

// TestUnserved_LeavesWhatOthersHold: an owner of an earlier build would refuse for good what it
// does not know.
func TestUnserved_LeavesWhatOthersHold(t *testing.T) {
	t.Parallel()
	b := actor.Define("errand", func(d *actor.Definition[errand]) {
		actor.On(d, func(*errand, *actor.Context, runIt) (actor.None, error) { return actor.None{}, nil })
	}).Behavior()
	for _, holds := range []bool{false, true} {
		sent := &sentTo{}
		u := &unserved{
			client: sent, behaviors: map[actor.Kind]*actor.Behavior{"errand": b}, store: memory.New(),
			holds: func(of actor.Address) bool { return holds && of.ID == "a" }, cfg: &settings{Config: Config{Logger: slog.New(slog.DiscardHandler)}},
		}
		m := actor.Message{Target: actor.Address{Kind: "errand", ID: "a"}, Name: "runIt", ID: "k", Data: []byte(`{}`)}
		if done := u.retry(t.Context(), []actor.Message{m}, &store.Parked{Aggregate: "errand/a", CommandID: "k"}); done != holds || sent.n != 0 != holds {
			t.Errorf("held here: %v; done: %v after %d messages", holds, done, sent.n)
		}
	}
}

// sentTo counts what is delivered.
type sentTo struct{ n int }

func (s *sentTo) Deliver(context.Context, actor.Message) actor.Outcome {
	s.n++
	return actor.Outcome{Version: 1}
}

func (s *sentTo) Enqueue(context.Context, actor.Message) error { return nil }
