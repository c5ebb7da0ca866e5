package unrouted_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/unrouted"
)

// Load 0, save 1 loses to an intruder; load 1, save 2 loses again; load 2, save 3.
func TestServer_Conflict_LoadsAgainAndSaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		intruders := 2
		m.before = func(id string) error {
			if intruders > 0 {
				intruders--
				m.intrude(id, 100)
			}
			return nil
		}
		s := newServer(t, m, unrouted.Config{})
		if a := deposit(t, s); a.Status != http.StatusOK || a.Version != 3 || a.Reply != 205 {
			t.Errorf("answer %+v, want version 3 with a balance of 205", a)
		}
		c := s.Counts()
		if c.Saves.Load() != 1 || c.Conflicts.Load() != 2 || c.Retries.Load() != 2 || c.Loads.Load() != 3 || c.GaveUp.Load() != 0 {
			t.Errorf("saves %d, conflicts %d, retries %d, loads %d, gave up %d", c.Saves.Load(), c.Conflicts.Load(), c.Retries.Load(), c.Loads.Load(), c.GaveUp.Load())
		}
	})
}

func TestServer_EveryAttemptConflicts_GivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.before = func(id string) error { m.intrude(id, 1); return nil }
		s := newServer(t, m, unrouted.Config{Attempts: 4, Backoff: 10 * time.Millisecond, BackoffMax: 20 * time.Millisecond})
		start := time.Now()
		if a := deposit(t, s); a.Status != http.StatusConflict || a.Code != "gave_up" {
			t.Errorf("answer %+v, want 409 gave_up", a)
		}
		// Pauses below 10, 20 and 20 ms.
		if took := time.Since(start); took == 0 || took >= 50*time.Millisecond {
			t.Errorf("three pauses took %v", took)
		}
		c := s.Counts()
		if m.appends != 4 || c.Conflicts.Load() != 4 || c.Retries.Load() != 3 || c.GaveUp.Load() != 1 || c.Saves.Load() != 0 {
			t.Errorf("%d saves tried, conflicts %d, retries %d, gave up %d", m.appends, c.Conflicts.Load(), c.Retries.Load(), c.GaveUp.Load())
		}
	})
}

// A save that may have taken effect must not be decided again: it would count twice.
func TestServer_UnknownOutcome_IsNotRepeated(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.before = func(string) error { return fmt.Errorf("connection lost: %w", unrouted.ErrUnknown) }
	s := newServer(t, m, unrouted.Config{})
	if a := deposit(t, s); a.Status != http.StatusGatewayTimeout || a.Code != "outcome_unknown" {
		t.Errorf("answer %+v, want 504 outcome_unknown", a)
	}
	if m.appends != 1 {
		t.Errorf("%d saves tried, want 1", m.appends)
	}
}

func TestServer_RequestTimeout_EndsTheRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.before = func(id string) error { m.intrude(id, 1); return nil }
		s := newServer(t, m, unrouted.Config{Attempts: 1 << 30, Timeout: time.Second})
		start := time.Now()
		if a := deposit(t, s); a.Status != http.StatusServiceUnavailable {
			t.Errorf("answer %+v, want 503", a)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v, want 1 s", took)
		}
	})
}

// Server a has version 1 in its cache when b saves version 2.
func TestServer_Cache_IsStaleUntilConflictOrExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		cfg := unrouted.Config{Cache: true, CacheTTL: time.Second}
		a, b := newServer(t, m, cfg), newServer(t, m, cfg)
		deposit(t, a)
		deposit(t, b)
		if got := read(t, a); got.Version != 1 {
			t.Errorf("a reads version %d right after b's save, want its own 1", got.Version)
		}
		if got := deposit(t, a); got.Version != 3 || got.Reply != 15 || a.Counts().Conflicts.Load() != 1 {
			t.Errorf("a saves %+v after %d conflicts, want version 3 after 1", got, a.Counts().Conflicts.Load())
		}
		if got := read(t, b); got.Version != 2 {
			t.Errorf("b reads version %d within its second, want its own 2", got.Version)
		}
		time.Sleep(time.Second) // virtual
		if got := read(t, b); got.Version != 3 || got.State.Balance != 15 {
			t.Errorf("b reads %+v after its second, want version 3", got)
		}
	})
}

// The first request has saved version 1, and hears of it late: after the second
// one has met the conflict, saved version 2 and put it into the cache. Version 1
// must not take its place.
func TestServer_Cache_KeepsTheNewest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		late := make(chan struct{})
		m.after = func(version int64) {
			if version == 1 {
				<-late
			}
		}
		s := newServer(t, m, unrouted.Config{Cache: true, CacheTTL: time.Hour})
		var first sync.WaitGroup
		first.Go(func() { deposit(t, s) })
		synctest.Wait()
		if got := deposit(t, s); got.Version != 2 || s.Counts().Conflicts.Load() != 1 {
			t.Errorf("the second request: %+v after %d conflicts", got, s.Counts().Conflicts.Load())
		}
		close(late)
		first.Wait()
		if got := read(t, s); got.Version != 2 || got.State.Balance != 10 {
			t.Errorf("the cache has %+v, want version 2", got)
		}
	})
}

func TestServer_TakeTurns_MeetsNoConflictOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, turns := range []bool{true, false} {
		t.Run(fmt.Sprint(turns), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				m.before = func(string) error { time.Sleep(time.Millisecond); return nil } // a virtual write
				s := newServer(t, m, unrouted.Config{TakeTurns: turns, Attempts: 1000})
				var all sync.WaitGroup
				for range 8 {
					all.Go(func() {
						if a := deposit(t, s); a.Status != http.StatusOK {
							t.Errorf("answer %+v", a)
						}
					})
				}
				all.Wait()
				if conflicts := s.Counts().Conflicts.Load(); (conflicts == 0) != turns {
					t.Errorf("%d conflicts with turns=%v", conflicts, turns)
				}
				if got := read(t, s); got.Version != 8 || got.State.Balance != 40 {
					t.Errorf("state %+v after 8 deposits of 5", got)
				}
			})
		})
	}
}

func TestServer_Answers(t *testing.T) {
	t.Parallel()
	s := newServer(t, newMemory(), unrouted.Config{})
	if a := read(t, s); a.Status != http.StatusNotFound {
		t.Errorf("an account without a history answers %d, want 404", a.Status)
	}
	if a := request(t, s, http.MethodPost, "/v1/account/a/deposit", "{"); a.Status != http.StatusBadRequest {
		t.Errorf("a broken body answers %d, want 400", a.Status)
	}
	deposit(t, s)
	if a := read(t, s); a.Status != http.StatusOK || a.Version != 1 || a.State.Balance != 5 {
		t.Errorf("state %+v, want version 1 with a balance of 5", a)
	}
}

func TestNew_NamesAllFaults(t *testing.T) {
	t.Parallel()
	if _, err := unrouted.New(newMemory(), unrouted.Config{Attempts: -1, CacheTTL: -1}); err == nil {
		t.Error("negative numbers were accepted")
	}
}

func TestServer_Withdraw_NeverOverdraws(t *testing.T) {
	t.Parallel()
	s := newServer(t, newMemory(), unrouted.Config{})
	deposit(t, s)
	if a := request(t, s, http.MethodPost, "/v1/account/a/withdraw", `{"amount":6}`); a.Status != http.StatusUnprocessableEntity || a.Code != "insufficient" {
		t.Errorf("answer %+v, want 422 insufficient", a)
	}
	if a := request(t, s, http.MethodPost, "/v1/account/a/withdraw", `{"amount":4}`); a.Status != http.StatusOK || a.Version != 2 || a.Reply != 1 {
		t.Errorf("answer %+v, want version 2 with a balance of 1", a)
	}
	for _, amount := range []string{"-1", "0"} {
		for _, what := range []string{"deposit", "withdraw"} {
			if a := request(t, s, http.MethodPost, "/v1/account/a/"+what, `{"amount":`+amount+`}`); a.Status != http.StatusBadRequest {
				t.Errorf("%s of %s: %+v, want 400", what, amount, a)
			}
		}
	}
}
