package actor_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

type bell struct{ Rings, Loud int }

type ringOnce struct { // the form before ring
	actor.Replies[int]
	Volume string `json:"volume"`
}

type ring struct {
	actor.Replies[int]
	Loudness int `json:"loudness"`
}

type later struct {
	actor.Replies[actor.None]
	Cancel bool `json:"cancel"`
}

type rang struct{ Loudness int }

func bells(renamed bool) *actor.Aggregate[bell] {
	return actor.Define("bell", func(d *actor.Definition[bell]) {
		if renamed {
			actor.On(d, func(b *bell, ctx *actor.Context, c ring) (int, error) {
				ctx.Raise(rang{c.Loudness})
				return b.Rings, nil
			}, actor.From("ringOnce", func(old ringOnce) ring { return ring{Loudness: len(old.Volume)} }), actor.ExistingOnly())
		} else {
			actor.On(d, func(b *bell, ctx *actor.Context, c ringOnce) (int, error) { return 0, nil })
		}
		actor.On(d, func(_ *bell, ctx *actor.Context, c later) (actor.None, error) {
			switch {
			case c.Cancel:
				ctx.Cancel("ring")
			case renamed:
				ctx.After(time.Hour, ring{})
			default:
				ctx.After(time.Hour, ringOnce{})
			}
			return actor.None{}, nil
		})
		actor.Apply(d, func(b *bell, e rang) { b.Rings++; b.Loud = e.Loudness })
	})
}

// TestFrom_Command: a renamed command is taken under its former name and in its former
// form, with all that is declared of it, and is described under its present one alone.
func TestFrom_Command(t *testing.T) {
	t.Parallel()
	b := bells(true).Behavior()
	i := b.New(actor.Address{Kind: "bell", ID: "b"})
	decide := func(name, data string) actor.Outcome {
		m := actor.Message{Target: actor.Address{Kind: "bell", ID: "b"}, ID: "c", Name: name, Data: []byte(data), Time: time.Unix(1, 0)}
		return i.Decide(&m).Outcome
	}
	if o := decide("ringOnce", `{"volume":"loud"}`); o.Code != actor.CodeDoesNotExist {
		t.Errorf("a bell that there is not: %+v", o)
	}
	if err := i.Replay(actor.Event{Name: "rang.v1", Data: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	for n, data := range []string{`{"volume":"loud"}`, `{}`, ``} {
		if o := decide("ringOnce", data); o.Code != actor.CodeOK || string(o.Reply) != fmt.Sprint(n+2) {
			t.Errorf("%q: %+v", data, o)
		}
	}
	for _, data := range []string{`7`, `null`, `{"volume":7}`, `{`} {
		if o := decide("ringOnce", data); o.Code != actor.CodeMalformed {
			t.Errorf("%q: %+v", data, o)
		}
	}
	if !b.HasCommand("ringOnce") || b.CheckCommand(actor.TypeCommand, "ringOnce", []byte(`{"volume":7}`)) == nil {
		t.Error("the former name is not known, or its form is not")
	}
	var names []string
	for c := range b.Commands() {
		names = append(names, c.Name)
	}
	if !slices.Equal(names, []string{"later", "ring"}) {
		t.Errorf("described: %v", names)
	}
}

// TestFrom_Command_Timer: a timer that has its name of its command is the same timer
// after the command was renamed.
func TestFrom_Command_Timer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		data string
		want []string
	}{
		"set again": {`{}`, []string{"ring"}},
		"cancelled": {`{"cancel":true}`, nil},
	} {
		old := bells(false).Behavior().New(actor.Address{Kind: "bell", ID: "b"})
		m := actor.Message{Target: actor.Address{Kind: "bell", ID: "b"}, ID: "c-1", Name: "later", Time: time.Unix(1, 0)}
		set := old.Decide(&m)
		i := bells(true).Behavior().New(m.Target)
		if err := i.Replay(set.Events[0]); err != nil {
			t.Fatal(err)
		}
		i.ReplayEffects(slices.Values([]actor.CommandID{"c-1"}), set.Out)
		m.ID, m.Data = "c-2", []byte(test.data)
		if o := i.Decide(&m).Outcome; o.Code != actor.CodeOK {
			t.Fatalf("%s: %+v", name, o)
		}
		var left []string
		for _, timer := range i.RuntimeState().Timers {
			left = append(left, timer.Name)
		}
		if !slices.Equal(left, test.want) {
			t.Errorf("%s: timers %v, want %v", name, left, test.want)
		}
	}
}

func TestFrom_Command_Contradictions(t *testing.T) {
	t.Parallel()
	for name, define := range map[string]func(d *actor.Definition[bell]){
		"of another command": func(d *actor.Definition[bell]) {
			actor.On(d, func(*bell, *actor.Context, ring) (int, error) { return 0, nil }, actor.From("x", func(r ringOnce) later { return later{} }))
		},
		"a name in use": func(d *actor.Definition[bell]) {
			actor.On(d, func(*bell, *actor.Context, ring) (int, error) { return 0, nil }, actor.From("ring", func(r ringOnce) ring { return ring{} }))
		},
		"a reserved name": func(d *actor.Definition[bell]) {
			actor.On(d, func(*bell, *actor.Context, ring) (int, error) { return 0, nil }, actor.From("ganglion.x", func(r ringOnce) ring { return ring{} }))
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: accepted", name)
				}
			}()
			actor.Define("bell", define)
		}()
	}
}
