package projectiontest

import (
	"encoding/json"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/projection"
)

type (
	// untagged has names of Go alone.
	untagged struct {
		FirstName string
		ID        int64
		Nested    struct{ InnerName string }
	}
	// Base is embedded, and so are its fields in JSON.
	Base struct {
		Kind string `json:"kind"`
	}
	embedding struct {
		Base
		*Extra
		Total int `json:"total"`
	}
	// Extra is embedded by reference.
	Extra struct {
		Note string `json:"note"`
	}
	ownText  struct{ parts [2]string }
	ownJSON  struct{ cents int64 }
	byRef    struct{ cents int64 }
	numbered struct {
		Raw    json.RawMessage `json:"raw"`
		Number json.Number     `json:"number"`
		Quoted int64           `json:"quoted,string"`
		Uint   uint64          `json:"uint"`
		Float  float64         `json:"float"`
		Single float32         `json:"single"`
	}
	line struct {
		Name  string `json:"itemName"`
		Price int    `json:"unitPrice"`
	}
	order struct {
		Lines []line `json:"orderLines"`
		First line   `json:"firstLine"`
	}
	linked struct {
		Name string
		Next *linked `json:",omitempty"`
	}
	optional struct {
		Map   map[string]int `json:"map,omitempty"`
		Slice []int          `json:"slice,omitempty"`
		When  time.Time      `json:"when,omitzero"`
		Ptr   *int           `json:"ptr"`
	}
)

func (o ownText) MarshalText() ([]byte, error) { return []byte(o.parts[0] + "|" + o.parts[1]), nil }
func (o *ownText) UnmarshalText(text []byte) error {
	o.parts[0], o.parts[1], _ = strings.Cut(string(text), "|")
	return nil
}
func (o ownJSON) MarshalJSON() ([]byte, error)     { return json.Marshal([]int64{o.cents}) }
func (o *ownJSON) UnmarshalJSON(data []byte) error { return unmarshalCents(data, &o.cents) }
func (o *byRef) MarshalJSON() ([]byte, error)      { return json.Marshal([]int64{o.cents}) }
func (o *byRef) UnmarshalJSON(data []byte) error   { return unmarshalCents(data, &o.cents) }

func unmarshalCents(data []byte, to *int64) error {
	var list []int64
	if err := json.Unmarshal(data, &list); err != nil || len(list) != 1 {
		return err
	}
	*to = list[0]
	return nil
}

// documents are of every sort of type that a storage might treat in a way of its own.
func documents() map[string]any {
	huge, _ := new(big.Int).SetString("123456789012345678901234567890123456789012345678901234567890", 10)
	return map[string]any{
		"untagged":          untagged{FirstName: "n", ID: 1, Nested: struct{ InnerName string }{"i"}},
		"embedded":          embedding{Base: Base{"b"}, Extra: &Extra{"e"}, Total: 3},
		"embedded, none":    embedding{Total: 3},
		"text":              struct{ T ownText }{ownText{[2]string{"a", "b"}}},
		"addresses":         struct{ A netip.Addr }{netip.MustParseAddr("2001:db8::1")},
		"keys":              map[netip.Addr]string{netip.MustParseAddr("10.0.0.1"): "a"},
		"number keys":       map[int64]bool{-1: true, 1 << 60: false},
		"JSON":              struct{ J ownJSON }{ownJSON{5}},
		"JSON by reference": struct{ J byRef }{byRef{5}},
		"big":               struct{ N *big.Int }{huge},
		"big by value":      struct{ N big.Int }{*huge},
		"numbers": numbered{
			Raw: json.RawMessage(`{"a":[1.50,1e2,1152921504606846976,1e400,-0,12345678901234567890]}`), Number: "1.50",
			Quoted: 1<<53 + 1, Uint: math.MaxUint64, Float: math.SmallestNonzeroFloat64, Single: 0.1,
		},
		"times":      struct{ T, Zero time.Time }{T: time.Date(2026, 1, 2, 3, 4, 5, 678912345, time.UTC)},
		"a zone":     struct{ T time.Time }{time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))},
		"a duration": struct{ D time.Duration }{time.Hour},
		"bytes": struct {
			B []byte
			A [3]byte
		}{[]byte{0, 255}, [3]byte{1, 2, 3}},
		"a list of structs": []line{{"cup", 5}, {"pen", 3}},
		"the same, within":  order{Lines: []line{{"pen", 3}}, First: line{"ink", 4}},
		"an empty list":     []int{},
		"no list":           []int(nil),
		"text alone":        "t",
		"a number alone":    int64(1<<60 + 1),
		"a bool alone":      true,
		"recursive":         linked{"a", &linked{Name: "b"}},
		"optional":          optional{},
		"anything":          map[string]any{"n": 1.5, "l": []any{"a", nil, true}, "m": map[string]any{"x": "y"}},
		"dollars":           map[string]int{"$set": 1, "a.b": 2, "": 3},
		"text of all sorts": "<a>&\u2028 \x00 \uFFFD \"\\",
	}
}

// testTypes: every document comes back as encoding/json brings it back.
func testTypes(t *testing.T, open Open) {
	s := open(t)()
	at := place("types")
	var writes []projection.Write
	for name, value := range documents() {
		writes = append(writes, projection.Write{Place: at, Key: name, Data: encode(t, s, value)})
	}
	mustCommit(t, s, writes...)
	for name, value := range documents() {
		docs, err := s.Read(t.Context(), at, name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := projection.Encode(value)
		if err != nil {
			t.Fatal(err)
		}
		want, got := reflect.New(reflect.TypeOf(value)), reflect.New(reflect.TypeOf(value))
		if err := json.Unmarshal(text, want.Interface()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := s.Unmarshal(docs[0].Data, got.Interface()); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		exported := cmp.Exporter(func(reflect.Type) bool { return true })
		sameBig := cmp.Comparer(func(a, b big.Int) bool { return a.Cmp(&b) == 0 })
		sameTime := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
		sameAddr := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
		if diff := cmp.Diff(want.Elem().Interface(), got.Elem().Interface(), exported, sameBig, sameTime, sameAddr); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		again, err := projection.Encode(got.Interface())
		if err != nil || string(again) != string(text) {
			t.Errorf("%s is %s, %v, want %s", name, again, err, text)
		}
	}
}
