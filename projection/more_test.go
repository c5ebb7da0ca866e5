package projection_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
)

func contains(err error, part string) bool { return err != nil && strings.Contains(err.Error(), part) }

// remark is an event with a text of any size.
type remark struct{ Text string }

type board struct{}

func (*board) remark(remark) {}

var boards = actor.Define("board", func(d *actor.Definition[board]) { actor.Apply(d, (*board).remark) })

// An event that is too large to be kept with what is parked is read from the stream
// when it is tried again.
func TestParking_LargeEvents(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var fixed atomic.Bool
	p := projection.Define("boards", func(d *projection.Definition) {
		d.Collections(projection.NewCollection[int]("sizes"))
		projection.On(d, boards, func(_ context.Context, tx *projection.Tx, e projection.Event[remark]) error {
			if !fixed.Load() {
				return errors.New("not yet")
			}
			return tx.Put("sizes", fmt.Sprint(e.Version), len(e.Data.Text))
		})
	})
	text := strings.Repeat("x", 300<<10)
	f.stream.Append(boards.ID("a"), boards, remark{text}, remark{"y"})
	f.run(t, config(), p)
	f.takenIn(t, p)
	c := f.control(p)
	eventually(t, "it waits", func() bool {
		all, err := c.ParkedList(t.Context(), "boards", 1)
		return err == nil && len(all) == 1 && all[0].State == projection.ParkedWaiting
	})
	if _, events, err := c.ParkedShow(t.Context(), "boards", boards.ID("a"), 10); err != nil || len(events) != 2 || len(events[0].Data) != 0 {
		t.Errorf("events that wait: %d, %v", len(events), err)
	}
	fixed.Store(true)
	if err := c.Retry(t.Context(), "boards", boards.ID("a")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are applied", func() bool {
		n, _, err := projection.Get[int](t.Context(), f.view(p), "sizes", "1")
		m, _, err2 := projection.Get[int](t.Context(), f.view(p), "sizes", "2")
		return err == nil && err2 == nil && n == len(text) && m == 1
	})
}

// When no more can be parked, the partition stands still, nothing is lost, and it goes
// on once there is room.
func TestParking_FullStopsThePartition(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var fixed atomic.Bool
	h := &hook{}
	h.set(func(e projection.Event[deposited]) error {
		if e.Source.ID == "bad" && !fixed.Load() {
			return errors.New("not yet")
		}
		return nil
	})
	p := balances(h)
	cfg := config()
	cfg.ParkedMax = 3
	var full atomic.Bool
	cfg.Listener.Failed = func(_ string, err error) {
		if errors.Is(err, projection.ErrParkingFull) {
			full.Store(true)
		}
	}
	f.deposit("bad", 1, 2, 3, 4, 5)
	f.run(t, cfg, p)
	eventually(t, "parking is full", full.Load)
	c := f.control(p)
	if s, err := c.Show(t.Context(), "balances"); err != nil || s.Parked != 3 {
		t.Errorf("%d parked, %v", s.Parked, err)
	}
	fixed.Store(true)
	eventually(t, "the view is complete", func() bool {
		_ = c.Retry(t.Context(), "balances", accounts.ID("bad"))
		return cmp.Equal(fold(f.stream.All()), all(t, f.view(p)))
	})
}

// An event that nobody knows waits, tried for ever, until a build knows it.
func TestParking_UnknownEventIsTriedForEver(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := balances(&hook{})
	f.stream.AppendStored(accounts.ID("a"), "renamed.v9", []byte(`{}`))
	f.deposit("a", 1)
	_, stop := f.run(t, config(), p)
	f.takenIn(t, p)
	c := f.control(p)
	eventually(t, "it was tried often", func() bool {
		all, err := c.ParkedList(t.Context(), "balances", 1)
		return err == nil && len(all) == 1 && all[0].Attempts > 6 && all[0].State == projection.ParkedRetrying
	})
	stop()
	newer := actor.Define("account", func(d *actor.Definition[account]) {
		actor.Apply(d, (*account).deposited, actor.From("renamed.v9", func(struct{}) deposited { return deposited{100} }))
	})
	upgraded := projection.Define("balances", func(d *projection.Definition) {
		d.Collections(projection.NewCollection[balance]("accounts"))
		projection.On(d, newer, func(ctx context.Context, tx *projection.Tx, e projection.Event[deposited]) error {
			return projection.Update(ctx, tx, "accounts", e.Source.ID, func(b *balance) error {
				*b = balance{b.Sum + e.Data.Amount, b.Count + 1, uint64(e.Version)}
				return nil
			})
		})
	})
	f.run(t, config(), upgraded)
	eventually(t, "the view is complete", func() bool {
		return cmp.Equal(map[string]balance{"a": {101, 2, 2}}, all(t, f.view(upgraded)))
	})
}

// Two engines share the partitions and exchange them; each runs its own alone.
func TestEngine_HandOver(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := balances(&hook{})
	owned := [2]atomic.Pointer[[]actor.Partition]{}
	give := func(a, b []actor.Partition) { owned[0].Store(&a); owned[1].Store(&b) }
	give([]actor.Partition{0, 1, 2, 3}, nil)
	engines := make([]*projection.Engine, 2)
	var conflicts atomic.Int64
	for i := range engines {
		cfg := config()
		cfg.Serving = func() []actor.Partition { return *owned[i].Load() }
		cfg.Listener.Failed = func(_ string, err error) {
			if errors.Is(err, projection.ErrConflict) {
				conflicts.Add(1)
			}
		}
		engines[i], _ = f.run(t, cfg, p)
	}
	for round, c := range [][2][]actor.Partition{{{0, 1}, {2, 3}}, {{3}, {0, 1, 2}}, {nil, {0, 1, 2, 3}}, {{0, 1, 2, 3}, nil}} {
		for i := range 100 {
			f.deposit(fmt.Sprint("a", i%9), int64(i+round))
		}
		f.settle(t, f.view(p))
		give(c[0], c[1])
		for i := range engines {
			engines[i].Poke()
			eventually(t, "it runs what it owns", func() bool { return engines[i].Load()["balances"].Partitions == len(c[i]) })
		}
	}
	f.deposit("a1", 1)
	f.settle(t, f.view(p))
	f.check(t, p)
}

// A partition without events saves where the reader is, so that a restart does not
// read everything again.
func TestEngine_QuietPartitionsAreNotReadAgain(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := balances(&hook{})
	f.deposit("a", 1)
	for range 3000 {
		f.deposit("busy", 1)
	}
	_, stop := f.run(t, config(), p)
	f.settle(t, f.view(p))
	stop()
	position := f.stream.All()[2999].Position
	for _, partition := range []actor.Partition{0, 1, 2, 3} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := f.view(p).Wait(ctx, projection.Position(partition, position)); err != nil {
			t.Errorf("partition %d: %v", partition, err)
		}
		cancel()
	}
}

// The same while it runs, for whoever takes over from a runner that dies, also where
// all events are of kinds that the projection does not follow.
func TestEngine_PlacesAreSavedWhileItRuns(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := balances(&hook{})
	f.deposit("a", 1)
	f.run(t, config(), p)
	f.settle(t, f.view(p))
	for n := range 100 {
		f.stream.AppendStored(actor.Address{Kind: "other", ID: strconv.Itoa(n % 3)}, "remarked.v1", []byte(`{}`))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for partition := range actor.Partition(partitions) {
		if err := f.view(p).Wait(ctx, projection.Position(partition, 101-config().SaveEvery)); err != nil {
			t.Errorf("partition %d: %v", partition, err)
		}
	}
}

func TestEngine_LagGoesToZero(t *testing.T) {
	t.Parallel()
	f := setup(t)
	h := &hook{}
	var held atomic.Bool
	held.Store(true)
	release := make(chan struct{})
	h.set(func(projection.Event[deposited]) error {
		if held.Load() {
			<-release
		}
		return nil
	})
	p := balances(h)
	e, _ := f.run(t, config(), p)
	eventually(t, "it runs", func() bool { return len(e.Load()) == 1 })
	f.deposit("a", 1, 2, 3)
	eventually(t, "it lags", func() bool { return e.Load()["balances"].Lag == 3 })
	held.Store(false)
	close(release)
	eventually(t, "it does not lag", func() bool { return e.Load()["balances"].Lag == 0 })
}

func TestDefine_RefusesContradictions(t *testing.T) {
	t.Parallel()
	other := actor.Define("account", func(d *actor.Definition[account]) { actor.Apply(d, (*account).deposited) })
	on := func(d *projection.Definition, from actor.Registrable) {
		projection.On(d, from, func(context.Context, *projection.Tx, projection.Event[deposited]) error { return nil })
	}
	for what, define := range map[string]func(){
		"invalid name":     func() { projection.Define("a b", func(d *projection.Definition) { on(d, accounts) }) },
		"handles no event": func() { projection.Define("a", func(*projection.Definition) {}) },
		"two definitions":  func() { projection.Define("a", func(d *projection.Definition) { on(d, accounts); on(d, other) }) },
		"applies no":       func() { projection.Define("a", func(d *projection.Definition) { on(d, boards) }) },
		"BatchMax":         func() { projection.Define("a", func(d *projection.Definition) { d.BatchMax(0) }) },
		"needs Route":      func() { projection.NewRouter(projection.RouterConfig{Name: "a"}) },
	} {
		func() {
			defer func() {
				if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), what) {
					t.Errorf("%s: %v", what, v)
				}
			}()
			define()
		}()
	}
}

func TestTx_Names(t *testing.T) {
	t.Parallel()
	f := setup(t)
	failures := make(chan error, 16)
	p := projection.Define("names", func(d *projection.Definition) {
		d.Collections(projection.NewCollection[int]("a"))
		projection.On(d, accounts, func(ctx context.Context, tx *projection.Tx, _ projection.Event[deposited]) error {
			for _, n := range [][2]string{{"_applied", "a"}, {"", "a"}, {"a.b", "a"}, {"a", ""}, {"a", strings.Repeat("x", projection.MaxKeyBytes+1)}, {"a", "\xff"}} {
				_, _, err := projection.Get[int](ctx, tx, n[0], n[1])
				failures <- errors.Join(err, tx.Put(n[0], n[1], 1), tx.Delete(n[0], n[1]))
			}
			return nil
		})
	})
	f.deposit("a", 1)
	f.run(t, config(), p)
	f.settle(t, f.view(p))
	close(failures)
	n := 0
	for err := range failures {
		n++
		if joined, ok := err.(interface{ Unwrap() []error }); !ok || len(joined.Unwrap()) != 3 || !errors.Is(err, projection.ErrName) {
			t.Errorf("%d: %v", n, err)
		}
	}
	if n != 6 {
		t.Errorf("%d names were refused, want 6", n)
	}
}

// lossy are documents with what JSON does not bring back.
type (
	lossy struct {
		Sum    int64 `json:"sum"`
		hidden int64
	}
	shaped struct{ Shape fmt.Stringer }
)

// A document of a type that does not survive is refused when it is put, by type and field.
func TestTx_Put_RefusesTypes(t *testing.T) {
	t.Parallel()
	f := setup(t)
	refused := make(chan error, 100)
	p := projection.Define("lossy", func(d *projection.Definition) {
		d.Collections(projection.NewCollection[any]("a"))
		projection.On(d, accounts, func(ctx context.Context, tx *projection.Tx, e projection.Event[deposited]) error {
			refused <- errors.Join(
				projection.Update(ctx, tx, "a", "1", func(v *lossy) error { v.hidden++; return nil }),
				tx.Put("a", "2", &shaped{}), tx.Put("a", "3", []lossy{{}}), tx.Put("a", "4", map[string]any{"x": 1}))
			return nil
		})
	})
	f.deposit("a", 1)
	f.run(t, config(), p)
	f.settle(t, f.view(p))
	err := <-refused
	if _, ok := errors.AsType[*actor.TypeError](err); !ok {
		t.Fatalf("put: %v", err)
	}
	for _, want := range []string{`put a "1": `, "field of projection_test.lossy is unexported", `put a "2": `, "fmt.Stringer is an interface", `put a "3": `} {
		if !contains(err, want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	if contains(err, `put a "4"`) {
		t.Errorf("a map of anything: %v", err)
	}
}
