package actor_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
)

type seen struct {
	Address string
	Version actor.Version
	Exists  bool
	Now     time.Time
	User    string
}

type whatIsSeen struct{ actor.Replies[seen] }

// A query knows where and when it is answered, and has no means to decide anything.
func TestQueryContext(t *testing.T) {
	t.Parallel()
	kind := actor.Define("seer", func(d *actor.Definition[account]) {
		actor.Query(d, func(_ *account, ctx *actor.QueryContext, _ whatIsSeen) (seen, error) {
			return seen{ctx.Address().String(), ctx.Version(), ctx.Exists(), ctx.Now(), ctx.Metadata().User}, nil
		})
		actor.Apply(d, (*account).opened)
	})
	m := &actor.Message{Type: actor.TypeQuery, Target: kind.ID("s"), Name: "whatIsSeen", Time: at, Metadata: actor.Metadata{User: "ann"}}
	i := kind.Behavior().New(kind.ID("s"))
	ask := func(now time.Time) (got seen) {
		t.Helper()
		o := i.DecideAt(m, now).Outcome
		if err := json.Unmarshal(o.Reply, &got); err != nil || o.Version != got.Version {
			t.Fatalf("%+v: %v", o, err)
		}
		return got
	}
	if diff := cmp.Diff(seen{"seer/s", 0, false, at.UTC(), "ann"}, ask(time.Time{})); diff != "" {
		t.Errorf("without a history (-want +got):\n%s", diff)
	}
	if err := i.Replay(actor.Event{Name: "opened.v1", Data: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(seen{"seer/s", 1, true, at.Add(time.Hour).UTC(), "ann"}, ask(at.Add(time.Hour))); diff != "" {
		t.Errorf("with one (-want +got):\n%s", diff)
	}
	decides := reflect.TypeFor[*actor.Context]()
	for _, name := range []string{"Raise", "Send", "After", "At", "Cancel", "End", "Deadline"} {
		if _, ok := decides.MethodByName(name); !ok {
			t.Errorf("a command has no %s", name)
		}
		if _, ok := reflect.TypeFor[*actor.QueryContext]().MethodByName(name); ok {
			t.Errorf("a query has %s", name)
		}
	}
}
