package runtime

import (
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// earlierFile is what the build of 291a882 makes of the commands below. It was made by this
// test, in a checkout of that commit, with -record.
const earlierFile = "testdata/digests-291a882.json"

var recordEarlier = flag.Bool("record", false, "write the file of an earlier build, in a checkout of it")

// TestDigestOf_AsAnEarlierBuild: a command that is repeated at a node of the other build is a
// repetition there, and another one under its key is another one.
func TestDigestOf_AsAnEarlierBuild(t *testing.T) {
	t.Parallel()
	now := map[string]string{}
	for _, data := range []string{
		``, ` `, `{}`, `null`, `[]`, `"text"`, `{"a":1,"b":[true,null,"x"]}`, ` { "b" : [ true , null , "x" ] , "a" : 1.0 } `,
		`{"a":0.1e1,"b":[false,null,"\u0078\n\ud83d\ude00"]}`, `{"a":1,"a":2}`, `{"A":1,"a":{"z":[[]],"y":{}}}`, `{"n":-0.00}`, `{"n":12e2}`,
		`{"n":-12.50e-3}`, `{"n":1e99999999999}`, `{"n":9007199254740993}`, `{"ü":"\u00fc","\"":"\\"}`, `{"a":"\ud800"}`, `{"amount":5,"note":"a/ü 1"}`, `{`, `{} {}`,
	} {
		now[data] = digestText(data)
	}
	if *recordEarlier {
		text, err := json.MarshalIndent(now, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(earlierFile, append(text, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(earlierFile)
	if err != nil {
		t.Fatal(err)
	}
	var was map[string]string
	if err := json.Unmarshal(text, &was); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(was, now); diff != "" {
		t.Errorf("(-291a882 +now):\n%s", diff)
	}
}
