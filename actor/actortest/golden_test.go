package actortest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
)

func TestGolden_Account(t *testing.T) {
	t.Parallel()
	actortest.Golden(t, Accounts, "testdata/events")
}

// goldenDir makes a folder of files for kind account; the present ones are
// written by Golden itself.
func goldenDir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "account"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, "account", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const oldDeposit = `{"name":"deposited.v0","data":{"Units":3},
	"becomes":{"name":"deposited.v1","data":{"amount":300,"fee":0,"id":""}},
	"state":{"Balance":300,"Owner":"","Opened":"0001-01-01T00:00:00Z"}}`

func TestGolden_Reports(t *testing.T) {
	t.Parallel()
	written := func(t *testing.T) map[string]string {
		t.Helper()
		files := map[string]string{"deposited.v0.json": oldDeposit}
		for _, name := range []string{"opened.v1", "deposited.v1", "withdrawn.v1", "taken.v1"} {
			data, err := os.ReadFile(filepath.Join("testdata", "events", "account", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			files[name+".json"] = string(data)
		}
		return files
	}
	tests := map[string]struct {
		change func(files map[string]string)
		want   []string
	}{
		"nothing":       {change: func(map[string]string) {}},
		"no file":       {change: func(f map[string]string) { delete(f, "opened.v1.json") }, want: []string{"no golden file for event opened.v1"}},
		"no old file":   {change: func(f map[string]string) { delete(f, "deposited.v0.json") }, want: []string{"older form deposited.v0"}},
		"renamed":       {change: func(f map[string]string) { delete(f, "taken.v1.json") }, want: []string{"older form taken.v1"}},
		"unknown event": {change: func(f map[string]string) { f["gone.v1.json"] = `{"name":"gone.v1","data":{}}` }, want: []string{"does not know", "gone.v1"}},
		"not JSON":      {change: func(f map[string]string) { f["deposited.v0.json"] = `{` }, want: []string{"deposited.v0.json"}},
		"other name":    {change: func(f map[string]string) { f["deposited.v0.json"] = `{"name":"x","data":{}}` }, want: []string{`records event "x"`}},
		"undecodable":   {change: func(f map[string]string) { f["deposited.v0.json"] = `{"name":"deposited.v0","data":[]}` }, want: []string{"cannot be decoded"}},
		"other meaning": {change: func(f map[string]string) { f["deposited.v0.json"] = strings.Replace(oldDeposit, "300", "30", 1) }, want: []string{"means something else now", "amount"}},
		"other state": {change: func(f map[string]string) {
			f["deposited.v0.json"] = strings.Replace(oldDeposit, `"Balance":300`, `"Balance":3`, 1)
		}, want: []string{"means something else now", "Balance"}},
		"unknown, before": {change: func(f map[string]string) {
			f["deposited.v0.json"] = strings.Replace(oldDeposit, `"becomes"`, `"given":[{"name":"x","data":{}}],"becomes"`, 1)
		}, want: []string{"given"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := written(t)
			test.change(files)
			dir := goldenDir(t, files)
			r := record(t, func(t testing.TB) { actortest.Golden(t, Accounts, dir) })
			if test.want == nil {
				r.wantNone(t)
				return
			}
			r.wantReport(t, test.want...)
		})
	}
}

// nested has one field of each sort that a sample is made for.
type nested struct {
	Text   string
	Flag   bool
	Number uint8
	Ratio  float64
	Many   []nested
	By     map[string]int
	Next   *nested
	Fixed  [2]int
}

type tree struct{ Last nested }

func (s *tree) planted(e nested) {
	if e.Text == "" || !e.Flag || e.Number == 0 || e.Ratio == 0 || len(e.Many) != 1 || len(e.By) != 1 || e.Next == nil || e.Fixed[1] == 0 {
		panic("a field was not filled in")
	}
	s.Last = e
}

// Not parallel: it sets an environment variable.
func TestGolden_Update(t *testing.T) {
	t.Setenv(actortest.UpdateVariable, "1")
	dir := goldenDir(t, map[string]string{"deposited.v0.json": `{"name":"deposited.v0","data":{"Units":3}}`, "taken.v1.json": `{"name":"taken.v1","data":{"amount":1}}`})
	record(t, func(t testing.TB) { actortest.Golden(t, Accounts, dir, Opened{Owner: "sample"}) }).wantNone(t)
	data, err := os.ReadFile(filepath.Join(dir, "account", "opened.v1.json"))
	if err != nil || !strings.Contains(string(data), `"owner": "sample"`) {
		t.Errorf("the sample was not recorded: %v\n%s", err, data)
	}
	trees := actor.Define("tree", func(d *actor.Definition[tree]) { actor.Apply(d, (*tree).planted) })
	record(t, func(t testing.TB) { actortest.Golden(t, trees, dir) }).wantNone(t)

	missing := goldenDir(t, map[string]string{"taken.v1.json": `{"name":"taken.v1","data":{"amount":1}}`})
	record(t, func(t testing.TB) { actortest.Golden(t, Accounts, missing) }).wantReport(t, "older form")

	t.Setenv(actortest.UpdateVariable, "")
	record(t, func(t testing.TB) { actortest.Golden(t, Accounts, dir) }).wantNone(t)
	record(t, func(t testing.TB) { actortest.Golden(t, trees, dir) }).wantNone(t)
}
