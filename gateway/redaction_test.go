package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

type (
	member struct {
		Name, Secret string
	}
	memberView struct{ Name string }

	joined   struct{ Name string }
	enrolled struct{ Name, Secret string }
	secured  struct{ Secret string }
)

// members hide a part of their state, and show two of their events.
func members(view bool) *actor.Aggregate[member] {
	return actor.Define("member", func(d *actor.Definition[member]) {
		if view {
			actor.View(d, func(m *member) memberView { return memberView{m.Name} })
		}
		actor.Apply(d, func(m *member, e joined) { m.Name = e.Name }, actor.Public())
		actor.Apply(d, func(m *member, e enrolled) { m.Name, m.Secret = e.Name, e.Secret },
			actor.Redact(func(e enrolled) any { return memberView{e.Name} }))
		actor.Apply(d, func(m *member, e secured) { m.Secret = e.Secret })
	})
}

// TestEvents_Redacted: what a view of the state hides, its events do not show, in pages
// and in streams, unless they are declared to.
func TestEvents_Redacted(t *testing.T) {
	t.Parallel()
	history := &history{}
	for _, e := range [][2]string{
		{"joined.v1", `{"Name":"n"}`},
		{"enrolled.v1", `{"Name":"n","Secret":"s"}`},
		{"secured.v1", `{"Secret":"s"}`},
		{"ofANewerBuild.v1", `{"Secret":"s"}`},
		{actor.EventEffects, `{"set":1}`},
		{actor.EventRefused, `{"details":{"secret":"s"}}`},
	} {
		history.events = append(history.events, gateway.Event{Version: actor.Version(len(history.events) + 1), Type: e[0], Data: json.RawMessage(e[1]), CommandID: "c", User: "ann"})
	}
	whole := []string{`{"Name":"n"}`, `{"Name":"n","Secret":"s"}`, `{"Secret":"s"}`, `{"Secret":"s"}`, `{"set":1}`, `{"details":{"secret":"s"}}`}
	for name, c := range map[string]struct {
		definitions []actor.Registrable
		operators   bool
		want        []string
	}{
		"with a view":       {[]actor.Registrable{members(true)}, false, []string{`{"Name":"n"}`, `{"Name":"n"}`, `null`, `null`, `{"set":1}`, `null`}},
		"without":           {[]actor.Registrable{members(false)}, false, []string{whole[0], `{"Name":"n"}`, whole[2], whole[3], whole[4], whole[5]}},
		"of another build":  {nil, false, []string{`null`, `null`, `null`, `null`, `null`, `null`}},
		"for operators":     {[]actor.Registrable{members(true)}, true, whole},
		"for them, unknown": {nil, true, whole},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, err := gateway.New(&client{}, c.definitions, gateway.Config{
				History: history, WholeEvents: c.operators,
				Knows: func(_ context.Context, _ actor.Kind) (bool, error) { return true, nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/member/m/events", nil))
			var page struct{ Events []gateway.Event }
			if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || len(page.Events) != len(c.want) {
				t.Fatalf("%v: %s", err, w.Body)
			}
			for i, e := range page.Events {
				if string(e.Data) != c.want[i] || e.Redacted != (c.want[i] != whole[i]) || e.User != "ann" || e.CommandID != "c" || e.Type == "" {
					t.Errorf("%s: %+v, want %s", e.Type, e, c.want[i])
				}
			}
		})
	}
}
