package dashboard

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChangesOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, after string
		want          []change
	}{
		"nested":             {`{"a":{"b":{"c":1}}}`, `{"a":{"b":{"c":2}}}`, []change{{"changed", "/a/b/c", "1", "2"}}},
		"exact numbers":      {`{"n":9007199254740992}`, `{"n":9007199254740993}`, []change{{"changed", "/n", "9007199254740992", "9007199254740993"}}},
		"digits that matter": {`{"n":1.10}`, `{"n":1.1}`, []change{{"changed", "/n", "1.10", "1.1"}}},
		"added":              {`{}`, `{"a":[1,{"b":null}]}`, []change{{"added", "/a", "", `[1,{"b":null}]`}}},
		"removed":            {`{"a":"x","b":1}`, `{"b":1}`, []change{{"removed", "/a", `"x"`, ""}}},
		"null is a value":    {`{"a":1}`, `{"a":null}`, []change{{"changed", "/a", "1", "null"}}},
		"another type":       {`{"a":"1"}`, `{"a":1}`, []change{{"changed", "/a", `"1"`, "1"}}},
		"list grows":         {`{"a":[1]}`, `{"a":[1,2]}`, []change{{"added", "/a/-", "", "2"}}},
		"in a list":          {`{"a":[{"x":1},{"x":2}]}`, `{"a":[{"x":1},{"x":3}]}`, []change{{"changed", "/a/1/x", "2", "3"}}},
		"odd names":          {`{"a/b~c":1}`, `{"a/b~c":2}`, []change{{"changed", "/a~1b~0c", "1", "2"}}},
		"it did not exist":   {`{"a":1}`, ``, []change{{"removed", "(the whole state)", `{"a":1}`, ""}}},
		"it begins":          {``, `{"a":1}`, []change{{"added", "(the whole state)", "", `{"a":1}`}}},
		"text as it is":      {`{"a":"x"}`, `{"a":"<b>\\u003c\u0026"}`, []change{{"changed", "/a", `"x"`, `"<b>\\u003c&"`}}},
		"nothing":            {`{"a":{"b":[1,2]}}`, `{"a":{"b":[1,2]}}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, more, err := changesOf(json.RawMessage(c.before), json.RawMessage(c.after))
			if err != nil || more != 0 {
				t.Fatalf("%d more, %v", more, err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
