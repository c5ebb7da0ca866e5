package stage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/load"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

// book is a store with evidence that follows it.
type book struct {
	t *testing.T
	*memory.Store
	evidence *evidence
	gone     map[store.Aggregate]bool // whose commits are there no longer
	broken   error
}

var errBroken = errors.New("the disk is gone")

func newBook(t *testing.T) *book {
	t.Helper()
	return &book{t: t, Store: memory.New(), evidence: newEvidence(), gone: map[store.Aggregate]bool{}}
}

// Load implements [store.Commits].
func (b *book) Load(ctx context.Context, a store.Aggregate, after store.Version) iter.Seq2[store.Commit, error] {
	switch {
	case b.broken != nil:
		return func(yield func(store.Commit, error) bool) { yield(store.Commit{}, b.broken) }
	case b.gone[a]:
		return func(func(store.Commit, error) bool) {}
	}
	return b.Store.Load(ctx, a, after)
}

// stores appends a commit with the outcomes of commands to an aggregate.
func (b *book) stores(a actor.Address, first int, ids ...string) {
	b.t.Helper()
	c := store.Commit{Aggregate: store.Aggregate(a.String()), First: store.Version(first)}
	for _, id := range ids {
		c.Outcomes = append(c.Outcomes, store.Outcome{CommandID: id, Events: 1, Reply: []byte("{}")})
		c.Events = append(c.Events, store.Event{Name: "e", Data: []byte("{}")})
	}
	if err := b.Append(b.t.Context(), []store.Commit{c})[0]; err != nil {
		b.t.Fatal(err)
	}
}

// told has a user get an answer.
func (b *book) told(a actor.Address, id string, err error) {
	b.evidence.begins(a, actor.CommandID(id), true)
	b.evidence.ended(load.Ended{To: a, Key: actor.CommandID(id), Err: err, Reply: []byte("{}"), Began: time.Now()}, true)
}

// follow has the evidence see all commits up to now.
func (b *book) follow() {
	for item, err := range store.FollowUntilQuiet(b.t.Context(), b.Store, time.Second, nil) {
		if err != nil {
			b.t.Fatal(err)
		}
		b.evidence.take(&item.Commit)
	}
}

func (b *book) check(all bool) found {
	b.t.Helper()
	f, err := b.evidence.check(b.t.Context(), b, all)
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

func tx(n int) actor.Address { return domain.Transactions.ID(fmt.Sprint("t", n)) }

// TestCheck: what was acknowledged and is not there is lost, what is there twice is doubled,
// and whatever is neither is right.
func TestCheck(t *testing.T) {
	t.Parallel()
	refused := &load.RefusalError{Status: 422, Code: "insufficient_cash"}
	for name, test := range map[string]struct {
		do   func(b *book)
		want found
	}{
		"right": {func(b *book) {
			b.told(tx(1), "a", nil)
			b.stores(tx(1), 1, "a")
			b.told(tx(1), "b", nil)
			b.stores(tx(1), 2, "x", "b")
		}, found{acknowledged: 2, stored: 2, reread: 2}},
		"never stored": {func(b *book) {
			b.told(tx(1), "a", nil)
			b.stores(tx(1), 1, "a")
			b.told(tx(2), "b", nil)
		}, found{acknowledged: 2, stored: 1, lost: 1, reread: 1}},
		"stored at another aggregate": {func(b *book) {
			b.told(tx(1), "a", nil)
			b.stores(tx(2), 1, "a")
		}, found{acknowledged: 1, lost: 1}},
		"stored twice": {func(b *book) {
			b.told(tx(1), "a", nil)
			b.stores(tx(1), 1, "a")
			b.stores(tx(1), 2, "a")
		}, found{acknowledged: 1, stored: 1, doubled: 1, reread: 1}},
		"twice in one commit": {func(b *book) {
			b.told(tx(1), "a", nil)
			b.stores(tx(1), 1, "a", "a")
		}, found{acknowledged: 1, stored: 1, doubled: 1, reread: 1}},
		"removed after it was seen": {func(b *book) {
			b.told(tx(1), "a", nil)
			b.stores(tx(1), 1, "a")
			b.told(tx(2), "b", nil)
			b.stores(tx(2), 1, "b")
			b.gone[store.Aggregate(tx(2).String())] = true
		}, found{acknowledged: 2, stored: 1, lost: 1, reread: 2}},
		"refused, unknown, acknowledged twice": {func(b *book) {
			b.told(tx(1), "a", refused)
			b.stores(tx(1), 1, "a")
			b.told(tx(2), "b", errBroken)
			b.told(tx(3), "c", nil)
			b.told(tx(3), "c", nil)
			b.stores(tx(3), 1, "c")
		}, found{acknowledged: 1, stored: 1, unknown: 1, reread: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBook(t)
				test.do(b)
				b.follow()
				b.follow() // what comes again is no double
				got := b.check(false)
				got.examples = nil
				if fmt.Sprint(got) != fmt.Sprint(test.want) {
					t.Errorf("found %+v, want %+v", got, test.want)
				}
				if again := b.check(true); again.lost != test.want.lost || again.doubled != test.want.doubled || again.right() != (test.want.lost+test.want.doubled == 0) {
					t.Errorf("checked again: %+v", again)
				}
			})
		})
	}
}

// TestCheck_Feed: what the feed has missed is looked up, and is no longer looked for then;
// what comes late is waited for.
func TestCheck_Feed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t)
		b.told(tx(1), "a", nil)
		b.stores(tx(1), 1, "a")
		if f := b.check(false); !f.right() || f.stored != 1 {
			t.Errorf("without the feed: %+v", f)
		}
		began := time.Now()
		if f := b.check(false); !f.right() || time.Since(began) > time.Second {
			t.Errorf("again: %+v after %v", f, time.Since(began))
		}
	})
}

// TestCheck_BrokenStore_IsNoVerdict: a store that cannot be read is neither right nor wrong.
func TestCheck_BrokenStore_IsNoVerdict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t)
		b.told(tx(1), "a", nil)
		b.stores(tx(1), 1, "a")
		b.follow()
		b.broken = errBroken
		if f, err := b.evidence.check(t.Context(), b, false); !errors.Is(err, errBroken) {
			t.Errorf("found %+v, %v", f, err)
		}
	})
}

// TestCheck_IsIncremental: a check of a long run reads what is new and a sample again, and
// not all; an audit reads all.
func TestCheck_IsIncremental(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t)
		const many = rereadMax + sampleMax + 1000
		for i := range many {
			id := fmt.Sprint("c", i)
			b.told(tx(i), id, nil)
			b.evidence.take(&store.Commit{Aggregate: store.Aggregate(tx(i).String()), First: 1, Outcomes: []store.Outcome{{CommandID: id, Reply: []byte("{ }")}}})
			b.stores(tx(i), 1, id)
		}
		for _, want := range []int{rereadMax + sampleMax, sampleMax} {
			if f := b.check(false); !f.right() || f.acknowledged != many || f.reread != want {
				t.Errorf("found %+v, want %d read again", f, want)
			}
		}
		if f := b.check(true); !f.right() || f.reread != many {
			t.Errorf("all: %+v", f)
		}
	})
}

// TestEvidence_Waits: commands that wait count while they wait, and each track has a gap of
// its own.
func TestEvidence_Waits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newEvidence()
		one := tx(1)
		at := actor.Partitions(4).Of(one)
		owners := []string{"node-1", "node-1", "node-1", "node-1"}
		owners[at] = "node-2"
		v.beginWaits(time.Now(), owners)
		v.begins(one, "a", true)
		time.Sleep(3 * time.Second)
		if longest, gaps := v.noticed(time.Now(), true); longest != 3*time.Second || len(gaps) != 2 || gaps[1].Longest != 3*time.Second {
			t.Errorf("while it waits: %v, %v", longest, gaps)
		}
		v.ended(load.Ended{To: one, Key: "a", Began: time.Now().Add(-3 * time.Second), Took: 3 * time.Second}, true)
		time.Sleep(time.Second)
		longest, gaps := v.noticed(time.Now(), false)
		if longest != 3*time.Second || gaps[0].Track != "node-1" || gaps[0].Longest != 0 || gaps[1].Longest != 3*time.Second {
			t.Errorf("afterwards: %v, %v", longest, gaps)
		}
		if v.answeredSince("node-1", time.Now().Add(-time.Hour)) != true || v.answeredSince("node-2", time.Now()) {
			t.Error("who was answered")
		}
		v.trade(time.Now(), false)
		time.Sleep(time.Hour)
		v.trade(time.Now(), true)
		v.ended(load.Ended{To: one, Key: "a", Began: time.Now()}, true)
		if _, gaps := v.noticed(time.Now(), true); gaps[0].Longest != 0 && gaps[0].Longest > time.Second || gaps[1].Longest != 3*time.Second {
			t.Errorf("after a rest: %v", gaps)
		}
	})
}
