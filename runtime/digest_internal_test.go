package runtime

import (
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
)

func digestText(data string) string {
	d := digestOf(&actor.Message{Type: actor.TypeCommand, ID: "key", Name: "Do", Data: []byte(data)})
	return d.String()
}

func TestDigestOf_TheSameJSON(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{`{}`, ``, ` `, "{\n}"},
		{`{"a":1,"b":[true,null,"x"]}`, ` { "b" : [ true , null , "x" ] , "a" : 1.0 } `, `{"a":0.1e1,"b":[true,null,"\u0078"]}`, `{"a":9,"a":10e-1,"b":[true,null,"x"]}`},
		{`{"n":0}`, `{"n":-0.00}`, `{"n":0e7}`},
		{`{"n":1200}`, `{"n":12e2}`, `{"n":1.2E+3}`, `{"n":1200.00}`},
		{`{"n":-0.012}`, `{"n":-12e-3}`},
		{`{"n":1e99999999999}`},
		{`{"n":9007199254740993}`, `{"n":9007199254740993.0}`},
	} {
		for _, data := range same {
			if got := digestText(data); got == "" || got != digestText(same[0]) {
				t.Errorf("%s: digest %q, that of %s is %q", data, got, same[0], digestText(same[0]))
			}
		}
	}
}

func TestDigestOf_AnotherJSON(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, data := range []string{
		`{}`, `{"a":1}`, `{"a":10}`, `{"a":-1}`, `{"a":0.1}`, `{"a":"1"}`, `{"a":true}`, `{"a":null}`, `{"a":{}}`, `{"a":[]}`, `{"a":[1]}`,
		`{"a":[[1]]}`, `{"a":[1],"b":[]}`, `{"a":[],"b":[1]}`, `{"A":1}`, `{"a":"k1:b"}`, `{"a":"","b":""}`, `{"a":1,"b":1}`,
		`{"a":9007199254740993}`, `{"a":9007199254740992}`, `{"a":1e400}`, `{"a":1e401}`, `null`, `[]`,
	} {
		if other, twice := seen[digestText(data)]; twice {
			t.Errorf("%s has the digest of %s", data, other)
		}
		seen[digestText(data)] = data
	}
}

func TestDigestOf_IsNotKept(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]actor.Message{
		"the runtime's own id": {Type: actor.TypeCommand, ID: "ganglion.x", Name: "Do", Data: []byte(`{}`)},
		"a skip":               {Type: actor.TypeCommand, ID: "key", Name: "ganglion.skip", Data: []byte(`{}`)},
		"a query":              {Type: actor.TypeQuery, Name: "Do", Data: []byte(`{}`)},
		"no JSON":              {Type: actor.TypeCommand, ID: "key", Name: "Do", Data: []byte(`{`)},
		"too deep":             {Type: actor.TypeCommand, ID: "key", Name: "Do", Data: []byte(strings.Repeat("[", 5000) + strings.Repeat("]", 5000))},
	} {
		if d := digestOf(&m); d.String() != "" {
			got := d.String()
			t.Errorf("%s: %q", name, got)
		}
	}
}

// The form that is written while JSON is read is that of what was decoded, in all cases in
// which it is written at all. `go test -fuzz FuzzCanonical ./runtime` looks for others.
func FuzzCanonical(f *testing.F) {
	for _, data := range []string{
		`{}`, `[]`, ` { "b" : [ 1 , { "z":1,"a":2 } ] , "a" : -10 } `, `{"a":1,"a":2}`, `{"a":01}`, `{"a":-}`, `-0`, `1.50`, `1e2`, `+1`, `100200`,
		`{"a":"\u0078"}`, `{"ü":"\xff"}`, "{\"\xff\":1}", `{"a" 1}`, `{"a":1,}`, `[1,]`, `[,1]`, `{,}`, `nul`, `nullx`, `{} x`, `tru`, `"a`, `{"a":1 "b":2}`,
		`{"b":1,"a":{"d":[],"c":[[]]},"aa":3}`, `{"1":1,"10":2,"9":3}`, "{\"a\":\"\x01\"}", `[1-2]`, `[--1]`, `[1+1]`, ``, ` `,
		`{"k":1,"j":2,"i":3,"h":4,"g":5,"f":6,"e":7,"d":8,"c":9,"b":10,"a":11}`, "[" + strings.Repeat("7,", 120) + "7]", strings.Repeat("[", 40) + strings.Repeat("]", 40),
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if actor.TooDeep(data) {
			return
		}
		form, ok := (&canonical{}).write(data)
		if !ok {
			return
		}
		if want, valid := appendDecodedJSON(nil, data); !valid || string(form) != string(want) {
			t.Errorf("%q: %q, want %q (%t)", data, form, want, valid)
		}
	})
}

// What callers usually send is not decoded for its digest.
func TestCanonical_TakesWhatIsUsual(t *testing.T) {
	t.Parallel()
	for _, data := range []string{`{}`, `{"amount":500,"note":"for Ann — thanks"}`, `{"b":[1.5,true,null],"a":{"y":-7,"x":""}}`} {
		if _, ok := (&canonical{}).write([]byte(data)); !ok {
			t.Error(data)
		}
	}
}

func BenchmarkDigestOf(b *testing.B) {
	m := actor.Message{Type: actor.TypeCommand, ID: "key", Name: "Do", Data: []byte(`{"amount":5,"note":"a note of the usual length, as people write"}`)}
	b.ReportAllocs()
	for b.Loop() {
		digestOf(&m)
	}
}
