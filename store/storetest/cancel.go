package storetest

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

func contextCases() []testCase {
	return []testCase{
		{"Context/ended", testContextEnded},
		{"Context/ends during appends", testContextDuringAppend},
		{"Ping", func(t *testing.T, s *setup) { must(t, "ping", s.Ping(s.ctx)) }},
	}
}

const soon = 5 * time.Second

// testContextEnded calls everything with a context that has ended. No call may
// hang, a write may only say that it does not know, and a read that it cannot.
func testContextEnded(t *testing.T, s *setup) {
	h := newHistory("account/a")
	s.append(t, h.next(1))
	session := s.open(t, "node", "one")
	claim := s.takeAll(t, session, store.Claim{Partition: 1})[0]
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	start := time.Now()
	for what, write := range map[string]func() error{
		"append":       func() error { return s.Append(ctx, []store.Commit{sampleCommit("account/b", 1, 1, "w")})[0] },
		"snapshot":     func() error { return s.SaveSnapshot(ctx, sampleSnapshot("account/a", 1, "v1")) },
		"open session": func() error { return s.OpenSession(ctx, sampleSession("other", "x"), nil) },
		"renew":        func() error { return s.Renew(ctx, session) },
		"declare dead": func() error { return s.DeclareDead(ctx, session) },
		"take claims":  func() error { _, err := s.TakeClaims(ctx, session, []store.Claim{{Partition: 2}}); return err },
		"watermarks":   func() error { return s.SaveWatermarks(ctx, []store.Claim{claim}) },
		"release":      func() error { return s.ReleaseClaims(ctx, []store.Claim{claim}) },
		"park":         func() error { return s.Park(ctx, sampleParked("account/a", "id", 1)) },
		"unpark":       func() error { return s.Unpark(ctx, "account/a", "id") },
		"end session":  func() error { return s.EndSession(ctx, session) },
	} {
		wantError(t, what, write(), store.ErrUnknown)
	}
	for what, read := range map[string]func() error{
		"load":     func() error { return firstError(s.Load(ctx, h.aggregate, 0)) },
		"list":     func() error { return firstError(s.ListAggregates(ctx, store.AggregateRange{})) },
		"version":  func() error { _, err := s.LastVersion(ctx, h.aggregate); return err },
		"outcome":  func() error { _, _, err := s.FindOutcome(ctx, h.aggregate, "id", false); return err },
		"keyed":    func() error { _, _, err := s.FindOutcome(ctx, h.aggregate, "id", true); return err },
		"snapshot": func() error { _, _, err := s.LoadSnapshot(ctx, h.aggregate, "v1"); return err },
		"now":      func() error { _, err := s.Now(ctx); return err },
		"confirm":  func() error { return s.ConfirmSession(ctx, session) },
		"sessions": func() error { _, err := s.Sessions(ctx); return err },
		"claims":   func() error { _, err := s.Claims(ctx); return err },
		"parked":   func() error { return firstError(s.ListParked(ctx, "")) },
		"find":     func() error { _, _, err := s.FindParked(ctx, "account/a", "id"); return err },
		"ping":     func() error { return s.Ping(ctx) },
	} {
		wantError(t, what, read(), store.ErrUnavailable)
	}
	for item, err := range s.Follow(ctx, "") {
		t.Errorf("follow with an ended context yields %+v, %v", item, err)
	}
	if took := time.Since(start); took > soon {
		t.Errorf("calls with an ended context took %v", took)
	}
	s.check(t, h.aggregate, h.made)
}

func firstError[T any](seq iter.Seq2[T, error]) error {
	for _, err := range seq {
		return err
	}
	return nil
}

// testContextDuringAppend ends contexts at random moments of an append. Whatever
// the answer, the history stays whole: what was acknowledged is stored, and of
// an unknown outcome the store decides.
func testContextDuringAppend(t *testing.T, s *setup) {
	const rounds = 150
	rng := newRand(t)
	a := store.Aggregate("account/a")
	var known, last store.Version
	for round := range rounds {
		for _, c := range s.load(t, s.Store, a, last) {
			last = c.Last()
		}
		if last < known {
			t.Fatalf("the history has %d versions, %d were acknowledged", last, known)
		}
		commits := []store.Commit{sampleCommit(a, last+1, 1, "w"), sampleCommit(aggregateN(round), 1, 1, "w")}
		ctx, cancel := context.WithTimeout(s.ctx, time.Duration(rng.IntN(1500))*time.Microsecond)
		start := time.Now()
		err := s.Append(ctx, commits)[0]
		cancel()
		if took := time.Since(start); took > soon {
			t.Fatalf("append returned %v after it began", took)
		}
		if err == nil {
			known = last + 1
		} else if !errors.Is(err, store.ErrUnknown) && !errors.Is(err, store.ErrConflict) {
			t.Fatalf("append whose context ended: %v", err)
		}
	}
	for i, c := range s.load(t, s.peer, a, 0) {
		if c.First != store.Version(i+1) { //nolint:gosec // small
			t.Fatalf("commit %d has version %d", i, c.First)
		}
	}
}
