package actor_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/ganglion-go/ganglion/actor"
)

type (
	lowered struct{ amount int } //nolint:unused // its type is what is looked at
	dashed  struct {
		A int `json:"-"`
	}
	shape   interface{ Area() int }
	stamped struct {
		time.Time
		By int
	}
	stampedAlone  struct{ time.Time }
	stampedDeeply struct{ stampedPlus }
	stampedPlus   struct {
		stampedAlone
		By int
	}
	stampedByTag struct {
		time.Time `json:"at"`
		By        int
	}
	stampedOwn struct {
		time.Time
		By int
	}
	stampedOneWay struct {
		time.Time
		By int
	}
	stampedTwice struct { // the two are ambiguous, so that neither has a say
		time.Time
		big.Int
	}
	coin           struct{ n int }
	coins          struct{ Coin coin }
	generic[T any] struct {
		time.Time
		Value T
	}
	ownGeneric[T any] struct {
		time.Time
		Value T
	}
	writesOnly struct{ N int }
	readsOnly  struct{ N int }
	textKey    struct{ n int }
	oneWayKey  int
	tree       struct {
		Name     string
		Children []tree
		Parent   *tree `json:",omitempty"`
	}
	loop struct {
		*loop //nolint:unused // its type is what is looked at
		N     int
	}
	unexportedPart struct{ N int }
	writesOnlyPart struct{ N int }
	RawNumber      json.Number
)

func (s stampedOwn) MarshalJSON() ([]byte, error)        { return json.Marshal(s.By) }
func (s *stampedOwn) UnmarshalJSON(data []byte) error    { return json.Unmarshal(data, &s.By) }
func (s stampedOneWay) MarshalJSON() ([]byte, error)     { return json.Marshal(s.By) }
func (c *coin) MarshalJSON() ([]byte, error)             { return json.Marshal(c.n) }
func (c *coin) UnmarshalJSON(data []byte) error          { return json.Unmarshal(data, &c.n) }
func (g ownGeneric[T]) MarshalJSON() ([]byte, error)     { return json.Marshal(g.Value) }
func (g *ownGeneric[T]) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &g.Value) }
func (writesOnly) MarshalJSON() ([]byte, error)          { return []byte("1"), nil }
func (*readsOnly) UnmarshalJSON([]byte) error            { return nil }
func (k textKey) MarshalText() ([]byte, error)           { return fmt.Append(nil, k.n), nil }
func (k *textKey) UnmarshalText(text []byte) error       { return json.Unmarshal(text, &k.n) }
func (oneWayKey) MarshalText() ([]byte, error)           { return []byte("k"), nil }

func TestCheckJSON(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		typ  reflect.Type
		want []string // of each fault
	}{
		"plain":     {typ: reflect.TypeFor[plain]()},
		"recursive": {typ: reflect.TypeFor[tree]()},
		"empty":     {typ: reflect.TypeFor[struct{}]()},
		"any": {typ: reflect.TypeFor[struct {
			A any
			M map[string]any
		}]()},
		"raw": {typ: reflect.TypeFor[struct {
			R json.RawMessage
			N json.Number
			B []byte
			A [4]byte
			M RawNumber
		}]()},
		"times": {typ: reflect.TypeFor[struct {
			T time.Time
			P *time.Time
			D time.Duration
			M map[string]time.Time
		}]()},
		"text": {typ: reflect.TypeFor[struct {
			A netip.Addr
			M map[netip.Addr]*big.Int
			S []big.Int
		}]()},
		"padding": {typ: reflect.TypeFor[struct {
			A    int
			_    [7]byte
			none struct{}
		}]()},
		"names by case": {typ: reflect.TypeFor[struct{ Count, COUNT int }]()},
		"as string": {typ: reflect.TypeFor[struct {
			N int64 `json:"n,string"`
		}]()},
		"bad tag": {typ: reflect.TypeFor[struct {
			N int `json:"\"n"` //nolint:staticcheck // encoding/json then takes the name of the field
			M int `json:"-,"`  //nolint:staticcheck // its name is "-"
		}]()},
		"promoted, alone": {typ: reflect.TypeFor[stampedAlone]()},
		"promoted, own":   {typ: reflect.TypeFor[stampedOwn]()},
		"generic, own":    {typ: reflect.TypeFor[ownGeneric[int]]()},
		"keys": {typ: reflect.TypeFor[struct {
			A map[textKey]int
			B map[int8]int
			C map[RawNumber]int
		}]()},
		"unexported embedded": {typ: reflect.TypeFor[struct{ unexportedPart }]()},
		"pointer receivers": {typ: reflect.TypeFor[struct {
			P *coin
			S []coin
		}]()},
		"recursive embedding": {typ: reflect.TypeFor[struct{ L *tree }]()},

		"unexported": {reflect.TypeFor[lowered](), []string{"lowered.amount: field of actor_test.lowered is unexported"}},
		"left out":   {reflect.TypeFor[dashed](), []string{"dashed.A: field of actor_test.dashed is left out"}},
		"nested":     {reflect.TypeFor[struct{ M map[string][]*lowered }](), []string{".M[][].amount: field of actor_test.lowered is unexported"}},
		"in another": {reflect.TypeFor[url.URL](), []string{"User.username", "User.password", "User.passwordSet"}},
		"interface": {reflect.TypeFor[struct {
			S shape
			E error
		}](), []string{".E: error is an interface", ".S: actor_test.shape is an interface"}},
		"marshaler": {reflect.TypeFor[struct{ json.Marshaler }](), []string{".Marshaler: json.Marshaler is an interface"}},
		"no form": {reflect.TypeFor[struct {
			F func()
			C chan int
			X complex64
			U unsafe.Pointer
		}](), []string{".C: ", ".F: ", ".U: ", ".X: "}},
		"promoted":          {reflect.TypeFor[stamped](), []string{"actor_test.stamped: MarshalJSON of its embedded field Time stands for all"}},
		"promoted deeply":   {reflect.TypeFor[stampedDeeply](), []string{"stampedDeeply.stampedPlus: MarshalJSON of its embedded field stampedAlone"}},
		"promoted, named":   {reflect.TypeFor[stampedByTag](), []string{"MarshalJSON of its embedded field Time"}},
		"promoted, read":    {reflect.TypeFor[stampedOneWay](), []string{"UnmarshalJSON of its embedded field Time"}},
		"promoted, generic": {reflect.TypeFor[generic[int]](), []string{"MarshalJSON of its embedded field Time"}},
		"promoted text": {reflect.TypeFor[struct {
			netip.Addr
			Port int
		}](), []string{"MarshalText of its embedded field Addr"}},
		"promoted by pointer": {reflect.TypeFor[struct {
			*big.Int
			Unit string
		}](), []string{"MarshalJSON of its embedded field Int"}},
		"promoted, not called": {reflect.TypeFor[struct {
			big.Int
			Unit string
		}](), []string{"MarshalJSON of its embedded field Int"}},
		"ambiguous":               {reflect.TypeFor[stampedTwice](), []string{"wall", "ext", "loc", "neg", "abs"}},
		"pointer receiver":        {reflect.TypeFor[coins](), []string{"coins.Coin: MarshalJSON of actor_test.coin has a pointer receiver"}},
		"pointer receiver in map": {reflect.TypeFor[struct{ M map[string]coin }](), []string{".M[]: MarshalJSON of actor_test.coin has a pointer receiver"}},
		"pointer receiver, value": {reflect.TypeFor[struct{ N big.Int }](), []string{".N: MarshalJSON of big.Int has a pointer receiver"}},
		"writes only":             {reflect.TypeFor[struct{ W writesOnly }](), []string{".W: actor_test.writesOnly has MarshalJSON"}},
		"reads only":              {reflect.TypeFor[struct{ R readsOnly }](), []string{".R: actor_test.readsOnly has UnmarshalJSON"}},
		"keys without form": {reflect.TypeFor[struct {
			A map[float64]int
			B map[[2]int]int
			C map[any]int
			D map[bool]int
		}](), []string{"A: ", "B: ", "C: ", "D: "}},
		"key that is written only": {reflect.TypeFor[map[oneWayKey]int](), []string{"key actor_test.oneWayKey needs both"}},
		"same name": {reflect.TypeFor[struct {
			A int `json:"B"`
			B int
		}](), []string{`.B: field of`}},
		"same name, embedded": {reflect.TypeFor[struct {
			unexportedPart
			writesOnlyPart
		}](), []string{`.unexportedPart.N: field of`, `.writesOnlyPart.N: field of`}},
		"hidden by the outer": {reflect.TypeFor[struct {
			unexportedPart
			N int
		}](), []string{`.unexportedPart.N: field of actor_test.unexportedPart is lost: another one is "N"`}},
		"embedded pointer to unexported": {reflect.TypeFor[struct{ *unexportedPart }](), []string{"embedded pointer to an unexported struct"}},
		"embeds itself":                  {reflect.TypeFor[loop](), []string{"embedded pointer to an unexported struct"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := actor.CheckJSON(test.typ)
			faults := []string{}
			if e, ok := errors.AsType[*actor.TypeError](err); ok {
				faults = e.Faults
			}
			if len(faults) != len(test.want) || (err == nil) != (len(test.want) == 0) {
				t.Fatalf("CheckJSON(%v) = %v, want %d faults: %q", test.typ, err, len(test.want), test.want)
			}
			all := strings.Join(faults, "\n")
			for _, want := range test.want {
				if !strings.Contains(all, want) {
					t.Errorf("CheckJSON(%v) does not say %q:\n%s", test.typ, want, all)
				}
			}
		})
	}
}

type (
	lossyCommand struct {
		actor.Replies[lossyReply]
		Shape shape
	}
	lossyReply struct{ total int } //nolint:unused // its type is what is looked at
	lossyQuery struct {
		actor.Replies[int]
		Done chan int
	}
	lossyView struct{ By map[string]coin }
	lossyOld  struct{ amount int } //nolint:unused // its type is what is looked at
)

// TestDefine_RefusesTypes: what does not survive JSON is named when the kind is defined,
// all of it at once.
func TestDefine_RefusesTypes(t *testing.T) {
	t.Parallel()
	defer func() {
		said := fmt.Sprint(recover())
		for _, want := range []string{
			"actor: account", "event stamped.v1: actor_test.stamped", "older form lossyOld.v0: actor_test.lossyOld.amount",
			"command lossyCommand: actor_test.lossyCommand.Shape", "reply of lossyCommand: actor_test.lossyReply.total",
			"query lossyQuery: actor_test.lossyQuery.Done", "view of the state: actor_test.lossyView.By[]",
			"detail had of rejection short: actor_test.coins.Coin",
		} {
			if !strings.Contains(said, want) {
				t.Errorf("Define does not name %q: %s", want, said)
			}
		}
	}()
	actor.Define("account", func(d *actor.Definition[account]) {
		actor.On(d, func(*account, *actor.Context, lossyCommand) (lossyReply, error) { return lossyReply{}, errNever })
		actor.Query(d, func(*account, *actor.QueryContext, lossyQuery) (int, error) { return 0, errNever })
		actor.Apply(d, func(*account, stamped) {}, actor.From("lossyOld.v0", func(lossyOld) stamped { return stamped{} }))
		actor.View(d, func(*account) lossyView { return lossyView{} })
		d.Rejections(actor.Reject("short", "").With("had", coins{}))
	})
}

// TestBehavior_WithoutSnapshots: a state that JSON cannot hold is allowed, and said.
func TestBehavior_WithoutSnapshots(t *testing.T) {
	t.Parallel()
	lossy := define[stamped]()
	if err := lossy.WithoutSnapshots(); lossy.SnapshotEvery() != 0 || err == nil || !strings.Contains(err.Error(), "embedded field Time") {
		t.Errorf("every %d, %v", lossy.SnapshotEvery(), err)
	}
	if err := define(func(d *actor.Definition[stamped]) { d.SnapshotEvery(0) }).WithoutSnapshots(); err != nil {
		t.Errorf("turned off, and told: %v", err)
	}
	if err := define[plain]().WithoutSnapshots(); err != nil {
		t.Error(err)
	}
	defer func() {
		if said := fmt.Sprint(recover()); !strings.Contains(said, "embedded field Time") {
			t.Errorf("snapshots of it: %s", said)
		}
	}()
	define(func(d *actor.Definition[stamped]) { d.SnapshotEvery(5) })
}
