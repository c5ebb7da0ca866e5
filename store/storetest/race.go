package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/ganglion-go/ganglion/store"
)

func raceCases() []testCase {
	return []testCase{
		{"Race/one aggregate", func(t *testing.T, s *setup) { raceAppends(t, s, 16, 1, 25) }},
		{"Race/calls that overlap", func(t *testing.T, s *setup) { raceAppends(t, s, 8, 12, 10) }},
		{"Race/aggregates apart", testAppendApart},
		{"Race/reader sees a prefix", testLoadWhileAppending},
	}
}

// raceAppends lets writers append every version of every aggregate, all
// aggregates in each call and in another order each time. Each version must
// have one winner, and be stored as the winner wrote it.
func raceAppends(t *testing.T, s *setup, writers, aggregates, versions int) {
	t.Helper()
	rng := newRand(t)
	var mu sync.Mutex
	winners := map[store.Aggregate]map[store.Version][]string{}
	for i := range aggregates {
		winners[aggregateN(i)] = map[store.Version][]string{}
	}
	var wg sync.WaitGroup
	for w := range writers {
		name, client := fmt.Sprintf("w%d", w), s.clients()[w%2]
		order := rand.New(rand.NewPCG(rng.Uint64(), 0))
		wg.Go(func() {
			for v := range versions {
				commits := make([]store.Commit, aggregates)
				for i, at := range order.Perm(aggregates) {
					commits[at] = sampleCommit(aggregateN(i), store.Version(v+1), 1, name) //nolint:gosec // small
				}
				errs := client.Append(s.ctx, commits)
				mu.Lock()
				for i, err := range errs {
					if err == nil {
						of := winners[commits[i].Aggregate]
						of[commits[i].First] = append(of[commits[i].First], name)
					} else if !errors.Is(err, store.ErrConflict) {
						t.Errorf("%s: %q version %d: %v", name, commits[i].Aggregate, commits[i].First, err)
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for a, of := range winners {
		var want []store.Commit
		for v := range versions {
			version := store.Version(v + 1) //nolint:gosec // small
			if len(of[version]) != 1 {
				t.Fatalf("%q version %d was won by %v, want one writer", a, version, of[version])
			}
			want = append(want, sampleCommit(a, version, 1, of[version][0]))
		}
		s.check(t, a, want)
	}
}

func testAppendApart(t *testing.T, s *setup) {
	const writers, each, rounds = 12, 20, 5
	histories := make([]*history, writers*each)
	for i := range histories {
		histories[i] = newHistory(aggregateN(i))
	}
	var wg sync.WaitGroup
	for w := range writers {
		own := histories[w*each : (w+1)*each]
		wg.Go(func() {
			for range rounds {
				commits := make([]store.Commit, each)
				for i, h := range own {
					commits[i] = h.next(1 + i%2)
				}
				for i, err := range s.clients()[w%2].Append(s.ctx, commits) {
					if err != nil {
						t.Errorf("append %q version %d: %v", commits[i].Aggregate, commits[i].First, err)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, h := range histories {
		s.check(t, h.aggregate, h.made)
	}
}

// testLoadWhileAppending reads a history that grows: every read must be a
// prefix without gaps that holds what was durable when the read began.
func testLoadWhileAppending(t *testing.T, s *setup) {
	const commits = 200
	h := newHistory("account/grows")
	made := make([]store.Commit, commits)
	for i := range made {
		made[i] = h.next(1 + i%3)
	}
	var mu sync.Mutex
	durable := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range made {
			if err := s.Append(s.ctx, made[i:i+1])[0]; err != nil {
				t.Errorf("append: %v", err)
				return
			}
			mu.Lock()
			durable = i + 1
			mu.Unlock()
		}
	})
	for n := 0; n < commits && !t.Failed() && s.ctx.Err() == nil; {
		mu.Lock()
		least := durable
		mu.Unlock()
		got := s.load(t, s.peer, h.aggregate, 0)
		if len(got) < least {
			t.Errorf("read %d commits, %d were durable before it", len(got), least)
		}
		n = len(got)
		diffCommits(t, got, made[:n])
	}
	wg.Wait()
}
