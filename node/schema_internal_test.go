package node

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

type counter struct{ N int }

type counted struct {
	By int `json:"by"`
}

func counters() actor.Registrable {
	return actor.Define("counter", func(d *actor.Definition[counter]) {
		actor.Apply(d, func(c *counter, e counted) { c.N += e.By }, actor.From("added.v0", func(e counted) counted { return e }))
	})
}

func TestSortEvents(t *testing.T) {
	t.Parallel()
	types := []natsbus.EventType{
		{Kind: "counter", Name: "added.v0", Count: 1},
		{Kind: "counter", Name: "counted.v1", Count: 2},
		{Kind: "counter", Name: "counted.v2", Count: 3},
		{Kind: "counter", Name: actor.EventEffects, Count: 4},
		{Kind: "counter", Name: "ganglion.later.v1", Count: 5},
		{Kind: "other", Name: "a.v1", Count: 6},
		{Kind: "other", Name: actor.EventEffects, Count: 7},
		{Kind: "third", Name: "a.v1", Count: 8},
	}
	unread, strangers := sortEvents(types, behaviorsOf([]actor.Registrable{counters()}))
	if diff := cmp.Diff([]Undecodable{{Kind: "counter", Name: "counted.v2", Count: 3}, {Kind: "counter", Name: "ganglion.later.v1", Count: 5}}, unread); diff != "" {
		t.Errorf("unread (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]natsbus.EventType{{Kind: "other", Count: 13}, {Kind: "third", Count: 8}}, strangers); diff != "" {
		t.Errorf("strangers (-want +got):\n%s", diff)
	}
	err := error(&UndecodableError{Events: unread, More: 2})
	if !errors.Is(err, actor.ErrUndecodable) || !strings.Contains(err.Error(), `counter: 3 × "counted.v2"`) || !strings.Contains(err.Error(), "2 sorts more") {
		t.Errorf("%v", err)
	}
}

// TestOthers_ThatMayRead: sessions count when they have moved, and together have all kinds.
func TestOthers_ThatMayRead(t *testing.T) {
	t.Parallel()
	a, b := store.Session{Name: "a", Incarnation: "1", Beat: 5, Kinds: []string{"x"}}, store.Session{Name: "b", Incarnation: "2", Beat: 7, Kinds: []string{"y", "z"}}
	later := func(s store.Session) store.Session { s.Beat++; return s }
	tests := map[string]struct {
		now   []store.Session
		kinds []actor.Kind
		want  bool
	}{
		"nobody":               {nil, []actor.Kind{"x"}, false},
		"none has moved":       {[]store.Session{a, b}, []actor.Kind{"x"}, false},
		"it has moved":         {[]store.Session{later(a), b}, []actor.Kind{"x"}, true},
		"another has moved":    {[]store.Session{a, later(b)}, []actor.Kind{"x"}, false},
		"a new session":        {[]store.Session{{Name: "a", Incarnation: "3", Beat: 5, Kinds: []string{"x"}}}, []actor.Kind{"x"}, true},
		"together":             {[]store.Session{later(a), later(b)}, []actor.Kind{"x", "z"}, true},
		"one of two has moved": {[]store.Session{later(a), b}, []actor.Kind{"x", "z"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kinds := map[actor.Kind]bool{}
			for _, k := range test.kinds {
				kinds[k] = true
			}
			if got := cover(moved([]store.Session{a, b}, test.now), kinds); got != test.want {
				t.Errorf("%t, want %t", got, test.want)
			}
		})
	}
}

// TestEventCheck_Decodes: data that does not fit is found, with the first of its sort;
// and commits that go on being made do not keep the check from ending.
func TestEventCheck_Decodes(t *testing.T) {
	t.Parallel()
	s := memory.New()
	commit := func(id string, first store.Version, at time.Time, events ...store.Event) {
		t.Helper()
		errs := s.Append(t.Context(), []store.Commit{{
			Aggregate: store.Aggregate("counter/" + id), First: first, Time: at.UnixMicro(),
			Outcomes: []store.Outcome{{CommandID: id, Events: len(events), Reply: []byte("null")}}, Events: events,
		}})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	good, bad := store.Event{Name: "counted.v1", Data: []byte(`{"by":1}`)}, store.Event{Name: "counted.v1", Data: []byte(`{"by":"one"}`)}
	commit("a", 1, time.Now().Add(-time.Hour), good, store.Event{Name: actor.EventEffects, Data: []byte(`{}`)})
	commit("b", 1, time.Now().Add(-time.Hour), good, bad, bad)
	commit("c", 1, time.Now().Add(time.Hour), store.Event{Name: "added.v0", Data: []byte(`{"by":1}`)})
	c := &eventCheck{behaviors: behaviorsOf([]actor.Registrable{counters()}), failed: map[eventSort]*Undecodable{}}
	if err := c.read(t.Context(), s, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	got := c.sorted()
	if c.commits != 3 || c.events != 6 || c.undecodable != 2 || len(got) != 1 || got[0].Count != 2 || got[0].Version != 2 ||
		got[0].Example != (actor.Address{Kind: "counter", ID: "b"}) || !strings.Contains(got[0].Reason, "cannot unmarshal") {
		t.Errorf("%d commits, %d events, %d not: %v", c.commits, c.events, c.undecodable, got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.read(ended, s, time.Hour); !errors.Is(err, errBusy) {
		t.Errorf("a check that was cut: %v", err)
	}
}
