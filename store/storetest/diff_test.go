package storetest_test

import (
	"testing"

	"github.com/ganglion-go/ganglion/store/storetest"
)

func TestEqualJSON(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b string
		same bool
	}{
		{`{"a":1,"b":[2,{"c":null}]}`, ` { "b" : [ 2 , {"c":null} ], "a":1 }`, true},
		{`{"a":1}`, `{"a":1,"b":null}`, false},
		{`[1,2]`, `[2,1]`, false},
		{`9007199254740993`, `9007199254740992`, false},
		{`18446744073709551615`, `18446744073709551615`, true},
		{`1`, `1.0`, false},
		{`1.50`, `1.5`, true},
		{`1e2`, `100.0`, true},
		{`1e2`, `100`, false},
		{`0.1`, `0.10000000000000001`, false},
		{`-0.0`, `0.0`, false},
		{`"é"`, `"\u00e9"`, true},
		{`"a"`, `"b"`, false},
		{`null`, ``, false},
		{``, ``, true},
		{`{`, `{`, false},
		{`1`, `"1"`, false},
		{`[]`, `{}`, false},
	}
	for _, test := range tests {
		if got := storetest.EqualJSON([]byte(test.a), []byte(test.b)); got != test.same {
			t.Errorf("EqualJSON(%s, %s) = %v", test.a, test.b, got)
		}
	}
}
