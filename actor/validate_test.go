package actor_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
)

type (
	// seat is an aggregate with commands that validate themselves.
	seat struct{ Guest string }

	reserve struct {
		actor.Replies[actor.None]
		Guest string `json:"guest"`
		Nights
	}
	// Nights is embedded, and so its Validate would be that of what embeds it.
	Nights struct {
		Nights int `json:"nights"`
	}
	release struct {
		actor.Replies[actor.None]
		Reason part `json:"reason"`
	}
	// part validates itself, but nobody asks it.
	part  struct{ Text string }
	find  struct{ actor.Replies[string] }
	taken struct {
		Guest string `json:"guest"`
	}
	reserveV0 struct{ Name string }
	sorry     struct {
		actor.Replies[actor.None]
		actor.Refused
	}
)

var errNights = actor.Reject("too_many_nights", "at most 30 nights")

// Validate has a pointer receiver.
func (r *reserve) Validate() error {
	switch {
	case r.Guest == "panic":
		panic("out of order")
	case r.Guest == "":
		return errors.New("who is it for?")
	case r.Guest == "long":
		return fmt.Errorf("%s\xff", strings.Repeat("ü", 4000))
	case r.Nights.Nights > 30:
		return fmt.Errorf("reserve: %w", errNights.With("nights", r.Nights.Nights))
	}
	return nil
}

// Validate has a value receiver.
func (part) Validate() error { return errors.New("nobody asks") }

func (f find) Validate() error {
	return actor.Reject("not_today", "")
}

func (s *seat) reserve(ctx *actor.Context, c reserve) (actor.None, error) {
	ctx.Raise(taken{c.Guest})
	return actor.None{}, nil
}
func (s *seat) release(*actor.Context, release) (actor.None, error) { return actor.None{}, nil }
func (s *seat) sorry(*actor.Context, sorry) (actor.None, error)     { return actor.None{}, nil }
func (s *seat) find(*actor.QueryContext, find) (string, error)      { return s.Guest, nil }
func (s *seat) taken(e taken)                                       { s.Guest = e.Guest }

var seats = actor.Define("seat", func(d *actor.Definition[seat]) {
	actor.On(d, (*seat).reserve, actor.NewOnly(), actor.From("book", func(old reserveV0) reserve { return reserve{Guest: old.Name} }))
	actor.On(d, (*seat).release, actor.ExistingOnly())
	actor.On(d, (*seat).sorry)
	actor.Query(d, (*seat).find)
	actor.Apply(d, (*seat).taken)
})

func TestInstance_Decide_Validates(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		name, data string
		exists     bool
		code       actor.Code
		reason     string
		text       string
	}{
		"valid":                    {name: "reserve", data: `{"guest":"ann","nights":30}`},
		"an error":                 {name: "reserve", data: `{}`, code: actor.CodeRejected, reason: "invalid", text: "who is it for?"},
		"no data":                  {name: "reserve", code: actor.CodeRejected, reason: "invalid"},
		"a rejection":              {name: "reserve", data: `{"guest":"ann","nights":31}`, code: actor.CodeRejected, reason: "too_many_nights", text: "at most 30 nights"},
		"before creation policies": {name: "reserve", data: `{}`, exists: true, code: actor.CodeRejected, reason: "invalid"},
		"valid, creation policy":   {name: "reserve", data: `{"guest":"bob"}`, exists: true, code: actor.CodeAlreadyExists},
		"malformed":                {name: "reserve", data: `{"guest":1}`, code: actor.CodeMalformed},
		"older form":               {name: "book", data: `{"Name":"ann"}`},
		"older form, invalid":      {name: "book", data: `{"Name":""}`, code: actor.CodeRejected, reason: "invalid"},
		"older form, malformed":    {name: "book", data: `{"Name":2}`, code: actor.CodeMalformed},
		"what is nested":           {name: "release", data: `{"reason":{"Text":"x"}}`, exists: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := seats.Behavior().New(seats.ID("s"))
			if test.exists {
				if err := i.Replay(actor.Event{Name: "taken.v1", Data: []byte(`{"guest":"eve"}`)}); err != nil {
					t.Fatal(err)
				}
			}
			m := &actor.Message{Target: seats.ID("s"), ID: "c-1", Name: test.name, Data: []byte(test.data), Time: at}
			d := i.Decide(m)
			if d.Outcome.Code != test.code {
				t.Fatalf("%+v", d.Outcome)
			}
			if r := d.Outcome.Rejection; test.reason != "" && (r == nil || r.Code != test.reason || !strings.Contains(r.Message, test.text) || d.Outcome.Version != 0) {
				t.Errorf("rejection %+v, version %d", r, d.Outcome.Version)
			}
			if d.Invalid != (test.reason != "") || test.code != "" && (len(d.Events) > 0 || d.Tainted) {
				t.Errorf("decision %+v", d)
			}
			if err := seats.Behavior().Examine(m); test.reason != "" && !errors.Is(err, d.Outcome.Err()) || test.code == "" && err != nil {
				t.Errorf("Examine says %v", err)
			}
		})
	}
}

// TestInstance_Decide_InvalidIsNotStored: unless a sender waits for the refusal, or it was a timer's.
func TestInstance_Decide_InvalidIsNotStored(t *testing.T) {
	t.Parallel()
	i := seats.Behavior().New(seats.ID("s"))
	m := &actor.Message{Target: seats.ID("s"), ID: "c-1", Name: "reserve", Data: []byte(`{"guest":"ann","nights":99}`), Time: at}
	if d := i.Decide(m); !d.Invalid || len(d.Events) != 0 || i.Version() != 0 {
		t.Errorf("%+v", d)
	}
	m.OnRefusal = &actor.Fallback{To: seats.ID("other"), Name: "sorry", Data: []byte("{}")}
	d := i.Decide(m)
	if d.Invalid || len(d.Events) != 1 || d.Events[0].Name != actor.EventRefused || len(d.Out) != 1 {
		t.Fatalf("%+v", d)
	}
	var told sorry
	if err := json.Unmarshal(d.Out[0].Data, &told); err != nil || !errors.Is(told.Refusal.Err(), errNights) || told.Refusal.Details["nights"] != 99.0 {
		t.Errorf("%s: %v", d.Out[0].Data, err)
	}
}

func TestInstance_Decide_ValidatePanics(t *testing.T) {
	t.Parallel()
	m := &actor.Message{Target: seats.ID("s"), ID: "c-1", Name: "reserve", Data: []byte(`{"guest":"panic"}`), Time: at}
	if d := seats.Behavior().New(seats.ID("s")).Decide(m); d.Panic == nil || d.Outcome.Code != actor.CodeParked {
		t.Errorf("%+v", d)
	}
	if p, ok := errors.AsType[*actor.Panic](seats.Behavior().Examine(m)); !ok || p.Value != "out of order" || len(p.Stack) == 0 {
		t.Errorf("Examine: %+v", p)
	}
}

func TestInstance_Decide_InvalidText_IsBounded(t *testing.T) {
	t.Parallel()
	m := &actor.Message{Target: seats.ID("s"), ID: "c-1", Name: "reserve", Data: []byte(`{"guest":"long"}`), Time: at}
	r := seats.Behavior().New(seats.ID("s")).Decide(m).Outcome.Rejection
	if r == nil || len(r.Message) != 1024 || strings.Trim(r.Message, "ü") != "" {
		t.Errorf("%+v", r)
	}
}

func TestInstance_Decide_ValidatesQueries(t *testing.T) {
	t.Parallel()
	d := seats.Behavior().New(seats.ID("s")).Decide(&actor.Message{Type: actor.TypeQuery, Target: seats.ID("s"), Name: "find", Time: at})
	if d.Outcome.Code != actor.CodeRejected || d.Outcome.Rejection.Code != "not_today" {
		t.Errorf("%+v", d)
	}
	if err := seats.Behavior().Examine(&actor.Message{Type: actor.TypeState}); err != nil {
		t.Errorf("a state is examined: %v", err)
	}
}
