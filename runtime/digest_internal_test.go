package runtime

import (
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
)

func digest(data string) string {
	return digestOf(&actor.Message{Type: actor.TypeCommand, ID: "key", Name: "Do", Data: []byte(data)})
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
			if got := digest(data); got == "" || got != digest(same[0]) {
				t.Errorf("%s: digest %q, that of %s is %q", data, got, same[0], digest(same[0]))
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
		if other, twice := seen[digest(data)]; twice {
			t.Errorf("%s has the digest of %s", data, other)
		}
		seen[digest(data)] = data
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
		if got := digestOf(&m); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}
