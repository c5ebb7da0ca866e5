package projection_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/memory"
	"github.com/ganglion-go/ganglion/projection/projectiontest"
)

// account is the aggregate of these tests.
type account struct{ Balance int64 }

type (
	deposited   struct{ Amount int64 }
	depositedV0 struct{ Cents string }
	closed      struct{}
)

func (deposited) WireName() string { return "deposited.v1" }

func (a *account) deposited(e deposited) { a.Balance += e.Amount }
func (a *account) closed(closed)         { a.Balance = 0 }

var accounts = actor.Define("account", func(d *actor.Definition[account]) {
	actor.Apply(d, (*account).deposited, actor.From("deposited.v0", func(old depositedV0) deposited {
		var e deposited
		_, _ = fmt.Sscan(old.Cents, &e.Amount)
		return e
	}))
	actor.Apply(d, (*account).closed)
})

// balance is a document of the view "balances".
type balance struct {
	Sum     int64
	Count   int
	Version uint64
}

// hook lets a test make handlers fail.
type hook struct {
	fail atomic.Pointer[func(projection.Event[deposited]) error]
}

func (h *hook) set(f func(projection.Event[deposited]) error) { h.fail.Store(&f) }

func (h *hook) call(e projection.Event[deposited]) error {
	if f := h.fail.Load(); f != nil {
		return (*f)(e)
	}
	return nil
}

var errOutOfOrder = errors.New("out of order")

// balances counts deposits of each account, and refuses what comes out of order or
// twice. Documents are written before it fails, so that what is left of that shows.
func balances(h *hook, more ...func(*projection.Definition)) *projection.Projection {
	return projection.Define("balances", func(d *projection.Definition) {
		d.Collections(projection.NewCollection[balance]("accounts"))
		projection.On(d, accounts, func(ctx context.Context, tx *projection.Tx, e projection.Event[deposited]) error {
			err := projection.Update(ctx, tx, "accounts", e.Source.ID, func(b *balance) error {
				if uint64(e.Version) <= b.Version {
					return fmt.Errorf("%s: %d after %d: %w", e.Source, e.Version, b.Version, errOutOfOrder)
				}
				b.Sum += e.Data.Amount
				b.Count++
				b.Version = uint64(e.Version)
				return nil
			})
			return errors.Join(err, h.call(e))
		})
		projection.On(d, accounts, func(_ context.Context, tx *projection.Tx, e projection.Event[closed]) error {
			return tx.Delete("accounts", e.Source.ID)
		})
		for _, f := range more {
			f(d)
		}
	})
}

// fold is what balances makes of a list of events.
func fold(events []actor.EventRecord) map[string]balance {
	all := map[string]balance{}
	for _, e := range events {
		decoded, err := accounts.Behavior().Decode(actor.Event{Name: e.Name, Data: e.Data})
		if err != nil {
			panic(err)
		}
		switch d := decoded.(type) {
		case deposited:
			b := all[e.Source.ID]
			all[e.Source.ID] = balance{b.Sum + d.Amount, b.Count + 1, uint64(e.Version)}
		case closed:
			delete(all, e.Source.ID)
		}
	}
	return all
}

const partitions = 4

// fixture is a stream, a storage and the engines on them.
type fixture struct {
	stream  *projectiontest.Stream
	storage projection.Storage
}

func setup(t *testing.T) *fixture {
	t.Helper()
	return &fixture{stream: projectiontest.NewStream(partitions), storage: memory.New()}
}

func (f *fixture) deposit(id string, amounts ...int64) {
	for _, a := range amounts {
		f.stream.Append(accounts.ID(id), accounts, deposited{a})
	}
}

// config is that of a quick engine.
func config() projection.Config {
	return projection.Config{Tick: 20 * time.Millisecond, Backoff: time.Millisecond, BackoffMax: 20 * time.Millisecond, Attempts: 3, Keep: 50 * time.Millisecond, SaveEvery: 8}
}

// run starts an engine and returns what stops it, which happens at the test's end at
// the latest.
func (f *fixture) run(t *testing.T, cfg projection.Config, projections ...*projection.Projection) (*projection.Engine, func()) {
	t.Helper()
	return f.runOn(t, f.storage, cfg, projections...)
}

func (f *fixture) runOn(t *testing.T, storage projection.Storage, cfg projection.Config, projections ...*projection.Projection) (*projection.Engine, func()) {
	t.Helper()
	e, err := projection.New(cfg, storage, f.stream, partitions, projections...)
	if err != nil {
		t.Fatal(err)
	}
	return e, f.runEngine(t, e)
}

func (f *fixture) runEngine(t *testing.T, e *projection.Engine) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

func (f *fixture) view(p *projection.Projection) *projection.View {
	return projection.NewView(f.storage, p)
}

func (f *fixture) control(projections ...*projection.Projection) *projection.Control {
	return projection.NewControl(f.storage, f.stream, projections...)
}

// all reads the whole view.
func all(t *testing.T, v *projection.View) map[string]balance {
	t.Helper()
	found := map[string]balance{}
	for e, err := range projection.List[balance](t.Context(), v, "accounts", projection.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		found[e.Key] = e.Value
	}
	return found
}

// check compares a view that has settled with all events.
func (f *fixture) check(t *testing.T, p *projection.Projection) {
	t.Helper()
	if diff := cmp.Diff(fold(f.stream.All()), all(t, f.view(p))); diff != "" {
		t.Errorf("view (-want +got):\n%s", diff)
	}
}

// settle waits until the view shows everything that is in the stream.
func (f *fixture) settle(t *testing.T, v *projection.View) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	last := map[actor.Address]actor.Version{}
	for _, e := range f.stream.All() {
		last[e.Source] = e.Version
	}
	for source, version := range last {
		if err := v.Wait(ctx, projection.Version(source, version)); err != nil {
			t.Fatalf("%s at %d: %v", source, version, err)
		}
	}
}

// takenIn waits until the projection has applied or parked everything that is in the
// stream.
func (f *fixture) takenIn(t *testing.T, p *projection.Projection) {
	t.Helper()
	c := f.control(p)
	eventually(t, "every event is applied or parked", func() bool {
		s, err := c.Show(t.Context(), p.Name())
		return err == nil && s.Done >= uint64(len(f.stream.All()))
	})
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within 20 s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}
