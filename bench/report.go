package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ganglion-go/ganglion/bench/machine"
)

// report is what a run has measured.
type report struct {
	Time     time.Time         `json:"time"`
	Machine  machine.Machine   `json:"machine"`
	Versions map[string]string `json:"versions"`
	Settings settingsReport    `json:"settings"`
	Results  []result          `json:"results"`
	Ratios   []ratio           `json:"ratios"`
}

type settingsReport struct {
	Members       int     `json:"replicaSetMembers"`
	CacheMB       int     `json:"cacheMB"`
	DocumentBytes int     `json:"documentBytes"`
	Rounds        int     `json:"rounds"`
	RoundSeconds  float64 `json:"roundSeconds"`
}

// result is the median of a scenario's rounds.
type result struct {
	Name      string    `json:"name"`
	InFlight  int       `json:"inFlight"`
	PerSecond float64   `json:"perSecond"`
	Rounds    []float64 `json:"perSecondOfRounds"`
	P50       float64   `json:"p50Millis"`
	P99       float64   `json:"p99Millis"`
	Failed    int64     `json:"failed"`
	Bench     float64   `json:"benchMicrosPerOperation"`   // processor time of this process, with our node in it
	Servers   float64   `json:"serversMicrosPerOperation"` // of all members of the replica set
	More      []figure  `json:"more,omitempty"`            // of the same round as PerSecond

	rounds []round // in the order of the rounds
}

// ratio compares one of ours with a raw peer of the same run.
type ratio struct {
	Name   string    `json:"name"`
	Value  float64   `json:"value"` // median of the rounds
	Rounds []float64 `json:"rounds"`
	Floor  float64   `json:"floor"` // what must hold; an upper bound where AtMost
	Most   bool      `json:"atMost,omitempty"`
	Holds  bool      `json:"holds"`
}

func newReport(f flags, e *environment, ran []scenario, rounds map[string][]round) *report {
	r := &report{
		Time:     time.Now().UTC().Truncate(time.Second),
		Machine:  machine.This(),
		Versions: machine.Versions(e.server),
		Settings: settingsReport{Members: f.Members, CacheMB: f.CacheMB, DocumentBytes: e.bytes, Rounds: f.Rounds, RoundSeconds: f.Duration.Seconds()},
	}
	for _, s := range ran {
		r.Results = append(r.Results, median(s, rounds[s.name]))
	}
	for _, b := range bounds() {
		if x, ok := r.compare(&b); ok {
			r.Ratios = append(r.Ratios, x)
		}
	}
	return r
}

func median(s scenario, rounds []round) result {
	out := result{Name: s.name, InFlight: s.inFlight, rounds: slices.Clone(rounds)}
	for _, r := range rounds {
		out.Rounds = append(out.Rounds, r.perSecond)
		out.Failed += r.failed
	}
	slices.SortFunc(rounds, func(a, b round) int { return int(a.perSecond - b.perSecond) })
	m := rounds[len(rounds)/2]
	out.PerSecond, out.P50, out.P99 = m.perSecond, millis(m.p50), millis(m.p99)
	out.More = m.more
	out.Bench, out.Servers = 1000*millis(m.cost.bench), 1000*millis(m.cost.servers)
	return out
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (r *report) find(name string) (result, bool) {
	for _, res := range r.Results {
		if res.Name == name {
			return res, true
		}
	}
	return result{}, false
}

// compare returns the median of the ratios of each round: the two of a round are
// measured within a minute or two, and the machine is another one some minutes later.
// ok is false when a side was not run.
func (r *report) compare(b *bound) (x ratio, ok bool) {
	ours, ok1 := r.find(b.ours)
	raw, ok2 := r.find(b.raw)
	if !ok1 || !ok2 {
		return ratio{}, false
	}
	x = ratio{Name: b.name(), Floor: b.floor, Most: b.most}
	for i := range min(len(ours.rounds), len(raw.rounds)) {
		x.Rounds = append(x.Rounds, b.of(&ours.rounds[i])/b.ofRaw(&raw.rounds[i]))
	}
	x.Value = slices.Sorted(slices.Values(x.Rounds))[len(x.Rounds)/2]
	x.Holds = x.Value >= x.Floor
	if x.Most {
		x.Holds = x.Value <= x.Floor
	}
	return x, true
}

func (r *report) print(out io.Writer) {
	_, _ = fmt.Fprintf(out, "\n%s, %d CPUs (%s), %s; %d members with %d MiB of cache, w:majority j:true, documents of %d bytes; median of %d rounds of %.0f s\n\n",
		r.Machine.OS, r.Machine.CPUs, r.Machine.Model, r.Machine.Kernel, r.Settings.Members, r.Settings.CacheMB, r.Settings.DocumentBytes, r.Settings.Rounds, r.Settings.RoundSeconds)
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for k := range r.Versions {
			if !yield(k) {
				return
			}
		}
	}) {
		_, _ = fmt.Fprintf(out, "%s %s\n", name, r.Versions[name])
	}
	_, _ = fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "per second\tp50 ms\tp99 ms\tfailed\tus here\tus mongod\t scenario")
	for _, res := range r.Results {
		_, _ = fmt.Fprintf(w, "%.0f\t%.2f\t%.2f\t%d\t%.0f\t%.0f\t %s%s\n", res.PerSecond, res.P50, res.P99, res.Failed, res.Bench, res.Servers, res.Name, res.more())
	}
	_ = w.Flush()
	_, _ = fmt.Fprintln(out)
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "ratio\tfloor\tholds\t ")
	for _, x := range r.Ratios {
		_, _ = fmt.Fprintf(w, "%.2f\t%s\t%v\t %s\n", x.Value, x.bound(), x.Holds, x.Name)
	}
	_ = w.Flush()
}

// more is what there is to say beside the columns.
func (r *result) more() string {
	if len(r.More) == 0 {
		return ""
	}
	parts := make([]string, len(r.More))
	for i, f := range r.More {
		parts[i] = fmt.Sprintf("%.1f %s", f.Value, f.Name)
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func (x ratio) bound() string {
	switch {
	case x.Most:
		return fmt.Sprintf("<= %.2f", x.Floor)
	case x.Floor == 0:
		return "-"
	default:
		return fmt.Sprintf(">= %.1f", x.Floor)
	}
}
