package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/bench/machine"
)

// report is what a run has measured.
type report struct {
	Time     time.Time         `json:"time"` // of its end
	Machine  machine.Machine   `json:"machine"`
	Versions map[string]string `json:"versions"`
	Settings settings          `json:"settings"`
	Results  []result          `json:"results"`
}

type settings struct {
	Members          int     `json:"replicaSetMembers"`
	CacheMB          int     `json:"cacheMB"`
	InFlight         int     `json:"inFlight"`
	ReadEvery        int     `json:"readEvery"`
	Rounds           int     `json:"rounds"`
	RoundSeconds     float64 `json:"roundSeconds"`
	Attempts         int     `json:"attempts"`
	BackoffMillis    float64 `json:"backoffMillis"`
	BackoffMaxMillis float64 `json:"backoffMaxMillis"`
	CacheTTLMillis   float64 `json:"cacheTTLMillis"`
}

// result is the round of a scenario whose commands a second are the median.
type result struct {
	Way        string `json:"way"`
	Servers    int    `json:"servers"`
	Aggregates int    `json:"aggregates"`

	PerSecond float64   `json:"commandsPerSecond"` // acknowledged
	Rounds    []float64 `json:"commandsPerSecondOfRounds"`
	P50       float64   `json:"p50Millis"`
	P99       float64   `json:"p99Millis"`

	Conflicts float64 `json:"conflictsPerCommand"`
	Retries   float64 `json:"retriesPerCommand"`
	Reads     float64 `json:"storeReadsPerCommand"` // commands that the primary executed, for reads too
	Writes    float64 `json:"storeWritesPerCommand"`

	Acknowledged int64 `json:"acknowledged"`
	GaveUp       int64 `json:"gaveUp"`
	Refused      int64 `json:"refused"`
	Unknown      int64 `json:"unknown"`

	HTTPReads   int64 `json:"reads"`
	StaleReads  int64 `json:"staleReads"`
	MostBehind  int64 `json:"mostVersionsBehind"`
	FailedReads int64 `json:"failedReads"`
	CacheHits   int64 `json:"cacheHits"`
}

func newReport(f *flags, e *environment, all []scenario, rounds [][]*round) *report {
	r := &report{
		Time:     time.Now().UTC().Truncate(time.Second),
		Machine:  machine.This(),
		Versions: machine.Versions(e.version),
		Settings: settings{
			Members: f.Members, CacheMB: f.CacheMB, InFlight: f.InFlight, ReadEvery: f.ReadEvery,
			Rounds: f.Rounds, RoundSeconds: f.Duration.Seconds(), Attempts: f.Attempts,
			BackoffMillis: millis(f.Backoff), BackoffMaxMillis: millis(f.BackoffMax), CacheTTLMillis: millis(f.CacheTTL),
		},
	}
	for i, s := range all {
		r.Results = append(r.Results, median(s, rounds[i]))
	}
	r.sort()
	return r
}

func median(s scenario, rounds []*round) result {
	out := result{Way: s.way.Name, Servers: s.servers, Aggregates: s.aggregates}
	for _, r := range rounds {
		out.Rounds = append(out.Rounds, r.perSecond())
	}
	sorted := slices.SortedFunc(slices.Values(rounds), func(a, b *round) int { return int(a.acknowledged - b.acknowledged) })
	m := sorted[len(sorted)/2]
	at := func(q float64) float64 { return float64(m.times.ValueAtQuantile(q)) / 1000 }
	out.PerSecond, out.P50, out.P99 = m.perSecond(), at(50), at(99)
	out.Conflicts, out.Retries = m.perCommand(m.servers.conflicts), m.perCommand(m.servers.retries)
	out.Reads, out.Writes = m.perCommand(m.store.reads), m.perCommand(m.store.writes)
	out.Acknowledged, out.GaveUp, out.Refused, out.Unknown = m.acknowledged, m.gaveUp, m.refused, m.unknown
	out.HTTPReads, out.StaleReads, out.MostBehind, out.FailedReads = m.reads, m.stale, m.behind, m.failedReads
	out.CacheHits = m.servers.cacheHits
	return out
}

// failed is the share of commands that were not acknowledged, in percent.
func (r *result) failed() float64 {
	lost := r.GaveUp + r.Refused + r.Unknown
	return percent(lost, lost+r.Acknowledged)
}

func (r *result) stale() float64 { return percent(r.StaleReads, r.HTTPReads) }

func percent(part, whole int64) float64 { return 100 * float64(part) / float64(max(whole, 1)) }

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// sort puts the results into the order of the tables.
func (r *report) sort() {
	order := map[string]int{}
	for i, w := range ways() {
		order[w.Name] = i
	}
	slices.SortFunc(r.Results, func(a, b result) int {
		for _, d := range []int{a.Aggregates - b.Aggregates, a.Servers - b.Servers, order[a.Way] - order[b.Way]} {
			if d != 0 {
				return d
			}
		}
		return 0
	})
}

func (r *report) find(way string, servers, aggregates int) (result, bool) {
	for _, x := range r.Results {
		if x.Way == way && x.Servers == servers && x.Aggregates == aggregates {
			return x, true
		}
	}
	return result{}, false
}

// servers and aggregates are those that occur.
func (r *report) servers() []int    { return r.distinct(func(x result) int { return x.Servers }) }
func (r *report) aggregates() []int { return r.distinct(func(x result) int { return x.Aggregates }) }

func (r *report) distinct(of func(result) int) []int {
	var all []int
	for _, x := range r.Results {
		all = append(all, of(x))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// merge takes over the results of an earlier report that this one lacks. It must
// have been made on the same machine with the same settings.
func (r *report) merge(file string) error {
	old, err := readReport(file)
	if err != nil {
		return err
	}
	if old.Settings != r.Settings || old.Machine != r.Machine {
		return errors.New("--merge: the published report was made with other settings or on another machine")
	}
	for _, x := range old.Results {
		if _, ok := r.find(x.Way, x.Servers, x.Aggregates); !ok {
			r.Results = append(r.Results, x)
		}
	}
	r.sort()
	return nil
}

func readReport(file string) (*report, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var r report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &r, nil
}

func (r *report) write(file string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644) //nolint:gosec // for people to read
}
