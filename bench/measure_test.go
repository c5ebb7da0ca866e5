package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/testharness"
)

// Every scenario of views and sagas, for a moment: each has looked at what it measured,
// or it fails. The whole application, which takes a minute, has tests of its own.
func TestMeasure_ViewsSagas(t *testing.T) { //nolint:paralleltest // the databases of a measurement are its own
	names := []string{rawEcho, ourNotice, ourWait, rawChain, ourSaga}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = regexp.QuoteMeta(name)
	}
	f := flags{
		Duration: 2 * time.Second, Warmup: 200 * time.Millisecond, Rounds: 1, Members: 1, Answers: "lease",
		MongoURI: testharness.SharedMongo(t, 1).URI(), Only: regexp.MustCompile("^(" + strings.Join(quoted, "|") + ")$"),
	}
	e := opened(t, f)
	r, err := measure(t.Context(), f, e, scenarios(e))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Results) != len(names) || len(r.Ratios) != 3 {
		t.Errorf("%d results and %d ratios of %d scenarios", len(r.Results), len(r.Ratios), len(names))
	}
	for _, x := range r.Results {
		t.Logf("%+v", x)
		if x.PerSecond <= 0 || x.P50 <= 0 || x.P99 < x.P50 || x.Failed > 0 {
			t.Errorf("%s has measured nothing: %+v", x.Name, x)
		}
	}
	r.print(os.Stderr)
}

// A rebuild, of little: it ends with all events in the view, or it fails.
func TestRebuild(t *testing.T) { //nolint:paralleltest // the databases of a measurement are its own
	const times = 3
	e := opened(t, flags{MongoURI: testharness.SharedMongo(t, 1).URI(), Answers: "lease"})
	for _, embedded := range []bool{false, true} {
		p := balances()
		s := scenario{ours: true, relayed: true, embedded: embedded, views: []*projection.Projection{p}}
		if err := e.settle(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		r, err := e.rebuild(t.Context(), p, times, nil)
		if err != nil || r.perSecond <= 0 {
			t.Errorf("embedded: %v: %+v, %v", embedded, r, err)
		}
		if err := e.checkRebuilt(t.Context(), p, times+1); err == nil {
			t.Error("it has found more events than there are")
		}
	}
}

func opened(t *testing.T, f flags) *environment {
	t.Helper()
	e, err := open(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.close(t.Context()) })
	return e
}
