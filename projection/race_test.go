package projection_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/projection"
)

// faulty is a storage whose commits fail, are not known to have succeeded, or come
// late: what an engine that was paused or cut off sees.
type faulty struct {
	projection.Storage
	mu   sync.Mutex
	rand *rand.Rand
	late sync.WaitGroup
}

var errInjected = errors.New("injected")

func (f *faulty) roll(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rand.IntN(n)
}

func (f *faulty) Begin() projection.Transaction { return &faultyTransaction{f.Storage.Begin(), f} }

func (f *faulty) Read(ctx context.Context, at projection.Place, keys ...string) ([]projection.Document, error) {
	if f.roll(40) == 0 {
		return nil, fmt.Errorf("%w: %w", projection.ErrUnavailable, errInjected)
	}
	return f.Storage.Read(ctx, at, keys...)
}

type faultyTransaction struct {
	projection.Transaction
	f *faulty
}

func (t *faultyTransaction) Commit(ctx context.Context, writes []projection.Write) ([]projection.Revision, error) {
	switch t.f.roll(10) {
	case 0: // nothing was written
		return nil, fmt.Errorf("%w: %w", projection.ErrUnavailable, errInjected)
	case 1: // it was, and nobody hears of it
		_, _ = t.Transaction.Commit(ctx, writes)
		return nil, fmt.Errorf("%w: %w", projection.ErrUnknown, errInjected)
	case 2: // it was not, and nobody hears of that
		return nil, fmt.Errorf("%w: %w", projection.ErrUnknown, errInjected)
	case 3: // it will be, perhaps
		pause := time.Duration(t.f.roll(5000)) * time.Microsecond
		t.f.late.Go(func() {
			<-time.After(pause)
			_, _ = t.Transaction.Commit(context.Background(), writes)
		})
		return nil, fmt.Errorf("%w: %w", projection.ErrUnknown, errInjected)
	case 4: // the process is paused between its handlers and its commit
		<-time.After(time.Duration(t.f.roll(5000)) * time.Microsecond)
	}
	return t.Transaction.Commit(ctx, writes)
}

// totals also writes a document that all partitions share.
func totals() *projection.Projection {
	return balances(&hook{}, func(d *projection.Definition) {
		d.Collections(projection.NewCollection[int]("totals"))
		d.BatchMax(7)
		projection.On(d, accounts, func(ctx context.Context, tx *projection.Tx, _ projection.Event[deposited]) error {
			return projection.Update(ctx, tx, "totals", "deposits", func(n *int) error { *n++; return nil })
		})
	})
}

func countDeposits(events []actor.EventRecord) (n int) {
	for _, e := range events {
		if e.Name != "closed.v1" {
			n++
		}
	}
	return n
}

// Two engines run all partitions at once, on a storage whose commits get lost, come
// late, or are said to be unknown. Both are stopped and started at random, and the
// stream is made anew in between. Say A applies 11 and 12 and pauses before it
// commits, B applies 11 to 15 and commits: A's commit is refused by the checkpoint. Or
// A's commit is on its way when A is stopped, and comes after A's successor has
// applied 11: it is refused by the checkpoint again. So nothing is applied twice, and
// nothing is left out, as the checkpoint never goes beyond what came with it.
func TestEngine_TwoRunnersOfOnePartition(t *testing.T) {
	t.Parallel()
	random := testenv.Rand(t)
	f := setup(t)
	p := totals()
	storage := &faulty{Storage: f.storage, rand: rand.New(rand.NewPCG(random.Uint64(), 1))}
	const rounds, each = 30, 60
	stops := make([]func(), 2)
	for round := range rounds {
		for range each {
			id := fmt.Sprint("a", random.IntN(12))
			if random.IntN(40) == 0 {
				f.stream.Append(accounts.ID(id), accounts, closed{})
			} else {
				f.deposit(id, int64(random.IntN(100)))
			}
		}
		i := random.IntN(2)
		if stops[i] != nil {
			stops[i]()
		}
		_, stops[i] = f.runOn(t, storage, config(), p)
		if round%10 == 9 {
			f.stream.Replace(shuffleSources)
		}
		<-time.After(time.Duration(random.IntN(20)) * time.Millisecond)
	}
	f.settle(t, f.view(p))
	for _, stop := range stops {
		if stop != nil {
			stop()
		}
	}
	storage.late.Wait()
	f.check(t, p)
	n, _, err := projection.Get[int](t.Context(), f.view(p), "totals", "deposits")
	if want := countDeposits(f.stream.All()); err != nil || n != want {
		t.Errorf("%d deposits in all, want %d, %v", n, want, err)
	}
	status, err := f.control(p).Show(t.Context(), "balances")
	if err != nil || status.Parked != 0 {
		t.Errorf("%d events parked, %v", status.Parked, err)
	}
}

// The same with rebuilds, given up ones among them.
func TestEngine_RebuildWithTwoRunners(t *testing.T) {
	t.Parallel()
	random := testenv.Rand(t)
	f := setup(t)
	p := totals()
	c := f.control(p)
	storage := &faulty{Storage: f.storage, rand: rand.New(rand.NewPCG(random.Uint64(), 1))}
	_, _ = f.runOn(t, storage, config(), p)
	_, stop := f.runOn(t, storage, config(), p)
	f.deposit("a0", 1)
	f.settle(t, f.view(p))
	for range 25 {
		for range 60 {
			f.deposit(fmt.Sprint("a", random.IntN(12)), int64(random.IntN(100)))
		}
		switch random.IntN(6) {
		case 0, 1:
			if err := c.Rebuild(t.Context(), "balances"); err != nil && !errors.Is(err, projection.ErrRebuilding) {
				t.Fatal(err)
			}
		case 2:
			if err := c.CancelRebuild(t.Context(), "balances"); err != nil && !errors.Is(err, projection.ErrNotRebuilding) {
				t.Fatal(err)
			}
		case 3:
			stop()
			_, stop = f.runOn(t, storage, config(), p)
		case 4:
			f.stream.Replace(shuffleSources)
		}
		<-time.After(time.Duration(random.IntN(40)) * time.Millisecond)
	}
	f.settle(t, f.view(p))
	eventually(t, "the last rebuild has ended", func() bool {
		s, err := c.Show(t.Context(), "balances")
		return err == nil && s.Rebuild == nil
	})
	f.settle(t, f.view(p))
	f.check(t, p)
	n, _, err := projection.Get[int](t.Context(), f.view(p), "totals", "deposits")
	if want := countDeposits(f.stream.All()); err != nil || n != want {
		t.Errorf("%d deposits in all, want %d, %v", n, want, err)
	}
}
