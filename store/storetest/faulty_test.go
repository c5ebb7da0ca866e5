package storetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
	"github.com/ganglion-go/ganglion/store/storetest"
)

func setup(t *testing.T) (*storetest.Faulty, store.Store) {
	t.Helper()
	inner := memory.New()
	f := storetest.NewFaulty(t.Context(), inner, 1)
	t.Cleanup(f.Close)
	return f, inner
}

func commits(a store.Aggregate, first store.Version) []store.Commit {
	return []store.Commit{{Aggregate: a, First: first, Events: []store.Event{{Name: "e", Data: []byte(`{"n":1}`)}}}}
}

func length(t *testing.T, s store.Store, a store.Aggregate) (n int) {
	t.Helper()
	for _, err := range s.Load(t.Context(), a, 0) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func want(t *testing.T, what string, err error, class error) {
	t.Helper()
	if !errors.Is(err, class) || !errors.Is(err, storetest.ErrInjected) {
		t.Errorf("%s: got %v, want an injected %v", what, err, class)
	}
}

// A healthy Faulty is a store.
func TestFaulty_PassesTheSuite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store {
		t.Helper()
		f, _ := setup(t)
		return f
	})
}

func TestFaulty_NextAppends(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault   storetest.AppendFault
		written int
	}{
		"before": {storetest.FailBefore, 0},
		"after":  {storetest.FailAfter, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, inner := setup(t)
			f.NextAppends(1, test.fault)
			want(t, "append", f.Append(t.Context(), commits("account/a", 1))[0], store.ErrUnknown)
			if got := length(t, inner, "account/a"); got != test.written {
				t.Errorf("%d commits are written, want %d", got, test.written)
			}
			if err := f.Append(t.Context(), commits("account/b", 1))[0]; err != nil {
				t.Errorf("the append after it: %v", err)
			}
			if f.Injected() != 1 {
				t.Errorf("%d faults injected, want 1", f.Injected())
			}
		})
	}
}

func TestFaulty_Late_WritesWithItsOwnCopy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, inner := setup(t)
		f.Set(storetest.Faults{AppendLate: 1, Late: time.Minute})
		c := commits("account/a", 1)
		want(t, "append", f.Append(t.Context(), c)[0], store.ErrUnknown)
		clear(c[0].Events[0].Data)
		if got := length(t, inner, "account/a"); got != 0 {
			t.Errorf("%d commits are written at once", got)
		}
		start := time.Now()
		if err := f.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("written after %v, want a minute", took)
		}
		for got, err := range inner.Load(t.Context(), "account/a", 0) {
			if err != nil || string(got.Events[0].Data) != `{"n":1}` {
				t.Errorf("written: %q, %v", got.Events[0].Data, err)
			}
		}
		if length(t, inner, "account/a") != 1 {
			t.Error("the late write was not made")
		}
	})
}

func TestFaulty_Close_DropsLateWrites(t *testing.T) {
	t.Parallel()
	f, inner := setup(t)
	f.Set(storetest.Faults{AppendLate: 1, Late: time.Hour})
	f.Append(t.Context(), commits("account/a", 1))
	f.Close()
	f.Close()
	if got := length(t, inner, "account/a"); got != 0 {
		t.Errorf("%d commits are written, want none", got)
	}
}

func TestFaulty_Shares_AreDrawnForEachCommit(t *testing.T) {
	t.Parallel()
	f, inner := setup(t)
	f.Set(storetest.Faults{AppendBefore: 0.3, AppendAfter: 0.3})
	var all []store.Commit
	for i := range 300 {
		all = append(all, commits(store.Aggregate("account/"+time.Duration(i).String()), 1)...)
	}
	var fine, failed, written int
	for i, err := range f.Append(t.Context(), all) {
		if err == nil {
			fine++
		} else {
			want(t, "append", err, store.ErrUnknown)
			failed++
			written += length(t, inner, all[i].Aggregate)
		}
	}
	if fine < 60 || failed < 120 || written < 40 || written > failed-40 {
		t.Errorf("%d fine, %d unknown of which %d are written", fine, failed, written)
	}
	if f.Injected() != failed {
		t.Errorf("%d injected, %d failed", f.Injected(), failed)
	}
}

func TestFaulty_CutOff_FailsEverything(t *testing.T) {
	t.Parallel()
	f, inner := setup(t)
	ctx := t.Context()
	session := store.Session{Name: "n", Incarnation: "i"}
	if err := f.OpenSession(ctx, session, nil); err != nil {
		t.Fatal(err)
	}
	session.Beat = 1
	f.Set(storetest.Faults{CutOff: true})
	want(t, "append", f.Append(ctx, commits("account/a", 1))[0], store.ErrUnknown)
	want(t, "renew", f.Renew(ctx, session), store.ErrUnknown)
	_, err := f.TakeClaims(ctx, session, []store.Claim{{Partition: 1}})
	want(t, "take claims", err, store.ErrUnknown)
	_, err = f.Sessions(ctx)
	want(t, "sessions", err, store.ErrUnavailable)
	want(t, "ping", f.Ping(ctx), store.ErrUnavailable)
	for _, err := range f.Load(ctx, "account/a", 0) {
		want(t, "load", err, store.ErrUnavailable)
	}
	if length(t, inner, "account/a") != 0 {
		t.Error("a write came through")
	}
	f.Heal()
	if err := f.Renew(ctx, session); err != nil {
		t.Errorf("renew after healing: %v", err)
	}
}

func TestFaulty_CutOff_EndsFollowers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, _ := setup(t)
		ended := make(chan error, 1)
		go func() {
			for _, err := range f.Follow(t.Context(), "") {
				ended <- err
				return
			}
			ended <- nil
		}()
		synctest.Wait()
		f.Set(storetest.Faults{CutOff: true})
		want(t, "follow", <-ended, store.ErrUnavailable)
	})
}

func TestFaulty_Blocked_UntilHealedOrCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, inner := setup(t)
		f.Set(storetest.Faults{Blocked: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		want(t, "blocked append", f.Append(ctx, commits("account/a", 1))[0], store.ErrUnknown)

		done := make(chan error, 1)
		go func() { done <- f.Append(t.Context(), commits("account/b", 1))[0] }()
		synctest.Wait()
		if length(t, inner, "account/b") != 0 {
			t.Error("a blocked append was written")
		}
		f.Heal()
		if err := <-done; err != nil {
			t.Errorf("append after healing: %v", err)
		}
		if length(t, inner, "account/a") != 0 || length(t, inner, "account/b") != 1 {
			t.Error("want only the append that outlived the block")
		}
	})
}

func TestFaulty_ReadsAndLeases(t *testing.T) {
	t.Parallel()
	f, inner := setup(t)
	ctx := t.Context()
	f.Set(storetest.Faults{Reads: 1, LeasesAfter: 1, Delay: time.Millisecond})
	_, _, err := f.FindOutcome(ctx, "account/a", "id", false)
	want(t, "find outcome", err, store.ErrUnavailable)
	want(t, "open session", f.OpenSession(ctx, store.Session{Name: "n", Incarnation: "i"}, nil), store.ErrUnknown)
	if all, err := inner.Sessions(ctx); err != nil || len(all) != 1 {
		t.Errorf("the session was not written: %v, %v", all, err)
	}
	f.Set(storetest.Faults{LeasesBefore: 1})
	want(t, "end session", f.EndSession(ctx, store.Session{Name: "n", Incarnation: "i"}), store.ErrUnknown)
	if all, err := inner.Sessions(ctx); err != nil || len(all) != 1 {
		t.Errorf("the session was ended: %v, %v", all, err)
	}
	if err := f.Append(ctx, commits("account/a", 1))[0]; err != nil {
		t.Errorf("append: %v", err)
	}
}
