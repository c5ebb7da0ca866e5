package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stream encodes events as go test -json writes them.
func stream(t *testing.T, events ...event) string {
	t.Helper()
	var b strings.Builder
	for _, e := range events {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	return b.String()
}

func say(test, output string) event {
	return event{Action: "output", Package: "p", Test: test, Output: output}
}

func end(action, test string) event { return event{Action: action, Package: "p", Test: test} }

func read(t *testing.T, input string) (*results, string) {
	t.Helper()
	var out strings.Builder
	r, err := readResults(strings.NewReader(input), &out)
	if err != nil {
		t.Fatal(err)
	}
	return r, out.String()
}

func TestResults_Verdict(t *testing.T) {
	t.Parallel()
	pass := []event{say("TestA", "=== RUN   TestA\n"), end("pass", "TestA"), say("", "PASS\n"), say("", "ok  \tp\t0.1s\n"), end("pass", "")}
	for name, test := range map[string]struct {
		events      string
		forbidSkips bool
		want        string
	}{
		"passed":                   {stream(t, pass...), true, ""},
		"nothing at all":           {"", false, "no test ran"},
		"no test in any package":   {stream(t, say("", "?   \tp\t[no test files]\n"), end("skip", "")), true, "no test ran"},
		"skipped on a laptop":      {stream(t, append(pass, end("skip", "TestB"))...), false, ""},
		"skipped in CI":            {stream(t, append(pass, end("skip", "TestB"))...), true, "1 tests were skipped, and CI may skip none"},
		"a skipped subtest in CI":  {stream(t, append(pass, end("skip", "TestB/sub"))...), true, "1 tests were skipped, and CI may skip none"},
		"a test failed":            {stream(t, append(pass, end("fail", "TestB"), end("fail", ""))...), false, "1 tests failed, in p"},
		"the package failed alone": {stream(t, append(pass, end("fail", ""))...), false, "0 tests failed, in p"},
		"a package that does not build": {
			stream(t, append(pass, event{Action: "build-fail", ImportPath: "q"})...), false, "0 tests failed, in q",
		},
	} {
		r, _ := read(t, test.events)
		got := ""
		if err := r.verdict(test.forbidSkips); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: verdict %q, want %q", name, got, test.want)
		}
	}
}

func TestResults_ShowsWhatGoTestShows(t *testing.T) {
	t.Parallel()
	_, out := read(t, "go: downloading something\n"+stream(t,
		event{Action: "build-output", ImportPath: "q", Output: "q.go:1: syntax error\n"},
		say("TestGood", "chatter\n"),
		say("TestBad", "=== RUN   TestBad\n"),
		say("TestBad", "bad_test.go:1: wrong\n"),
		say("TestStuck", "waits for ever\n"),
		end("pass", "TestGood"),
		end("fail", "TestBad"),
		say("", "panic: test timed out\n"),
		say("", "FAIL\tp\t1s\n"),
		end("fail", ""),
	))
	want := "go: downloading something\nq.go:1: syntax error\nbad_test.go:1: wrong\nFAIL\tp\t1s\npanic: test timed out\nwaits for ever\n"
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestResults_TellsWhyATestWasSkipped(t *testing.T) {
	t.Parallel()
	r, _ := read(t, stream(t,
		say("TestA", "=== RUN   TestA\n"),
		say("TestA", "    a_test.go:3: no mongod here\n"),
		say("TestA", "--- SKIP: TestA (0.00s)\n"),
		end("skip", "TestA"),
	))
	want := "SKIPPED p.TestA: a_test.go:3: no mongod here\n0 tests passed, 0 failed, 1 skipped\n"
	if diff := cmp.Diff(want, r.summary()); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

func TestResults_OutputIsBounded(t *testing.T) {
	t.Parallel()
	r, _ := read(t, stream(t, say("TestA", strings.Repeat("x", 3*outputMax)), say("TestA", "last words")))
	kept := r.pending[testKey{"p", "TestA"}].String()
	if len(kept) > 2*outputMax || !strings.HasSuffix(kept, "last words") {
		t.Errorf("%d bytes are kept, and end in %q", len(kept), kept[max(0, len(kept)-20):])
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	all := func() []step { return []step{{name: "vet"}, {name: "lint"}, {name: "test"}, {name: faultsAlone}} }
	for _, test := range []struct {
		names, want, fault string
	}{
		{"", "vet lint test", ""},
		{"test vet", "vet test", ""},
		{"faults", "faults", ""},
		{"test tests", "", "no step tests; there are vet, lint, test, faults"},
	} {
		got, err := choose(all(), strings.Fields(test.names))
		var names []string
		for _, s := range got {
			names = append(names, s.name)
		}
		fault := ""
		if err != nil {
			fault = err.Error()
		}
		if strings.Join(names, " ") != test.want || fault != test.fault {
			t.Errorf("choose %q: %v, %q", test.names, names, fault)
		}
	}
}
