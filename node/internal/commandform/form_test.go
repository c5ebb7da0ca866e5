package commandform_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/node/internal/commandform"
)

type (
	level struct {
		Next *level `json:"next"`
		Note string `json:"note"`
	}
	side   string
	placed struct {
		actor.Replies[int64]
		Amount  int64                 `json:"amount"`
		Small   uint8                 `json:"small"`
		Price   float64               `json:"price"`
		Name    string                `json:"name"`
		Odd     string                `json:"a/b~c"`
		Urgent  bool                  `json:"urgent"`
		Side    side                  `json:"side" enum:"buy,sell"`
		Due     time.Time             `json:"due"`
		Place   struct{ City string } `json:"place"`
		Tags    []string              `json:"tags"`
		Counts  map[string]int        `json:"counts"`
		Deep    level                 `json:"deep"`
		Comment *string               `json:"comment"`
	}
	secret struct{ actor.Replies[int64] }
)

type state struct{}

func description(t *testing.T) *commandform.Description {
	t.Helper()
	kind := actor.Define("order", func(d *actor.Definition[state]) {
		actor.On(d, func(*state, *actor.Context, placed) (int64, error) { return 0, nil })
		actor.On(d, func(*state, *actor.Context, secret) (int64, error) { return 0, nil }, actor.Internal())
	})
	g, err := gateway.New(actortest.New(t, kind).Client(), []actor.Registrable{kind}, gateway.Config{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := commandform.Parse(g.Description())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestForm_JSON(t *testing.T) {
	t.Parallel()
	d := description(t)
	if names := d.Commands("order"); len(names) != 1 || names[0] != "placed" {
		t.Fatalf("commands: %q", names)
	}
	if _, ok := d.Form("order", "secret"); ok {
		t.Error("what is the application's own has a form")
	}
	if _, ok := d.Form("other", "placed"); ok {
		t.Error("an unknown kind has a form")
	}
	f, ok := d.Form("order", "placed")
	if !ok {
		t.Fatal("no form")
	}
	f.Fill(url.Values{
		"/amount": {" 9223372036854775807 "}, "/small": {"255"}, "/price": {"0.10000000000000000001"}, "/name": {`<b>"&` + "\u2028"},
		"/a~1b~0c": {"odd"}, "/urgent": {"true"}, "/side": {`"sell"`}, "/place/City": {"Köln"}, "/tags": {`["a", "b"]`}, "/counts": {`{"x":1}`},
		"/deep/next/next/note": {"three"}, "/due": {"2026-01-02T03:04:05Z"},
	})
	data, ok := f.JSON()
	want := `{"a/b~c":"odd","amount":9223372036854775807,"counts":{"x":1},"deep":{"next":{"next":{"note":"three"}}},` +
		`"due":"2026-01-02T03:04:05Z","name":"<b>\"&\u2028","place":{"City":"Köln"},"price":0.10000000000000000001,"side":"sell","small":255,"tags":["a", "b"],"urgent":true}`
	if !ok || string(data) != want {
		t.Errorf("%v\n%s, want\n%s", ok, data, want)
	}
}

func TestForm_Faults(t *testing.T) {
	t.Parallel()
	d := description(t)
	for name, c := range map[string]struct{ field, value string }{
		"beyond":             {"/amount", "9223372036854775808"},
		"below":              {"/amount", "-9223372036854775809"},
		"negative":           {"/small", "-1"},
		"fraction":           {"/amount", "1.5"},
		"separators":         {"/amount", "1,000"},
		"not a number":       {"/price", "NaN"},
		"hexadecimal":        {"/price", "0x10"},
		"a huge exponent":    {"/price", "1e999"},
		"not a choice":       {"/side", `"hold"`},
		"no truth value":     {"/urgent", "yes"},
		"no JSON":            {"/tags", "a, b"},
		"two JSON values":    {"/tags", "[1] [2]"},
		"whole: no object":   {"whole", "[1]"},
		"whole: no JSON":     {"whole", "{"},
		"text that is none":  {"/name", "\xff"},
		"a very long number": {"/price", strings.Repeat("1", 10_000)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := d.Form("order", "placed")
			f.Fill(url.Values{c.field: {c.value}})
			if data, ok := f.JSON(); ok {
				t.Errorf("%s is taken: %s", c.value, data)
			}
		})
	}
	f, _ := d.Form("order", "placed")
	if data, ok := f.JSON(); !ok || string(data) != "{}" {
		t.Errorf("an empty form is %s, %v", data, ok)
	}
	f.Fill(url.Values{"whole": {` {"amount": 1, "other": 12345678901234567890} `}, "/amount": {"7"}})
	if data, ok := f.JSON(); !ok || string(data) != `{"amount": 1, "other": 12345678901234567890}` {
		t.Errorf("the whole is %s, %v", data, ok)
	}
}
