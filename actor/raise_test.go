package actor_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// album keeps whatever its events bring.
type album struct {
	Text   string
	When   time.Time
	Values []any
	Tags   map[string]string `json:",omitempty"`
	List   []int
	Ratio  float64
}

type (
	paste struct {
		actor.Replies[actor.None]
		Kind string
	}
	pasted struct {
		Text  string
		When  time.Time
		Any   map[string]any
		Tags  map[string]string `json:",omitempty"`
		List  []int             `json:",omitempty"`
		Ratio float64
	}
	tagged struct{ Key string }
)

func (a *album) pasted(e pasted) {
	a.Text, a.When, a.Tags, a.List, a.Ratio = e.Text, e.When, e.Tags, e.List, e.Ratio
	for _, key := range []string{"int", "big", "nested"} {
		if v, ok := e.Any[key]; ok {
			a.Values = append(a.Values, v)
		}
	}
}

// odd are events whose values do not come back from JSON as they were.
func odd() map[string]pasted {
	return map[string]pasted{
		"a string cut within a rune": {Text: "Zürich"[:2]},
		"a time of this machine":     {When: time.Now()},
		"numbers in any":             {Any: map[string]any{"int": 7, "big": int64(1<<53 + 1), "nested": map[string]int{"n": 1}}},
		"an empty map":               {Tags: map[string]string{}},
		"an empty list":              {List: []int{}},
		"minus zero":                 {Ratio: math.Copysign(0, -1)},
	}
}

func albums() *actor.Behavior {
	return define(func(d *actor.Definition[album]) {
		actor.On(d, func(a *album, ctx *actor.Context, c paste) (actor.None, error) {
			switch c.Kind {
			case "tag":
				ctx.Raise(pasted{Tags: map[string]string{}})
				ctx.Raise(tagged{"a"})
			case "NaN":
				ctx.Raise(pasted{Ratio: math.NaN()})
			default:
				ctx.Raise(odd()[c.Kind])
			}
			return actor.None{}, nil
		})
		actor.Apply(d, (*album).pasted)
		actor.Apply(d, func(a *album, e tagged) { a.Tags[e.Key] = "x" })
	})
}

func decidePaste(i *actor.Instance, kind string) actor.Decision {
	data, err := json.Marshal(paste{Kind: kind})
	if err != nil {
		panic(err)
	}
	return i.Decide(&actor.Message{Target: i.Address(), ID: "1", Name: "paste", Data: data, Time: at})
}

// TestContext_Raise_AppliesWhatIsStored: the live state is what a replay makes of the
// stored events, also where a value is lost on the way, and where nothing but the value
// shows it.
func TestContext_Raise_AppliesWhatIsStored(t *testing.T) {
	t.Parallel()
	for name := range odd() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := albums()
			live, again := b.New(actor.Address{Kind: "subject", ID: "s"}), b.New(actor.Address{Kind: "subject", ID: "s"})
			d := decidePaste(live, name)
			if d.Outcome.Code != actor.CodeOK || len(d.Events) != 1 {
				t.Fatalf("decided %+v", d)
			}
			for _, e := range d.Events {
				if err := again.Replay(e); err != nil {
					t.Fatal(err)
				}
			}
			if l, r := live.State(), again.State(); !reflect.DeepEqual(l, r) {
				t.Errorf("live %#v, replayed %#v", l, r)
			}
		})
	}
}

// TestContext_Raise_SharesNothing: what a handler does to an event that it has raised
// does not reach the state.
func TestContext_Raise_SharesNothing(t *testing.T) {
	t.Parallel()
	list := []int{1}
	b := define(func(d *actor.Definition[album]) {
		actor.On(d, func(_ *album, ctx *actor.Context, _ paste) (actor.None, error) {
			ctx.Raise(pasted{List: list})
			list[0] = 2
			return actor.None{}, nil
		})
		actor.Apply(d, (*album).pasted)
	})
	i := b.New(actor.Address{Kind: "subject", ID: "s"})
	decidePaste(i, "")
	if got := fmt.Sprint(i.State().(*album).List); got != "[1]" {
		t.Errorf("the state has %s, the event was stored with [1]", got)
	}
}

// TestContext_Raise_Faults: an event that cannot be stored, or that the state cannot take
// in as it would be read again, is a fault of the command: no outcome, no event.
func TestContext_Raise_Faults(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{"NaN": "unsupported value", "tag": "nil map"} {
		i := albums().New(actor.Address{Kind: "subject", ID: "s"})
		d := decidePaste(i, kind)
		if d.Panic == nil || !d.Tainted && kind != "NaN" || len(d.Events) != 0 || !strings.Contains(d.Panic.Error(), want) {
			t.Errorf("%s: decided %+v", kind, d)
		}
	}
	unreadable := define(func(d *actor.Definition[album]) {
		actor.On(d, func(_ *album, ctx *actor.Context, _ paste) (actor.None, error) {
			ctx.Raise(oneSided{})
			return actor.None{}, nil
		})
		actor.Apply(d, func(*album, oneSided) {})
	}).New(actor.Address{Kind: "subject", ID: "s"})
	if d := decidePaste(unreadable, ""); d.Panic == nil || len(d.Events) != 0 || !strings.Contains(d.Panic.Error(), "does not come back") {
		t.Errorf("decided %+v", d)
	}
}

// oneSided cannot read what it has written.
type oneSided struct{ N int }

func (oneSided) MarshalJSON() ([]byte, error) { return []byte(`{}`), nil }
func (*oneSided) UnmarshalJSON([]byte) error  { return errNever }
