package testharness_test

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
	"github.com/ganglion-go/ganglion/testharness"
)

// damaged is a store some of whose commits cannot be read until they are mended.
type damaged struct {
	store.Store
	mu  sync.Mutex
	bad map[store.Aggregate]store.Version
}

func (d *damaged) isBad(c *store.Commit) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bad[c.Aggregate] == c.First
}

func (d *damaged) mend(a store.Aggregate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.bad, a)
}

func (d *damaged) Follow(ctx context.Context, after store.Token) iter.Seq2[store.FeedItem, error] {
	return func(yield func(store.FeedItem, error) bool) {
		for item, err := range d.Store.Follow(ctx, after) {
			if err == nil && d.isBad(&item.Commit) {
				item.Commit = store.Commit{Aggregate: item.Commit.Aggregate, First: item.Commit.First}
				item.Unreadable = fmt.Errorf("injected: %w", store.ErrCorrupt)
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

func (d *damaged) Load(ctx context.Context, a store.Aggregate, after store.Version) iter.Seq2[store.Commit, error] {
	return func(yield func(store.Commit, error) bool) {
		for c, err := range d.Store.Load(ctx, a, after) {
			if err == nil && d.isBad(&c) {
				yield(store.Commit{}, fmt.Errorf("injected: %w", store.ErrCorrupt))
				return
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// of returns the versions of an aggregate that are in the event stream, with the names
// of those that are skipped.
func (r *relayed) of(t *testing.T, a string) (versions []string) {
	t.Helper()
	_, last, err := r.bus.EventsHead(t.Context())
	if err != nil || last == 0 {
		return nil
	}
	for e, err := range r.bus.Events(t.Context(), actor.EventFilter{}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Source.String() == a {
			text := fmt.Sprint(e.Version)
			if e.Name == actor.EventSkipped {
				text += " skipped"
			}
			versions = append(versions, text)
		}
		if e.Position >= last {
			break
		}
	}
	return versions
}

func (r *relayed) settleAt(want uint64) {
	r.t.Helper()
	testharness.Eventually(r.t, relayPatience, func() bool {
		_, last, err := r.bus.EventsHead(r.t.Context())
		return err == nil && last >= want
	})
}

var heldConfig = runtime.RelayConfig{ResendEvery: 100 * time.Millisecond, Partitions: 8}

// TestRelay_CommitCannotBeRead: it and what comes later of its aggregate waits, also over
// an end of the relay; all others go on. Once it can be read, all comes in order, and what
// was sent with it.
func TestRelay_CommitCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, restart := range []string{"no", "while held", "before it is brought again"} {
		t.Run("restart "+restart, func(t *testing.T) {
			t.Parallel()
			bad := &damaged{Store: memory.New(), bad: map[store.Aggregate]store.Version{"account/bad": 3}}
			r := newRelayed(t, bad)
			got := &collector{}
			got.serveAll(t, r.bus)
			stop := r.start(nil, heldConfig)
			r.append(r.next("account/bad", 2))
			r.append(r.next("account/bad", 2, note("sent", "account/x")))
			r.append(r.next("account/bad", 1))
			r.append(r.next("account/good", 1))
			r.settleAt(3)
			if restart == "while held" {
				stop()
				stop = r.start(nil, heldConfig)
			}
			r.append(r.next("account/bad", 1))
			r.append(r.next("account/good", 1))
			r.settleAt(4)
			if v := r.of(t, "account/bad"); fmt.Sprint(v) != "[1 2]" || len(got.firsts()) != 0 {
				t.Errorf("of the aggregate the stream has %q, sent is %q", v, got.firsts())
			}
			if restart == "before it is brought again" {
				r.append(r.next("account/bad", 1)) // is behind the newest mark
				testharness.Eventually(t, relayPatience, func() bool { return fmt.Sprint(r.parked(t, "")) == "[ganglion.unreadable-commit]" })
				stop()
				bad.mend("account/bad")
				stop = r.start(nil, heldConfig)
			}
			bad.mend("account/bad")
			r.settle()
			r.append(r.next("account/bad", 1), r.next("account/good", 1))
			r.check()
			testharness.Eventually(t, relayPatience, func() bool { return len(got.firsts()) == 1 })
			testharness.Eventually(t, relayPatience, func() bool {
				r.append(r.next("account/good", 1))
				<-time.After(20 * time.Millisecond)
				return len(r.parked(t, "")) == 0
			})
			stop()
			r.start(nil, heldConfig)
			r.append(r.next("account/bad", 1))
			r.check()
		})
	}
}

// TestRelay_CommitIsGivenUp: in the place of its events something else stands, for as many as
// there were, and the later ones follow.
func TestRelay_CommitIsGivenUp(t *testing.T) {
	t.Parallel()
	bad := &damaged{Store: memory.New(), bad: map[store.Aggregate]store.Version{"account/bad": 2}}
	r := newRelayed(t, bad)
	r.start(nil, heldConfig)
	r.append(r.next("account/bad", 1))
	r.append(r.next("account/bad", 3))
	testharness.Eventually(t, relayPatience, func() bool { return len(r.parked(t, "")) == 1 })
	p, _, err := r.store.FindParked(t.Context(), "account/bad", "ganglion.unreadable-commit")
	if err != nil {
		t.Fatal(err)
	}
	if from, held := runtime.HeldHistory(&p); !held || from != 2 || runtime.RetryHistory(t.Context(), r.store, &p) == nil {
		t.Errorf("held %t from version %d", held, from)
	}
	if err := runtime.SkipHistory(t.Context(), r.store, &p); err != nil {
		t.Fatal(err)
	}
	r.append(r.next("account/bad", 1))
	r.append(r.next("account/good", 1))
	r.settle()
	testharness.Eventually(t, relayPatience, func() bool {
		return fmt.Sprint(r.of(t, "account/bad")) == "[1 2 skipped 3 skipped 4 skipped 5]"
	})
	r.append(r.next("account/bad", 1))
	r.settle()
	if v := r.of(t, "account/bad"); fmt.Sprint(v) != "[1 2 skipped 3 skipped 4 skipped 5 6]" {
		t.Errorf("the stream has %q", v)
	}
}

// TestRelay_CommitCannotBeRead_StreamLost: the event stream is made anew while an aggregate
// is held, and after it was released.
func TestRelay_CommitCannotBeRead_StreamLost(t *testing.T) {
	t.Parallel()
	bad := &damaged{Store: memory.New(), bad: map[store.Aggregate]store.Version{"account/bad": 3}}
	r := newRelayed(t, bad)
	stop := r.start(nil, heldConfig)
	r.append(r.next("account/bad", 2))
	r.append(r.next("account/bad", 2))
	r.append(r.next("account/good", 1))
	r.settleAt(3)
	for range 2 {
		was, _, err := r.bus.EventsHead(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := r.bus.RebuildEvents(t.Context(), was); err != nil {
			t.Fatal(err)
		}
		r.another(was)
		r.settleAt(3)
		bad.mend("account/bad")
		r.check()
	}
	stop()
}

// TestRelay_EventLargerThanTheStreamTakes holds its aggregate, and nothing else.
func TestRelay_EventLargerThanTheStreamTakes(t *testing.T) {
	t.Parallel()
	r := newRelayed(t, memory.New())
	r.start(nil, heldConfig)
	c := r.next("account/huge", 1)
	c.Events[0].Data = fmt.Appendf(nil, `{"fill":"%01100000d"}`, 1)
	r.append(c)
	r.append(r.next("account/huge", 1))
	r.append(r.next("account/good", 2))
	r.settleAt(2)
	if v := r.of(t, "account/huge"); len(v) != 0 {
		t.Errorf("the stream has %q", v)
	}
	if ids := r.parked(t, "account/huge"); fmt.Sprint(ids) != "[ganglion.unreadable-commit]" {
		t.Errorf("parked %q", ids)
	}
}

// forgotten is a store with a record among what is parked that cannot be read.
type forgotten struct{ store.Store }

func (f forgotten) ListParked(ctx context.Context, a store.Aggregate) iter.Seq2[store.Parked, error] {
	return func(yield func(store.Parked, error) bool) {
		if !yield(store.Parked{Aggregate: "account/other", CommandID: "x"}, fmt.Errorf("injected: %w", store.ErrCorrupt)) {
			return
		}
		f.Store.ListParked(ctx, a)(yield)
	}
}

// TestRelay_ParkedRecordCannotBeRead: it stops neither the relay, nor that it finds the others.
func TestRelay_ParkedRecordCannotBeRead(t *testing.T) {
	t.Parallel()
	bad := &damaged{Store: memory.New(), bad: map[store.Aggregate]store.Version{"account/bad": 2}}
	r := newRelayed(t, forgotten{bad})
	stop := r.start(nil, heldConfig)
	r.append(r.next("account/bad", 1))
	r.append(r.next("account/bad", 1))
	r.append(r.next("account/good", 1))
	r.settleAt(2)
	stop()
	r.start(nil, heldConfig)
	r.append(r.next("account/bad", 1))
	r.append(r.next("account/good", 1))
	r.settleAt(3)
	if v := r.of(t, "account/bad"); fmt.Sprint(v) != "[1]" {
		t.Errorf("the stream has %q", v)
	}
	bad.mend("account/bad")
	r.check()
}
