package actor_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

type (
	form struct{}

	fillIn struct {
		actor.Replies[actor.None]
		Name    string            `json:"name"`
		Plain   int               // "Plain" in JSON
		Items   []line            `json:"items"`
		Best    *line             `json:"best,omitempty"`
		Labels  map[string]line   `json:"labels"`
		Raw     json.RawMessage   `json:"raw"`
		Any     any               `json:"any"`
		At      time.Time         `json:"at"`
		Notes   map[string]string `json:"notes"`
		Nothing struct{}          `json:"nothing"`
		Common
	}
	// Common is embedded.
	Common struct {
		Shared string `json:"shared"`
	}
	line struct {
		Count int `json:"count"`
	}
	fillInV0   struct{ Old string }
	formFilled struct {
		Name string `json:"name"`
	}
	lookup struct {
		actor.Replies[actor.None]
		Name string `json:"name"`
	}
)

func (*form) fillIn(ctx *actor.Context, c fillIn) (actor.None, error) {
	ctx.Raise(formFilled{c.Name})
	return actor.None{}, nil
}
func (*form) lookup(*actor.QueryContext, lookup) (actor.None, error) { return actor.None{}, nil }
func (*form) formFilled(formFilled)                                  {}

func TestStrict(t *testing.T) {
	t.Parallel()
	forms := actor.Define("form", func(d *actor.Definition[form]) {
		d.Strict() // before the handlers, or after them
		actor.On(d, (*form).fillIn, actor.From("fillIn.v0", func(old fillInV0) fillIn { return fillIn{Name: old.Old} }))
		actor.Query(d, (*form).lookup)
		actor.Apply(d, (*form).formFilled)
	})
	tests := map[string]struct {
		name  string // "fillIn" unless it is given
		data  string
		fault string // in the detail; empty: it is carried out
	}{
		"nothing":                 {data: ``},
		"empty":                   {data: ` {} `},
		"all":                     {data: `{"name":"x","Plain":1,"items":[{"count":1},null,{}],"best":null,"labels":{"any":{"count":1}},"raw":{"x":1},"any":{"x":[{"y":1}]},"at":"2026-01-02T03:04:05Z","notes":{"x":"y"},"nothing":{},"shared":"z"}`},
		"unknown":                 {data: `{"nme":"x"}`, fault: `unknown field "nme"`},
		"another case":            {data: `{"Name":"x"}`, fault: `unknown field "Name": it is "name"`},
		"another case, no tag":    {data: `{"plain":1}`, fault: `unknown field "plain": it is "Plain"`},
		"of Go alone":             {data: `{"Replies":{}}`, fault: `unknown field "Replies"`},
		"embedded, by its type":   {data: `{"Common":{"shared":"x"}}`, fault: `unknown field "Common"`},
		"twice":                   {data: `{"name":"x","name":"y"}`, fault: `field "name" is given twice`},
		"twice, escaped":          {data: `{"name":"x","n\u0061me":"y"}`, fault: `field "name" is given twice`},
		"in an item":              {data: `{"items":[{},{"count":1,"cuont":2}]}`, fault: `unknown field "items[1].cuont"`},
		"behind a pointer":        {data: `{"best":{"x":1}}`, fault: `unknown field "best.x"`},
		"in a map's value":        {data: `{"labels":{"a":{"count":1,"b":2}}}`, fault: `unknown field "labels.a.b"`},
		"twice in a map":          {data: `{"labels":{"a":{},"a":{}}}`, fault: `field "labels.a" is given twice`},
		"twice in anything":       {data: `{"any":[{"a":1,"a":2}]}`, fault: `field "any[0].a" is given twice`},
		"in an empty struct":      {data: `{"nothing":{"x":1}}`, fault: `unknown field "nothing.x"`},
		"other faults come first": {data: `{"name":1,"x":2}`, fault: "cannot unmarshal"},
		"older form":              {name: "fillIn.v0", data: `{"Old":"x"}`},
		"older form, unknown":     {name: "fillIn.v0", data: `{"name":"x"}`, fault: `unknown field "name"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &actor.Message{Target: forms.ID("f"), ID: "c-1", Name: "fillIn", Data: []byte(test.data), Time: at}
			if test.name != "" {
				m.Name = test.name
			}
			err := forms.Behavior().CheckCommand(m.Type, m.Name, m.Data)
			if err == nil {
				err = forms.Behavior().Examine(m)
			}
			o := forms.Behavior().New(forms.ID("f")).Decide(m).Outcome
			if test.fault == "" {
				if err != nil || o.Code != actor.CodeOK {
					t.Errorf("refused: %v, %+v", err, o)
				}
				return
			}
			if o.Code != actor.CodeMalformed || !strings.Contains(o.Detail, test.fault) || err == nil || err.Error() != o.Err().Error() {
				t.Errorf("outcome %+v, checked: %v", o, err)
			}
		})
	}
	t.Run("what the runtime brings", func(t *testing.T) {
		t.Parallel()
		m := &actor.Message{Target: forms.ID("f"), ID: actor.InternalID(at, "x"), Name: "fillIn", Data: []byte(`{"newer":1}`), Time: at}
		if o := forms.Behavior().New(forms.ID("f")).Decide(m).Outcome; o.Code != actor.CodeOK {
			t.Errorf("%+v", o)
		}
	})
	t.Run("queries", func(t *testing.T) {
		t.Parallel()
		m := &actor.Message{Type: actor.TypeQuery, Target: forms.ID("f"), Name: "lookup", Data: []byte(`{"title":""}`), Time: at}
		if o := forms.Behavior().New(forms.ID("f")).Decide(m).Outcome; o.Code != actor.CodeMalformed {
			t.Errorf("%+v", o)
		}
	})
	t.Run("events", func(t *testing.T) {
		t.Parallel()
		if err := forms.Behavior().New(forms.ID("f")).Replay(actor.Event{Name: "formFilled.v1", Data: []byte(`{"newer":1}`)}); err != nil {
			t.Error(err)
		}
	})
}

// TestStrict_IsOffByDefault: and unknown fields are then passed over.
func TestStrict_IsOffByDefault(t *testing.T) {
	t.Parallel()
	lax := actor.Define("form", func(d *actor.Definition[form]) {
		actor.On(d, (*form).fillIn)
		actor.Apply(d, (*form).formFilled)
	})
	m := &actor.Message{Target: lax.ID("f"), ID: "c-1", Name: "fillIn", Data: []byte(`{"NAME":"x","name":"y","z":1}`), Time: at}
	if o := lax.Behavior().New(lax.ID("f")).Decide(m).Outcome; o.Code != actor.CodeOK || lax.Behavior().IsStrict() {
		t.Errorf("%+v", o)
	}
}

// FuzzStrict: whatever is no JSON, or is, the check ends, and takes nothing that decoding refuses.
func FuzzStrict(f *testing.F) {
	for _, seed := range []string{`{}`, `{"name":1}`, `{"items":[{"count":`, `[]`, `{"a":{"b":[[{}]]}}`, "\"", `{"\ud800":1}`} {
		f.Add([]byte(seed))
	}
	forms := actor.Define("form", func(d *actor.Definition[form]) {
		d.Strict()
		actor.On(d, (*form).fillIn)
		actor.Apply(d, (*form).formFilled)
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &actor.Message{Target: forms.ID("f"), ID: "c-1", Name: "fillIn", Data: data, Time: at}
		err := forms.Behavior().CheckCommand(m.Type, m.Name, m.Data)
		if err == nil {
			err = forms.Behavior().Examine(m)
		}
		if d := forms.Behavior().New(forms.ID("f")).Decide(m); d.Panic != nil || (err == nil) != (d.Outcome.Code == actor.CodeOK) {
			t.Errorf("checked: %v, decided: %+v", err, d.Outcome)
		}
	})
}
