package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A bound on what no scenario is called would be left out of every report.
func TestBounds_NameScenarios(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, s := range scenarios(&environment{}) {
		if known[s.name] {
			t.Errorf("two scenarios %q", s.name)
		}
		known[s.name] = true
	}
	for _, b := range bounds() {
		if !known[b.ours] || !known[b.raw] {
			t.Errorf("%s: one of them is no scenario", b.name())
		}
	}
}

func TestReport_Compare(t *testing.T) {
	t.Parallel()
	of := func(name string, rounds ...round) result { return median(scenario{name: name}, rounds) }
	rate := func(perSecond, commits float64, p50 time.Duration) round {
		return round{perSecond: perSecond, p50: p50, more: []figure{{restAfter, 7}, {commitsPerSecond, commits}}}
	}
	r := &report{Results: []result{
		of("ours", rate(10, 30, 4*time.Second), rate(90, 50, 3*time.Second), rate(20, 10, 9*time.Second)),
		of("raw", rate(10, 0, time.Second), rate(30, 0, time.Second), rate(40, 0, time.Second)),
	}}
	for _, tt := range []struct {
		bound bound
		want  ratio
	}{
		{
			bound{ours: "ours", raw: "raw", of: perSecond, ofRaw: perSecond, floor: 1},
			ratio{Name: "ours / raw", Value: 1, Rounds: []float64{1, 3, 0.5}, Floor: 1, Holds: true},
		},
		{
			bound{ours: "ours", raw: "raw", what: "p50", of: middle, ofRaw: middle, floor: 3, most: true},
			ratio{Name: "p50: ours / raw", Value: 4, Rounds: []float64{4, 3, 9}, Floor: 3, Most: true},
		},
		{
			bound{ours: "ours", raw: "raw", what: "commits", of: commitsOf, ofRaw: perSecond},
			ratio{Name: "commits: ours / raw", Value: 50. / 30, Rounds: []float64{3, 50. / 30, 0.25}, Holds: true},
		},
	} {
		got, ok := r.compare(&tt.bound)
		if diff := cmp.Diff(tt.want, got); !ok || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", tt.bound.name(), ok, diff)
		}
	}
	if _, ok := r.compare(&bound{ours: "ours", raw: "nobody"}); ok {
		t.Error("there is a ratio to what was not run")
	}
	if ours, _ := r.find("ours"); ours.more() != " (7.0 s until all is at rest, 10.0 commits/s)" {
		t.Errorf("the median round says%s", ours.more())
	}
}
