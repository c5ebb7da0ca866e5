package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// root of the repository.
const root = "../.."

func roundOf(acknowledged int64, latency time.Duration) *round {
	r := &round{seconds: 2, tally: newTally()}
	r.acknowledged = acknowledged
	for range acknowledged {
		_ = r.times.RecordValue(latency.Microseconds())
	}
	r.servers = counts{conflicts: 2 * acknowledged, retries: acknowledged}
	r.store = yardstick{reads: 3 * acknowledged, writes: acknowledged / 2}
	return r
}

func TestMedian_IsOneRoundAsAWhole(t *testing.T) {
	t.Parallel()
	rounds := []*round{roundOf(300, 3*time.Millisecond), roundOf(100, 9*time.Millisecond), roundOf(200, 5*time.Millisecond)}
	rounds[2].gaveUp, rounds[2].reads, rounds[2].stale = 50, 40, 10
	x := median(scenario{way: ways()[0], servers: 2, aggregates: 10}, rounds)
	if x.PerSecond != 100 || x.P50 < 4.99 || x.P50 > 5.01 || x.Acknowledged != 200 {
		t.Errorf("%+v, want the round with 200 in 2 s", x)
	}
	if x.Conflicts != 2 || x.Retries != 1 || x.Reads != 3 || x.Writes != 0.5 {
		t.Errorf("per command: conflicts %v, retries %v, reads %v, writes %v; want 2, 1, 3, 0.5", x.Conflicts, x.Retries, x.Reads, x.Writes)
	}
	if x.failed() != 20 || x.stale() != 25 {
		t.Errorf("failed %v %%, stale %v %%; want 20, 25", x.failed(), x.stale())
	}
	if len(x.Rounds) != 3 || x.Rounds[0] != 150 {
		t.Errorf("rounds %v, want them as they came", x.Rounds)
	}
}

func sampleReport() *report {
	r := &report{Versions: map[string]string{"mongod": "6"}, Settings: settings{InFlight: 64, Rounds: 3}}
	for _, aggregates := range []int{1, 10, 1000} {
		for _, servers := range []int{2, 4} {
			for i, w := range ways() {
				r.Results = append(r.Results, result{Way: w.Name, Servers: servers, Aggregates: aggregates, PerSecond: float64(1000 * (i + 1)), P99: 10})
			}
		}
	}
	return r
}

func TestComparison_IsWithTheBestWithoutRouting(t *testing.T) {
	t.Parallel()
	got := sampleReport().comparison()
	want := []string{"1", "2", "3,000/s (no routing, cache and turns)", "1.3 times", "1.7 times"}
	if strings.Join(got.cells[0], "|") != strings.Join(want, "|") || len(got.cells) != 6 {
		t.Errorf("%d rows, the first is %q, want %q", len(got.cells), got.cells[0], want)
	}
}

func TestShare_NeverShowsALittleAsNone(t *testing.T) {
	t.Parallel()
	for percent, want := range map[float64]string{0: "0", 0.0001: "< 0.1 %", 0.1: "0.1 %", 33.36: "33.4 %"} {
		if got := share(percent); got != want {
			t.Errorf("share(%v) = %q, want %q", percent, got, want)
		}
	}
}

func TestMissing_NamesEveryEmptyCell(t *testing.T) {
	t.Parallel()
	r := sampleReport()
	if got := r.missing(); len(got) != 0 {
		t.Errorf("missing from a whole report: %q", got)
	}
	r.Results = r.Results[1:]
	if got := r.missing(); len(got) != 1 || got[0] != "1 aggregates, 2 servers, plain" {
		t.Errorf("missing: %q", got)
	}
	if err := publish(t.TempDir(), r); err == nil {
		t.Error("a report with an empty cell was published")
	}
}

func TestMerge_KeepsWhatWasNotMeasuredAgain(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "r.json")
	if err := sampleReport().write(file); err != nil {
		t.Fatal(err)
	}
	r := sampleReport()
	r.Results = []result{{Way: "direct", Servers: 2, Aggregates: 1, PerSecond: 7}}
	if err := r.merge(file); err != nil {
		t.Fatal(err)
	}
	if x, _ := r.find("direct", 2, 1); x.PerSecond != 7 || len(r.Results) != 30 || r.Results[0].Way != "plain" {
		t.Errorf("%d results, the new one has %v a second", len(r.Results), x.PerSecond)
	}
	r.Settings.InFlight = 1
	if err := r.merge(file); err == nil {
		t.Error("figures of two settings were merged")
	}
}

func TestReplaceFigures(t *testing.T) {
	t.Parallel()
	text := "a\n" + figuresBegin + "old" + figuresEnd + "b\n"
	got, err := replaceFigures(text, "new\n")
	if err != nil || got != "a\n"+figuresBegin+"\nnew\n\n"+figuresEnd+"b\n" {
		t.Errorf("%q, %v", got, err)
	}
	if again, err := replaceFigures(got, "new\n"); err != nil || again != got {
		t.Errorf("again: %q, %v", again, err)
	}
	if _, err := replaceFigures("no markers", "new"); !errors.Is(err, errMarkers) {
		t.Errorf("without markers: %v", err)
	}
}

// texts returns what is written in a drawing.
func texts(t *testing.T, svg []byte) (all []string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if chars, ok := token.(xml.CharData); ok && strings.TrimSpace(string(chars)) != "" {
			all = append(all, string(chars))
		}
	}
}

func TestChart_IsWellFormed(t *testing.T) {
	t.Parallel()
	data, err := sampleReport().chart()
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(texts(t, data), "\n")
	for _, want := range []string{"One aggregate", "10 aggregates", "1,000 aggregates", "2 servers", "5.0k", "99th percentile", ways()[0].Title, ways()[4].Title} {
		if !strings.Contains(all, want) {
			t.Errorf("the chart does not say %q", want)
		}
	}
}

// The documents show the figures of the published report, and none that somebody
// has edited.
func TestDocuments_ShowThePublishedFigures(t *testing.T) {
	t.Parallel()
	r, err := readReport(publishedJSON(root))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.missing(); len(got) != 0 {
		t.Errorf("published without: %q", got)
	}
	for path, figures := range map[string]string{storyPath: r.story(), frontPath: r.front()} {
		data, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		if want, err := replaceFigures(string(data), figures); err != nil || want != string(data) {
			t.Errorf("%s does not show the figures of %s: run make bench-routing ARGS=--render (%v)", path, jsonPath, err)
		}
	}
	chart, err := r.chart()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(root, chartPath))
	if err != nil {
		t.Fatal(err)
	}
	// Not byte for byte: a last digit of a coordinate may depend on the processor.
	if diff := cmp.Diff(texts(t, chart), texts(t, data)); diff != "" {
		t.Errorf("%s is not the chart of %s: run make bench-routing ARGS=--render\n%s", chartPath, jsonPath, diff)
	}
}
