package actor

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

type kinds struct {
	Bool  bool    `json:"bool"`
	Text  string  `json:"text,omitempty"`
	Float float64 `json:"float"`
	Small float32
	I     int8   `json:",omitempty"`
	J     int64  `json:"j"`
	U     uint64 `json:"u"`
	Inner struct {
		Text string
		Same [3]int16
	} `json:"inner"`
}

type withMethod string

func (*withMethod) UnmarshalText([]byte) error { return nil }

// TestFaithful: what is decoded from the JSON of a faithful value is that value, bit for bit.
func TestFaithful(t *testing.T) {
	t.Parallel()
	if !faithful(reflect.TypeFor[kinds]()) {
		t.Fatal("no faithful type")
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	texts := []string{"", "a", "\x00\x1f\"\\</script>&\u2028", "\xff", "a\xc3", "\xed\xa0\x80", "\ufffd", `\ufffd`, "\U0001F600", "\u00e9e\u0301"}
	text := func() string { return texts[rnd.IntN(len(texts))] + texts[rnd.IntN(len(texts))] }
	floats := []float64{0, math.Copysign(0, -1), 1e21, 1e-7, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Pi, -1.5}
	lossy := 0
	for range 20000 {
		v := kinds{
			Bool: rnd.IntN(2) == 0, Text: text(), Float: floats[rnd.IntN(len(floats))] * rnd.Float64(), Small: math.Float32frombits(rnd.Uint32()),
			I: int8(rnd.Uint32()), J: int64(rnd.Uint64()), U: rnd.Uint64() >> rnd.IntN(64),
		}
		v.Inner.Text, v.Inner.Same[1] = text(), int16(rnd.Uint32())
		data, err := json.Marshal(v)
		if err != nil { // no number
			continue
		}
		var back kinds
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		same := back == v && math.Signbit(back.Float) == math.Signbit(v.Float) && math.Signbit(float64(back.Small)) == math.Signbit(float64(v.Small))
		switch {
		case replaced(data):
			lossy++
		case !same:
			t.Fatalf("%+v came back as %+v from %s", v, back, data)
		}
	}
	if lossy == 0 || lossy > 19000 {
		t.Errorf("%d texts that are no UTF-8", lossy)
	}
}

// TestFaithful_Not: types of which JSON may give back something else, or whose values share
// memory with whoever made them.
func TestFaithful_Not(t *testing.T) {
	t.Parallel()
	for name, typ := range map[string]reflect.Type{
		"pointer": reflect.TypeFor[struct{ A *int }](), "slice": reflect.TypeFor[struct{ A []int }](), "map": reflect.TypeFor[struct{ A map[string]int }](),
		"any": reflect.TypeFor[struct{ A any }](), "time": reflect.TypeFor[struct{ A time.Time }](), "raw": reflect.TypeFor[struct{ A json.RawMessage }](),
		"number": reflect.TypeFor[struct{ A json.Number }](), "method": reflect.TypeFor[struct{ A withMethod }](), "complex": reflect.TypeFor[struct{ A complex128 }](),
		"embedded": reflect.TypeFor[struct{ kinds }](), "unexported": reflect.TypeFor[struct{ a int }](), "left out": reflect.TypeFor[struct {
			A int `json:"-"`
		}](),
		"quoted": reflect.TypeFor[struct {
			A int `json:",string"`
		}](),
		"zero": reflect.TypeFor[struct {
			A int `json:",omitzero"`
		}](),
		"empty float": reflect.TypeFor[struct {
			A float64 `json:",omitempty"`
		}](),
		"one name": reflect.TypeFor[struct {
			A int `json:"B"`
			B int
		}](),
		"no name": reflect.TypeFor[struct {
			A int `json:"a b"`
		}](),
	} {
		if faithful(typ) {
			t.Errorf("%s: %v is taken for faithful", name, typ)
		}
	}
}
