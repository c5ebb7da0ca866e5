package actor_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

func inf() float64 { return math.Inf(1) }

func define[S any](build ...func(*actor.Definition[S])) *actor.Behavior {
	return actor.Define("subject", func(d *actor.Definition[S]) {
		for _, b := range build {
			b(d)
		}
	}).Behavior()
}

type plain struct {
	Name string
	Tags map[string][]int
	Next *plain
	When time.Time
}

func TestInstance_Snapshot(t *testing.T) {
	t.Parallel()
	b := define[plain]()
	i := b.New(actor.Address{Kind: "subject", ID: "s"})
	*i.State().(*plain) = plain{Name: "n", Tags: map[string][]int{"a": {1}}, Next: &plain{}, When: time.Unix(1, 2).UTC()}
	data, err := i.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	restored, err := b.Restore(i.Address(), 9, data)
	if err != nil || restored.Version() != 9 || restored.Address() != i.Address() {
		t.Fatalf("got %v, %v", restored, err)
	}
	if again, err := restored.Snapshot(); err != nil || string(again) != string(data) {
		t.Errorf("got %s, %v, want %s", again, err, data)
	}
}

// kept is a state that may not come back from its snapshot, which values alone show.
type kept struct {
	Tags   map[string]string `json:",omitempty"`
	List   []int             `json:",omitempty"`
	Item   *entry
	Items  []*entry
	ByName map[string]*entry
	Rows   []entry
	Again  []entry
	Deep   map[string]map[string]int
	Ends   pair
	Own    big.Int
	When   time.Time
}

type (
	entry struct{ N int }
	pair  struct{ First, Last *entry }
)

// TestInstance_TakeSnapshot: the instance goes on with what the snapshot holds, or there
// is no snapshot and the error says why.
func TestInstance_TakeSnapshot(t *testing.T) {
	t.Parallel()
	one, rows, inner := &entry{1}, []entry{{1}, {2}}, map[string]int{"a": 1}
	local := time.Now()
	tests := map[string]struct {
		state kept
		want  string // of the error
	}{
		"plain": {state: kept{
			Tags: map[string]string{"a": "b"}, List: []int{1}, Item: one, Items: []*entry{{1}, {1}}, Rows: rows,
			Deep: map[string]map[string]int{"a": {"b": 1}, "c": nil}, Ends: pair{First: &entry{1}}, Own: *big.NewInt(5),
		}},
		"empty":              {},
		"an empty slice":     {state: kept{List: []int{}}},
		"a form of its own":  {state: kept{When: local}},
		"an empty map":       {state: kept{Tags: map[string]string{}}, want: "state.Tags comes back"},
		"a cut rune":         {state: kept{Tags: map[string]string{"a": "\xc3"}}, want: "state.Tags[a] comes back"},
		"a cut rune as key":  {state: kept{Tags: map[string]string{"\xc3": ""}}, want: "comes back"},
		"one item twice":     {state: kept{Items: []*entry{one, one}}, want: "state.Items[1] is shared"},
		"one item by name":   {state: kept{Items: []*entry{one}, ByName: map[string]*entry{"a": one}}, want: "state.ByName[a] is shared"},
		"a pointer to a row": {state: kept{Rows: rows, Ends: pair{Last: &rows[1]}}, want: "is shared"},
		"a slice twice":      {state: kept{Rows: rows, Again: rows}, want: "state.Again is shared"},
		"part of a slice":    {state: kept{Rows: rows, Again: rows[1:]}, want: "is shared"},
		"a map twice":        {state: kept{Deep: map[string]map[string]int{"a": inner, "b": inner}}, want: "is shared"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := define[kept]()
			i := b.New(actor.Address{Kind: "subject", ID: "s"})
			*i.State().(*kept) = test.state
			before := i.State()
			data, err := i.TakeSnapshot()
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) || i.State() != before {
					t.Fatalf("error %v, want %q", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			restored, err := b.Restore(i.Address(), i.Version(), data)
			if err != nil {
				t.Fatal(err)
			}
			if i.State() == before || !reflect.DeepEqual(i.State(), restored.State()) {
				t.Errorf("it goes on with %+v, the snapshot holds %+v", i.State(), restored.State())
			}
		})
	}
}

func TestInstance_TakeSnapshot_OfWhatJSONCannotHold(t *testing.T) {
	t.Parallel()
	i := define[struct{ F func() }]().New(actor.Address{Kind: "subject", ID: "s"})
	if data, err := i.TakeSnapshot(); err == nil {
		t.Errorf("got %s", data)
	}
}

// explosive panics on its way into JSON and back.
type explosive struct{ on string }

func (e *explosive) MarshalJSON() ([]byte, error) {
	if e.on == "out" {
		panic("marshal")
	}
	return []byte(`{}`), nil
}

func (e *explosive) UnmarshalJSON([]byte) error { panic("unmarshal") }

func TestBehavior_Restore_Undecodable(t *testing.T) {
	t.Parallel()
	b := define[plain]()
	for _, data := range []string{"", "{", "[]", "null", " null\n", `{"Name":1}`} {
		if i, err := b.Restore(actor.Address{Kind: "subject", ID: "s"}, 3, []byte(data)); err == nil {
			t.Errorf("%q: is state %+v at version %d", data, i.State(), i.Version())
		}
	}
	if _, err := define[explosive]().Restore(actor.Address{Kind: "subject", ID: "s"}, 3, []byte(`{}`)); err == nil {
		t.Error("a panic is no error")
	}
}

func TestInstance_Snapshot_Fails(t *testing.T) {
	t.Parallel()
	i := define[struct{ Ratio float64 }]().New(actor.Address{Kind: "subject", ID: "s"})
	i.State().(*struct{ Ratio float64 }).Ratio = inf()
	if data, err := i.Snapshot(); err == nil {
		t.Errorf("got %s", data)
	}
	j := define[explosive]().New(actor.Address{Kind: "subject", ID: "s"})
	j.State().(*explosive).on = "out"
	if data, err := j.Snapshot(); err == nil {
		t.Errorf("got %s", data)
	}
}

func TestInstance_Show(t *testing.T) {
	t.Parallel()
	type nothing struct{}
	one := func(show func(*plain) any) actor.Decision {
		b := define(func(d *actor.Definition[plain]) {
			actor.Apply(d, func(*plain, nothing) {})
			actor.View(d, show)
		})
		i := b.New(actor.Address{Kind: "subject", ID: "s"})
		if err := i.Replay(actor.Event{Name: "nothing.v1", Data: []byte(`{}`)}); err != nil {
			t.Fatal(err)
		}
		return i.Decide(&actor.Message{Type: actor.TypeState})
	}
	if d := one(func(p *plain) any { return len(p.Name) }); string(d.Outcome.Reply) != "0" || d.Outcome.Version != 1 {
		t.Errorf("got %+v", d.Outcome)
	}
	if d := one(func(*plain) any { return inf() }); d.Outcome.Code != actor.CodeUnloadable || d.Outcome.Detail == "" {
		t.Errorf("got %+v", d.Outcome)
	}
	if d := one(func(*plain) any { panic("no view") }); d.Outcome.Code != actor.CodeParked || d.Panic == nil || !d.Tainted {
		t.Errorf("got %+v", d)
	}
}

type (
	hidden        struct{ n int }  //nolint:unused // its type is what is looked at
	inner         struct{ hidden } //nolint:unused // its type is what is looked at
	exportedInner struct{ Count int }
	selfEncoding  struct{ n int }
	Embedded      struct {
		Count int `json:"count"`
	}
	recursive struct{ Children []*recursive }
	pointsTo  struct{ *exportedInner }
)

func (s selfEncoding) MarshalJSON() ([]byte, error)     { return json.Marshal(s.n) }
func (s *selfEncoding) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &s.n) }

func TestDefinition_SnapshotsByDefault(t *testing.T) {
	t.Parallel()
	on, off := actor.DefaultSnapshotEvery, 0
	tests := map[string]struct{ got, want int }{
		"plain":                       {define[plain]().SnapshotEvery(), on},
		"empty":                       {define[struct{}]().SnapshotEvery(), on},
		"recursive":                   {define[recursive]().SnapshotEvery(), on},
		"encodes itself":              {define[selfEncoding]().SnapshotEvery(), on},
		"a field encodes itself":      {define[struct{ S []selfEncoding }]().SnapshotEvery(), on},
		"text form":                   {define[struct{ A netip.Addr }]().SnapshotEvery(), on},
		"both forms":                  {define[struct{ N *big.Int }]().SnapshotEvery(), on},
		"keys in text form":           {define[struct{ M map[netip.Addr]int }]().SnapshotEvery(), on},
		"number keys":                 {define[struct{ M map[uint16]int }]().SnapshotEvery(), on},
		"embedded":                    {define[struct{ exportedInner }]().SnapshotEvery(), on},
		"zero-size field":             {define[struct{ none struct{} }]().SnapshotEvery(), on},
		"name differs in case":        {define[struct{ Count, COUNT int }]().SnapshotEvery(), on},
		"unexported":                  {define[hidden]().SnapshotEvery(), off},
		"unexported below":            {define[struct{ M map[string]*[]hidden }]().SnapshotEvery(), off},
		"unexported, embedded":        {define[inner]().SnapshotEvery(), off},
		"unexported, embedded by ref": {define[pointsTo]().SnapshotEvery(), off},
		"left out": {define[struct {
			A int `json:"-"`
		}]().SnapshotEvery(), off},
		"interface":   {define[struct{ A any }]().SnapshotEvery(), off},
		"function":    {define[struct{ F func() }]().SnapshotEvery(), off},
		"complex":     {define[struct{ C complex128 }]().SnapshotEvery(), off},
		"struct keys": {define[struct{ M map[exportedInner]int }]().SnapshotEvery(), off},
		"float keys":  {define[struct{ M map[float64]int }]().SnapshotEvery(), off},
		"embedded, name twice": {define[struct {
			Embedded
			Total int `json:"count"`
		}]().SnapshotEvery(), off},
		"an embedded field's form": {define[struct {
			time.Time
			Total int
		}]().SnapshotEvery(), off},
		"an embedded field alone":   {define[struct{ time.Time }]().SnapshotEvery(), on},
		"pointer receiver":          {define[struct{ E explosive }]().SnapshotEvery(), on},
		"pointer receiver in a map": {define[struct{ M map[string]explosive }]().SnapshotEvery(), off},
		"one way":                   {define[struct{ S writesOnly }]().SnapshotEvery(), off},
	}
	for name, test := range tests {
		if test.got != test.want {
			t.Errorf("%s: SnapshotEvery is %d, want %d", name, test.got, test.want)
		}
	}
}

func TestBehavior_Schema(t *testing.T) {
	t.Parallel()
	base := define[struct{ A int }]().Schema()
	if base != define[struct{ A int }]().Schema() {
		t.Error("not a function of the type")
	}
	if base == define(func(d *actor.Definition[struct{ A int }]) { d.SnapshotSchema("2") }).Schema() {
		t.Error("the revision does not change it")
	}
	type renamed struct {
		A int `json:"b"`
	}
	others := map[string]string{
		"name":        define[struct{ B int }]().Schema(),
		"type":        define[struct{ A int64 }]().Schema(),
		"tag":         define[renamed]().Schema(),
		"added":       define[struct{ A, B int }]().Schema(),
		"indirection": define[struct{ A *int }]().Schema(),
		"list":        define[struct{ A []int }]().Schema(),
		"array":       define[struct{ A [2]int }]().Schema(),
		"longer":      define[struct{ A [3]int }]().Schema(),
		"map":         define[struct{ A map[string]int }]().Schema(),
		"map's key":   define[struct{ A map[int]int }]().Schema(),
		"below":       define[struct{ A struct{ B int } }]().Schema(),
		"recursive":   define[recursive]().Schema(),
	}
	seen := map[string]string{base: "the base"}
	for name, schema := range others {
		if other, taken := seen[schema]; taken {
			t.Errorf("%s: the same as %s", name, other)
		}
		seen[schema] = name
	}
}

var errNever = errors.New("never")

func TestDefinition_Panics(t *testing.T) {
	t.Parallel()
	type unnamed = struct{ actor.Replies[int] }
	type event struct{}
	on := func(*account, *actor.Context, deposit) (receipt, error) { return receipt{}, errNever }
	ask := func(*account, *actor.QueryContext, deposit) (receipt, error) { return receipt{}, errNever }
	tests := map[string]func(d *actor.Definition[account]){
		"command twice": func(d *actor.Definition[account]) { actor.On(d, on); actor.On(d, on) },
		"query twice":   func(d *actor.Definition[account]) { actor.Query(d, ask); actor.Query(d, ask) },
		"command without name": func(d *actor.Definition[account]) {
			actor.On(d, func(*account, *actor.Context, unnamed) (int, error) { return 0, errNever })
		},
		"command by reference": func(d *actor.Definition[account]) {
			actor.On(d, func(*account, *actor.Context, *deposit) (receipt, error) { return receipt{}, errNever })
		},
		"command badly named": func(d *actor.Definition[account]) {
			actor.On(d, func(*account, *actor.Context, badName) (int, error) { return 0, errNever })
		},
		"event twice":        func(d *actor.Definition[account]) { apply(d); apply(d) },
		"event without name": func(d *actor.Definition[account]) { actor.Apply(d, func(*account, struct{}) {}) },
		"event by reference": func(d *actor.Definition[account]) { actor.Apply(d, func(*account, *deposited) {}) },
		"stored name twice":  func(d *actor.Definition[account]) { apply(d); actor.Apply(d, func(*account, sameName) {}) },
		"older name twice":   func(d *actor.Definition[account]) { apply(d, actor.From("deposited.v1", upcast)) },
		"upcast to another": func(d *actor.Definition[account]) {
			apply(d, actor.From("x", func(depositV0) event { return event{} }))
		},
		"rejection twice":       func(d *actor.Definition[account]) { d.Rejections(errAmount, actor.Reject("invalid_amount", "other")) },
		"snapshots, hidden":     func(d *actor.Definition[account]) { d.SnapshotEvery(1) },
		"snapshots, negative":   func(d *actor.Definition[account]) { d.SnapshotEvery(-1) },
		"rejection code, upper": func(*actor.Definition[account]) { _ = actor.Reject("Upper", "") },
		"rejection code, empty": func(*actor.Definition[account]) { _ = actor.Reject("", "") },
	}
	for name, build := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			actor.Define("account", build)
		})
	}
	t.Run("kind", func(t *testing.T) {
		t.Parallel()
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		actor.Define("Account", func(*actor.Definition[account]) {})
	})
}

func apply(d *actor.Definition[account], opts ...actor.EventOption) {
	actor.Apply(d, (*account).deposited, opts...)
}

func upcast(depositV0) deposited { return deposited{} }

type sameName struct{}

func (sameName) WireName() string { return "deposited.v1" }

type badName struct{ actor.Replies[int] }

func (badName) WireName() string { return "bad name" }
