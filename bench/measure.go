package main

import (
	"context"
	"fmt"
	"os"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ganglion-go/ganglion/testharness/mongod"
)

// round is one measurement of one scenario.
type round struct {
	perSecond     float64
	p50, p99, max time.Duration
	failed        int64
	cost          processor // of one operation
	more          []figure  // what else there is to say
}

// figure is a measured value beside those that every round has.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// named returns the value of a figure, 0 if the round has none of that name.
func (r *round) named(name string) float64 {
	for _, f := range r.more {
		if f.Name == name {
			return f.Value
		}
	}
	return 0
}

// measure runs all scenarios in turns and returns the medians.
func measure(ctx context.Context, f flags, e *environment, all []scenario) (*report, error) {
	rounds := map[string][]round{}
	if f.Profile != "" {
		file, err := os.Create(f.Profile)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		if err := pprof.StartCPUProfile(file); err != nil {
			return nil, err
		}
		defer pprof.StopCPUProfile()
	}
	var ran []scenario
	for n := range f.Rounds {
		for _, s := range all {
			if f.Only != nil && !f.Only.MatchString(s.name) {
				continue
			}
			if n == 0 {
				ran = append(ran, s)
			}
			fmt.Fprintf(os.Stderr, "round %d/%d  %s\n", n+1, f.Rounds, s.name)
			if err := e.settle(ctx, &s); err != nil {
				return nil, err
			}
			r, err := s.round(ctx, f, e.replicaSet)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			rounds[s.name] = append(rounds[s.name], r)
		}
	}
	return newReport(f, e, ran, rounds), nil
}

// run keeps the scenario's operations in flight for warm-up and duration, and
// measures those that ended within the duration.
func (s *scenario) run(ctx context.Context, f flags, rs *mongod.ReplicaSet) (round, error) {
	ctx, cancel := context.WithTimeout(ctx, f.Warmup+f.Duration+time.Minute)
	defer cancel()
	start := time.Now().Add(f.Warmup)
	end := start.Add(f.Duration)
	var done, failed atomic.Int64
	var firstErr error
	var once sync.Once
	latencies := newLatencies()
	var workers sync.WaitGroup
	for w := range s.inFlight {
		workers.Go(func() {
			for {
				if time.Now().After(end) {
					return
				}
				n, took, err := s.once(ctx, w)
				if ended := time.Now(); ended.Before(start) || ended.After(end) {
					continue
				}
				if err != nil {
					failed.Add(1)
					once.Do(func() { firstErr = err })
					continue
				}
				done.Add(int64(n))
				latencies.record(w, took)
			}
		})
	}
	<-time.After(time.Until(start))
	before, counted := processorTime(rs), done.Load()
	<-time.After(time.Until(end))
	cost := processorTime(rs).per(done.Load()-counted, before)
	workers.Wait()
	total := latencies.total()
	at := func(q float64) time.Duration { return time.Duration(total.ValueAtQuantile(q)) * time.Microsecond }
	r := round{
		perSecond: float64(done.Load()) / f.Duration.Seconds(),
		p50:       at(50), p99: at(99), max: time.Duration(total.Max()) * time.Microsecond,
		failed: failed.Load(), cost: cost,
	}
	if done.Load() == 0 {
		return r, fmt.Errorf("nothing succeeded: %w", firstErr)
	}
	return r, nil
}
