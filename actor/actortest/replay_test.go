package actortest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
)

// TestReplay_Account has an upcast, a renamed and one of the runtime's own events.
func TestReplay_Account(t *testing.T) {
	t.Parallel()
	actortest.Replay(t, Accounts, "testdata/histories")
}

// recordedHistory returns the files of testdata.
func recordedHistory(t *testing.T) (history, state string) {
	t.Helper()
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join("testdata", "histories", "account", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	return read("long-lived.jsonl"), read("long-lived.state.json")
}

func TestReplay_Reports(t *testing.T) {
	t.Parallel()
	history, state := recordedHistory(t)
	first, rest, _ := strings.Cut(history, "\n")
	tests := map[string]struct {
		history, state string
		want           string // empty: nothing
	}{
		"nothing":        {history, state, ""},
		"other balance":  {history, strings.Replace(state, "269", "270", 1), "another state"},
		"other version":  {history, strings.Replace(state, "5", "6", 1), "another state"},
		"no state":       {history, "", "not recorded"},
		"unknown event":  {strings.Replace(history, "taken.v1", "gone.v1", 1), state, "does not know"},
		"other data":     {strings.Replace(history, `{"Units":3}`, `{"Units":"3"}`, 1), state, "cannot be decoded"},
		"a hole":         {first + "\n" + rest[strings.Index(rest, "\n")+1:], state, "version 3 follows version 1"},
		"no beginning":   {rest, state, "version 2 follows version 0"},
		"no event":       {"", state, "no event"},
		"no JSON":        {history + "{", state, "after version 5"},
		"no JSON beside": {history, "{", "state.json"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"h.jsonl": test.history}
			if test.state != "" {
				files["h.state.json"] = test.state
			}
			dir := goldenDir(t, files)
			r := record(t, func(t testing.TB) { actortest.Replay(t, Accounts, dir) })
			if test.want == "" {
				r.wantNone(t)
				return
			}
			r.wantReport(t, test.want)
		})
	}
}

func TestReplay_WithoutHistories(t *testing.T) {
	t.Parallel()
	dir := goldenDir(t, nil)
	record(t, func(t testing.TB) { actortest.Replay(t, Accounts, dir) }).wantReport(t, "no history")
}

// Not parallel: it sets an environment variable.
func TestReplay_Update(t *testing.T) {
	history, _ := recordedHistory(t)
	dir := goldenDir(t, map[string]string{"h.jsonl": history})
	t.Setenv(actortest.UpdateVariable, "1")
	record(t, func(t testing.TB) { actortest.Replay(t, Accounts, dir) }).wantNone(t)
	t.Setenv(actortest.UpdateVariable, "")
	record(t, func(t testing.TB) { actortest.Replay(t, Accounts, dir) }).wantNone(t)

	doubled := actor.Define("account", func(d *actor.Definition[Account]) {
		actor.Apply(d, (*Account).opened)
		actor.Apply(d, func(a *Account, e Deposited) { a.Balance += 2 * e.Amount },
			actor.From("deposited.v0", func(old depositedV0) Deposited { return Deposited{Amount: 100 * old.Units} }))
		actor.Apply(d, (*Account).withdrawn, actor.From("taken.v1", func(old Withdrawn) Withdrawn { return old }))
	})
	record(t, func(t testing.TB) { actortest.Replay(t, doubled, dir) }).wantReport(t, "another state", "Balance")
}
