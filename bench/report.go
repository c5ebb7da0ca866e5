package main

import (
	"fmt"
	"io"
	"slices"
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
}

// ratio compares one of ours with a raw peer of the same run.
type ratio struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Floor float64 `json:"floor"` // what must hold; an upper bound where AtMost
	Most  bool    `json:"atMost,omitempty"`
	Holds bool    `json:"holds"`
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
	r.Ratios = r.ratios()
	return r
}

func median(s scenario, rounds []round) result {
	out := result{Name: s.name, InFlight: s.inFlight}
	for _, r := range rounds {
		out.Rounds = append(out.Rounds, r.perSecond)
		out.Failed += r.failed
	}
	slices.SortFunc(rounds, func(a, b round) int { return int(a.perSecond - b.perSecond) })
	m := rounds[len(rounds)/2]
	out.PerSecond, out.P50, out.P99 = m.perSecond, millis(m.p50), millis(m.p99)
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

func (r *report) ratios() []ratio {
	var out []ratio
	throughput := func(name string, floor float64) {
		ours, ok1 := r.find(name)
		raw, ok2 := r.find(rawMany)
		if ok1 && ok2 {
			v := ours.PerSecond / raw.PerSecond
			out = append(out, ratio{Name: name + " / " + rawMany, Value: v, Floor: floor, Holds: v >= floor})
		}
	}
	throughput(oursName(manyCount, 1024, "durable"), 4)
	throughput(oursName(manyCount, 256, "durable"), 2.5)
	throughput(oursName(manyCount, 1024, "direct"), 5)
	throughput(oursName(manyCount, 256, "direct"), 0)
	throughput(oursName(1, 1024, "durable"), 10)
	throughput(oursName(1, 1024, "direct"), 10)
	throughput(oursName(1, 256, "durable"), 0)
	throughput(oursName(1, 256, "direct"), 0)
	relay, ok1 := r.find(ourRelay)
	changes, ok2 := r.find(rawChanges)
	if ok1 && ok2 {
		v := relay.PerSecond / changes.PerSecond
		out = append(out, ratio{Name: relay.Name + " / " + changes.Name, Value: v, Floor: 0.5, Holds: v >= 0.5})
	}
	for _, lane := range []string{"durable", "direct"} {
		ours, ok1 := r.find(oursName(manyCount, 1, lane))
		raw, ok2 := r.find(rawOne)
		if ok1 && ok2 {
			v := ours.P50 / raw.P50
			out = append(out, ratio{Name: "p50 of " + ours.Name + " / p50 of " + rawOne, Value: v, Floor: 1.25, Most: true, Holds: v <= 1.25})
		}
	}
	return out
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
		_, _ = fmt.Fprintf(w, "%.0f\t%.2f\t%.2f\t%d\t%.0f\t%.0f\t %s\n", res.PerSecond, res.P50, res.P99, res.Failed, res.Bench, res.Servers, res.Name)
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
