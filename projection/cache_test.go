package projection_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
)

// jumping is a clock that tests move forward.
type jumping struct{ by atomic.Int64 }

func (j *jumping) now() time.Time       { return time.Now().Add(time.Duration(j.by.Load())) }
func (j *jumping) jump(d time.Duration) { j.by.Add(int64(d)) }

// readsOf counts the documents of a collection that are read.
type readsOf struct {
	projection.Storage
	collection string
	n          atomic.Int64
}

func (r *readsOf) Read(ctx context.Context, at projection.Place, keys ...string) ([]projection.Document, error) {
	if at.Collection == r.collection {
		r.n.Add(int64(len(keys)))
	}
	return r.Storage.Read(ctx, at, keys...)
}

// twoPartitions returns accounts of different partitions.
func twoPartitions() (one, other string) {
	all := actor.Partitions(partitions)
	for i := 0; ; i++ {
		if id := fmt.Sprint("b", i); all.Of(accounts.ID(id)) != all.Of(accounts.ID("a")) {
			return "a", id
		}
	}
}

// What only this partition writes is read once, however far apart its events are. Where
// there are effects that cannot be taken back, or no room, it is read each time.
func TestCache_OwnDocuments(t *testing.T) {
	t.Parallel()
	const events = 5
	liveOnly := func(d *projection.Definition) {
		projection.On(d, accounts, func(context.Context, *projection.Tx, projection.Event[deposited]) error { return nil }, projection.LiveOnly())
	}
	for name, c := range map[string]struct {
		with  []func(*projection.Definition)
		bytes int
		reads int64
	}{
		"kept":          {reads: 1},
		"with LiveOnly": {with: []func(*projection.Definition){liveOnly}, reads: events},
		"without room":  {bytes: 1, reads: events},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, clock := setup(t), &jumping{}
			p := balances(&hook{}, c.with...)
			cfg := config()
			cfg.Now, cfg.CacheBytes = clock.now, c.bytes
			counted := &readsOf{Storage: f.storage, collection: "accounts"}
			f.runOn(t, counted, cfg, p)
			for range events {
				f.deposit("a", 1)
				f.settle(t, f.view(p))
				clock.jump(time.Minute)
			}
			f.check(t, p)
			if n := counted.n.Load(); n != c.reads {
				t.Errorf("read %d times, want %d", n, c.reads)
			}
		})
	}
}

var errTooLittle = errors.New("too little")

// A handler that reads, or refuses an event for, what another partition has written
// long ago is shown that, though its own partition had written the document before:
//
//	partition of a            storage          partition of b
//	reads and writes 1 -----> shared is 1
//	                          shared is 11 <-- reads and writes 11
//	a minute later
//	reads shared: 11, not the 1 that it remembers
func TestCache_ReadingIsNotOlderThanASecond(t *testing.T) {
	t.Parallel()
	one, other := twoPartitions()
	for name, needs := range map[string]int64{"read": 0, "refused": 11} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, clock := setup(t), &jumping{}
			p := projection.Define("balances", func(d *projection.Definition) {
				d.Collections(projection.NewCollection[int64]("shared"), projection.NewCollection[int64]("copies"))
				projection.On(d, accounts, func(ctx context.Context, tx *projection.Tx, e projection.Event[deposited]) error {
					if e.Data.Amount > 0 {
						return projection.Update(ctx, tx, "shared", "sum", func(n *int64) error { *n += e.Data.Amount; return nil })
					}
					sum, _, err := projection.Get[int64](ctx, tx, "shared", "sum")
					if err == nil && sum < needs {
						err = errTooLittle
					}
					return errors.Join(err, tx.Put("copies", e.Source.ID, sum))
				})
			})
			cfg := config()
			cfg.Now = clock.now
			var parked atomic.Int64
			cfg.Listener.Parked = func(string, string, string) { parked.Add(1) }
			f.run(t, cfg, p)
			step := func(id string, amount int64) {
				f.deposit(id, amount)
				f.settle(t, f.view(p))
				clock.jump(time.Minute)
			}
			step(one, 1)
			step(other, 10)
			step(one, 0)
			copied, _, err := projection.Get[int64](t.Context(), f.view(p), "copies", one)
			if err != nil || copied != 11 {
				t.Errorf("copied %d, %v, want 11", copied, err)
			}
			if n := parked.Load(); n != 0 {
				t.Errorf("parked %d times", n)
			}
		})
	}
}

// A parked event that waits for what another partition is to write is shown it once it is
// there, without an operator: also where its own partition has written the document before
// it read it, in the same transaction and since.
func TestCache_RetrySeesWhatIsNew(t *testing.T) {
	t.Parallel()
	one, other := twoPartitions()
	f, clock := setup(t), &jumping{}
	p := projection.Define("balances", func(d *projection.Definition) {
		d.Collections(projection.NewCollection[int64]("shared"))
		projection.On(d, accounts, func(ctx context.Context, tx *projection.Tx, e projection.Event[deposited]) error {
			if e.Data.Amount > 0 {
				return projection.Update(ctx, tx, "shared", "sum", func(n *int64) error { *n += e.Data.Amount; return nil })
			}
			return projection.Update(ctx, tx, "shared", "sum", func(n *int64) error {
				if *n < 11 {
					return errTooLittle
				}
				*n++
				return nil
			})
		})
	})
	cfg := config()
	cfg.Now, cfg.Attempts = clock.now, 1_000_000
	f.deposit(one, 1)
	f.deposit(one, 0)
	f.run(t, cfg, p)
	f.takenIn(t, p)
	clock.jump(time.Minute)
	f.deposit(other, 10)
	f.settle(t, f.view(p))
	clock.jump(time.Minute)
	eventually(t, "nothing is parked", func() bool {
		s, err := f.control(p).Show(t.Context(), "balances")
		return err == nil && s.Parked == 0
	})
	if sum, _, err := projection.Get[int64](t.Context(), f.view(p), "shared", "sum"); err != nil || sum != 12 {
		t.Errorf("sum %d, %v, want 12", sum, err)
	}
}
