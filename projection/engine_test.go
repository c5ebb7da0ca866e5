package projection_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/testharness"
)

func TestMain(m *testing.M) { testharness.Main(m) }

func TestEngine_ViewIsTheFoldOfAllEvents(t *testing.T) {
	t.Parallel()
	for _, singleton := range []bool{false, true} {
		t.Run(fmt.Sprintf("singleton=%v", singleton), func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			p := balances(&hook{}, func(d *projection.Definition) {
				if singleton {
					d.Singleton()
				}
			})
			for i := range 200 {
				f.deposit(fmt.Sprint("a", i%17), int64(i))
			}
			f.stream.Append(accounts.ID("a3"), accounts, closed{})
			f.stream.AppendStored(accounts.ID("old"), "deposited.v0", []byte(`{"Cents":"42"}`))
			f.run(t, config(), p)
			f.settle(t, f.view(p))
			for i := range 300 {
				f.deposit(fmt.Sprint("a", i%23), int64(i))
			}
			f.settle(t, f.view(p))
			f.check(t, p)
		})
	}
}

func TestEngine_RestartGoesOnFromTheCheckpoint(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var calls atomic.Int64
	h := &hook{}
	h.set(func(projection.Event[deposited]) error { calls.Add(1); return nil })
	p := balances(h)
	f.deposit("a", 1, 2, 3)
	_, stop := f.run(t, config(), p)
	f.settle(t, f.view(p))
	stop()
	f.deposit("a", 4)
	f.run(t, config(), p)
	f.settle(t, f.view(p))
	if n := calls.Load(); n != 4 {
		t.Errorf("handler ran %d times for 4 events", n)
	}
	f.check(t, p)
}

func TestEngine_FailingAggregateIsParkedAndOthersGoOn(t *testing.T) {
	t.Parallel()
	f := setup(t)
	h := &hook{}
	var fixed atomic.Bool
	h.set(func(e projection.Event[deposited]) error {
		if e.Source.ID == "bad" && e.Data.Amount == 13 && !fixed.Load() {
			panic("thirteen")
		}
		return nil
	})
	p := balances(h)
	c := f.control(p)
	f.deposit("bad", 1, 13, 2)
	f.deposit("good", 5)
	f.run(t, config(), p)
	f.takenIn(t, p)
	f.deposit("good", 6)
	f.deposit("bad", 3)
	f.takenIn(t, p)

	want := map[string]balance{"bad": {1, 1, 1}, "good": {11, 2, 2}}
	if diff := cmp.Diff(want, all(t, f.view(p))); diff != "" {
		t.Fatalf("while parked (-want +got):\n%s", diff)
	}
	var parked []projection.Parked
	eventually(t, "it waits for somebody", func() bool {
		var err error
		if parked, err = c.ParkedList(t.Context(), "balances", 10); err != nil {
			t.Fatal(err)
		}
		return len(parked) == 1 && parked[0].State == projection.ParkedWaiting
	})
	got := parked[0]
	if got.Source != accounts.ID("bad") || got.Version != 2 || got.Count != 3 || got.Attempts != 3 || !strings.Contains(got.Reason, "thirteen") || !strings.Contains(got.Stack, "goroutine") {
		t.Errorf("parked: %+v", got)
	}
	_, events, err := c.ParkedShow(t.Context(), "balances", accounts.ID("bad"), 10)
	if err != nil || len(events) != 3 || string(events[0].Data) != `{"Amount":13}` || events[2].Version != 4 {
		t.Errorf("events that wait: %v, %v", events, err)
	}

	fixed.Store(true)
	if err := c.Retry(t.Context(), "balances", accounts.ID("bad")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is parked", func() bool {
		s, err := c.Show(t.Context(), "balances")
		return err == nil && s.Parked == 0
	})
	f.check(t, p)
	if err := c.Retry(t.Context(), "balances", accounts.ID("bad")); !errors.Is(err, projection.ErrNotFound) {
		t.Errorf("retry of what is not parked: %v", err)
	}
}

func TestEngine_SkipLeavesOutTheEventThatFails(t *testing.T) {
	t.Parallel()
	f := setup(t)
	h := &hook{}
	h.set(func(e projection.Event[deposited]) error {
		if e.Data.Amount == 13 {
			return errors.New("thirteen")
		}
		return nil
	})
	p := balances(h)
	c := f.control(p)
	f.deposit("bad", 1, 13, 2, 13, 4)
	f.run(t, config(), p)
	f.takenIn(t, p)
	for _, version := range []actor.Version{2, 4} {
		eventually(t, fmt.Sprintf("event %d is parked", version), func() bool {
			all, err := c.ParkedList(t.Context(), "balances", 10)
			return err == nil && len(all) == 1 && all[0].Version == version
		})
		if err := c.Skip(t.Context(), "balances", accounts.ID("bad")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "nothing is parked", func() bool {
		s, err := c.Show(t.Context(), "balances")
		return err == nil && s.Parked == 0
	})
	want := map[string]balance{"bad": {7, 3, 5}}
	if diff := cmp.Diff(want, all(t, f.view(p))); diff != "" {
		t.Errorf("view (-want +got):\n%s", diff)
	}
}

func TestEngine_TransientFailureMendsItself(t *testing.T) {
	t.Parallel()
	f := setup(t)
	h := &hook{}
	var failures atomic.Int64
	h.set(func(e projection.Event[deposited]) error {
		if e.Data.Amount == 13 && failures.Add(1) < 3 {
			return errors.New("not now")
		}
		return nil
	})
	p := balances(h)
	f.deposit("a", 1, 13, 2)
	f.run(t, config(), p)
	f.settle(t, f.view(p))
	eventually(t, "the view is complete", func() bool { return cmp.Equal(fold(f.stream.All()), all(t, f.view(p))) })
}

func TestEngine_PauseAndResume(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := balances(&hook{})
	c := f.control(p)
	f.deposit("a", 1)
	e, _ := f.run(t, config(), p)
	f.settle(t, f.view(p))
	if err := c.Pause(t.Context(), "balances"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has stopped", func() bool { return len(e.Load()) == 0 })
	f.deposit("a", 2)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := f.view(p).Wait(ctx, projection.Version(accounts.ID("a"), 2)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait while paused: %v", err)
	}
	if err := c.Resume(t.Context(), "balances"); err != nil {
		t.Fatal(err)
	}
	f.settle(t, f.view(p))
}

func TestEngine_FromNowLeavesHistoryAlone(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := balances(&hook{}, func(d *projection.Definition) { d.StartAt(projection.FromNow) })
	f.deposit("a", 1, 2)
	e, stop := f.run(t, config(), p)
	eventually(t, "it runs", func() bool { return len(e.Load()) == 1 })
	stop()
	f.deposit("a", 4)
	f.run(t, config(), p)
	f.settle(t, f.view(p))
	want := map[string]balance{"a": {4, 1, 3}}
	if diff := cmp.Diff(want, all(t, f.view(p))); diff != "" {
		t.Errorf("view (-want +got):\n%s", diff)
	}
	rebuild(t, f, p)
	if diff := cmp.Diff(want, all(t, f.view(p))); diff != "" {
		t.Errorf("rebuilt (-want +got):\n%s", diff)
	}
}

func rebuild(t *testing.T, f *fixture, p *projection.Projection) {
	t.Helper()
	c := f.control(p)
	before, err := c.Show(t.Context(), p.Name())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Rebuild(t.Context(), p.Name()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the rebuild is done", func() bool {
		s, err := c.Show(t.Context(), p.Name())
		return err == nil && s.Rebuild == nil && s.Generation > before.Generation
	})
}

func TestEngine_LiveOnlyLeavesHistoryAlone(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var mails atomic.Int64
	p := balances(&hook{}, func(d *projection.Definition) {
		projection.On(d, accounts, func(_ context.Context, _ *projection.Tx, e projection.Event[deposited]) error {
			mails.Add(e.Data.Amount)
			return nil
		}, projection.LiveOnly())
	})
	f.deposit("a", 1, 2) // older than the projection
	f.run(t, config(), p)
	f.settle(t, f.view(p))
	f.deposit("a", 10)
	f.settle(t, f.view(p))
	rebuild(t, f, p)
	f.deposit("a", 100)
	f.settle(t, f.view(p))
	if n := mails.Load(); n != 110 {
		t.Errorf("mails for %d, want 110", n)
	}
}

func TestEngine_RebuildWhileWritesGoOn(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := projection.Define("balances", func(d *projection.Definition) {
		d.Collections(projection.NewCollection[balance]("accounts"))
		d.BatchMax(16)
		projection.On(d, accounts, func(ctx context.Context, tx *projection.Tx, e projection.Event[deposited]) error {
			return projection.Update(ctx, tx, "accounts", e.Source.ID, func(b *balance) error {
				b.Sum += e.Data.Amount
				b.Count++
				b.Version = uint64(e.Version)
				return nil
			})
		})
	})
	f.deposit("watched", 1)
	for i := range 2000 {
		f.deposit(fmt.Sprint("a", i%40), 1)
	}
	f.run(t, config(), p)
	f.settle(t, f.view(p))

	writing, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		for i := 0; writing.Err() == nil; i++ {
			f.deposit(fmt.Sprint("a", i%40), 1)
			f.deposit("watched", 1)
			select {
			case <-time.After(200 * time.Microsecond):
			case <-writing.Done():
			}
		}
	}()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for last := uint64(0); writing.Err() == nil; { // the live view is never empty, and never goes back
			b, found, err := projection.Get[balance](writing, f.view(p), "accounts", "watched")
			switch {
			case writing.Err() != nil:
				return
			case err != nil || !found || b.Version < last || uint64(b.Sum) != b.Version:
				t.Errorf("live view: %+v, %v, %v after version %d", b, found, err, last)
				return
			}
			last = b.Version
		}
	}()
	for range 3 {
		rebuild(t, f, p)
	}
	stop()
	<-finished
	f.settle(t, f.view(p))
	f.check(t, p)
	eventually(t, "old generations are dropped", func() bool {
		for doc, err := range f.storage.List(t.Context(), projection.Place{Projection: "balances", Generation: 1, Collection: "accounts"}, projection.Range{}) {
			return err != nil && doc.Key == ""
		}
		return true
	})
}

func TestEngine_CancelledRebuildLeavesTheViewAlive(t *testing.T) {
	t.Parallel()
	f := setup(t)
	h := &hook{}
	p := balances(h)
	c := f.control(p)
	f.deposit("a", 1, 2, 3)
	f.run(t, config(), p)
	f.settle(t, f.view(p))
	for range 5 {
		if err := c.Rebuild(t.Context(), "balances"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the rebuild has ended", func() bool {
			if err := c.CancelRebuild(t.Context(), "balances"); errors.Is(err, projection.ErrNotRebuilding) {
				return true
			}
			return false
		})
		f.deposit("a", 1)
		f.settle(t, f.view(p))
	}
	f.check(t, p)
}

func TestEngine_StreamMadeAnewDoublesNothing(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := balances(&hook{})
	for i := range 300 {
		f.deposit(fmt.Sprint("a", i%13), int64(i))
	}
	f.run(t, config(), p)
	f.settle(t, f.view(p))
	for range 3 {
		f.stream.Replace(shuffleSources)
		for i := range 50 {
			f.deposit(fmt.Sprint("a", i%29), int64(i))
		}
		f.settle(t, f.view(p))
		f.check(t, p)
	}
	rebuild(t, f, p)
	f.check(t, p)
}

// shuffleSources puts the events in another order, in which those of each source stay
// as they were.
func shuffleSources(events []actor.EventRecord) {
	next := map[actor.Address][]actor.EventRecord{}
	for _, e := range events {
		next[e.Source] = append(next[e.Source], e)
	}
	places := make([]actor.Address, len(events))
	for i, e := range events {
		places[i] = e.Source
	}
	rand.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
	for i, source := range places {
		events[i], next[source] = next[source][0], next[source][1:]
	}
}

func TestView_WaitOfAKindThatIsNotFollowed(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := balances(&hook{})
	err := f.view(p).Wait(t.Context(), projection.Version(actor.Address{Kind: "other", ID: "a"}, 1))
	if !errors.Is(err, projection.ErrNotFollowed) {
		t.Errorf("got %v", err)
	}
}
