package projection_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/memory"
	"github.com/ganglion-go/ganglion/projection/projectiontest"
)

// What is committed after the projection was registered is new to it, whenever a
// partition is first run.
func TestEngine_Register_FixesNow(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]projection.Start{"from now": projection.FromNow, "live only": projection.FromBeginning} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fixture{stream: projectiontest.NewStream(partitions), storage: memory.New()}
			var effects atomic.Int64
			p := projection.Define("effects", func(d *projection.Definition) {
				d.StartAt(start)
				projection.On(d, accounts, func(_ context.Context, _ *projection.Tx, e projection.Event[deposited]) error {
					effects.Add(e.Data.Amount)
					return nil
				}, projection.LiveOnly())
			})
			f.deposit("a", 1, 1)
			cfg := config()
			var owned atomic.Pointer[[]actor.Partition]
			owned.Store(&[]actor.Partition{})
			cfg.Serving = func() []actor.Partition { return *owned.Load() }
			e, err := projection.New(cfg, f.storage, f.stream, partitions, p)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := e.Register(t.Context()); err != nil {
					t.Fatal(err)
				}
				for i := range 10 { // asked for before any partition has run
					f.deposit(fmt.Sprint("b", i), 100)
				}
			}
			f.runEngine(t, e)
			owned.Store(&[]actor.Partition{0, 1, 2, 3})
			eventually(t, "every effect is done", func() bool { return effects.Load() >= 2000 })
			f.deposit("a", 10_000)
			eventually(t, "the last effect is done", func() bool { return effects.Load() >= 12_000 })
			if n := effects.Load(); n != 12_000 {
				t.Errorf("effects of %d, want 12000", n)
			}
		})
	}
}

// A node that has no partition yet registers as well, with the first run.
func TestEngine_Run_RegistersBeforeItOwnsAnything(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := balances(&hook{}, func(d *projection.Definition) { d.StartAt(projection.FromNow) })
	cfg := config()
	var owned atomic.Pointer[[]actor.Partition]
	owned.Store(&[]actor.Partition{})
	cfg.Serving = func() []actor.Partition { return *owned.Load() }
	f.deposit("a", 1)
	f.run(t, cfg, p)
	c := f.control(p)
	eventually(t, "it is registered", func() bool {
		s, err := c.Show(t.Context(), p.Name())
		return err == nil && s.Started
	})
	f.deposit("a", 20)
	owned.Store(&[]actor.Partition{0, 1, 2, 3})
	f.settle(t, f.view(p))
	if diff := cmp.Diff(map[string]balance{"a": {20, 1, 2}}, all(t, f.view(p))); diff != "" {
		t.Errorf("view (-want +got):\n%s", diff)
	}
}

// What operators ask of a projection holds also before it has ever run.
func TestControl_BeforeTheFirstRun(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := balances(&hook{})
	c := f.control(p)
	if all, err := c.ParkedList(t.Context(), p.Name(), 10); err != nil || len(all) != 0 {
		t.Errorf("parked: %v, %v", all, err)
	}
	if err := c.Pause(t.Context(), p.Name()); err != nil {
		t.Fatalf("pause: %v", err)
	}
	f.deposit("a", 1, 2)
	e, _ := f.run(t, config(), p)
	eventually(t, "the engine has looked", func() bool {
		s, err := c.Show(t.Context(), p.Name())
		return err == nil && s.Paused
	})
	if n := len(e.Load()); n != 0 {
		t.Errorf("%d projections run", n)
	}
	if got := all(t, f.view(p)); len(got) != 0 {
		t.Errorf("applied while paused: %v", got)
	}
	if err := c.Resume(t.Context(), p.Name()); err != nil {
		t.Fatal(err)
	}
	f.settle(t, f.view(p))
	f.check(t, p)
}

func TestControl_RebuildBeforeTheFirstRun(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := balances(&hook{})
	c := f.control(p)
	if err := c.Rebuild(t.Context(), p.Name()); err != nil {
		t.Fatal(err)
	}
	f.deposit("a", 1, 2)
	f.run(t, config(), p)
	f.settle(t, f.view(p))
	eventually(t, "the rebuild is done", func() bool {
		s, err := c.Show(t.Context(), p.Name())
		return err == nil && s.Rebuild == nil && s.Generation == 2
	})
	f.settle(t, f.view(p))
	f.check(t, p)
}

// logged keeps what was logged.
type logged struct {
	slog.Handler
	lines atomic.Pointer[[]string]
}

func newLogged() *logged {
	l := &logged{Handler: slog.DiscardHandler}
	l.lines.Store(&[]string{})
	return l
}

func (l *logged) Enabled(context.Context, slog.Level) bool { return true }

func (l *logged) Handle(_ context.Context, r slog.Record) error { //nolint:gocritic // slog's signature
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	for {
		was := l.lines.Load()
		now := append((*was)[:len(*was):len(*was)], line)
		if l.lines.CompareAndSwap(was, &now) {
			return nil
		}
	}
}

func (l *logged) has(parts ...string) bool {
	for _, line := range *l.lines.Load() {
		found := true
		for _, part := range parts {
			found = found && strings.Contains(line, part)
		}
		if found {
			return true
		}
	}
	return false
}

// An event that waits for an operator is no secret: not to who waits for the view, not
// in the log, not in what is measured.
func TestParking_IsSeen(t *testing.T) {
	t.Parallel()
	f := setup(t)
	h := &hook{}
	var fixed atomic.Bool
	h.set(func(e projection.Event[deposited]) error {
		if e.Data.Amount == 13 && !fixed.Load() {
			panic("thirteen")
		}
		return nil
	})
	p := balances(h)
	c := f.control(p)
	log := newLogged()
	var parked, stuck, told atomic.Int64
	cfg := config()
	cfg.Logger = slog.New(log)
	cfg.Listener.Parked = func(string, string, string) { told.Add(1) }
	cfg.Listener.Waiting = func(_ string, all, operator int) { parked.Store(int64(all)); stuck.Store(int64(operator)) }
	f.deposit("bad", 1, 13, 2)
	f.deposit("good", 5)
	f.run(t, cfg, p)
	bad := accounts.ID("bad")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := f.view(p).Wait(ctx, projection.Version(bad, 1)); err != nil {
		t.Errorf("the version before it: %v", err)
	}
	last := f.stream.All()[len(f.stream.All())-1]
	if err := f.view(p).Wait(ctx, projection.Position(last.Partition, last.Position)); err != nil && actor.Partitions(partitions).Of(bad) != last.Partition {
		t.Errorf("another partition: %v", err)
	}
	for _, u := range []projection.Until{projection.Version(bad, 2), projection.Version(bad, 3), f.position(bad, 3)} {
		f.waitParked(ctx, t, p, u, 2)
	}
	eventually(t, "it is in the log", func() bool {
		return log.has("WARN", "event failed", "balances", "account/bad", "version=2", "thirteen") && log.has("ERROR", "wait for an operator", "account/bad")
	})
	eventually(t, "it is measured", func() bool { return parked.Load() == 1 && stuck.Load() == 1 })
	if n := told.Load(); n != 1 {
		t.Errorf("the listener was called %d times", n)
	}
	fixed.Store(true)
	if err := c.Retry(t.Context(), p.Name(), bad); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the view shows it", func() bool { return f.view(p).Wait(t.Context(), projection.Version(bad, 3)) == nil })
	f.check(t, p)
	eventually(t, "nothing is parked", func() bool { return parked.Load() == 0 && stuck.Load() == 0 && log.has("INFO", "account/bad") })
}

// position is that of a version of a source.
func (f *fixture) position(source actor.Address, version actor.Version) projection.Until {
	for _, e := range f.stream.All() {
		if e.Source == source && e.Version == version {
			return projection.Position(e.Partition, e.Position)
		}
	}
	panic("no such event")
}

// waitParked waits for a view that lacks an event.
func (f *fixture) waitParked(ctx context.Context, t *testing.T, p *projection.Projection, u projection.Until, version actor.Version) {
	t.Helper()
	err := f.view(p).Wait(ctx, u)
	e, ok := errors.AsType[*projection.ParkedError](err)
	if !ok || !errors.Is(err, projection.ErrParked) || e.Parked.Version != version || e.Parked.State != projection.ParkedWaiting {
		t.Errorf("wait: %v", err)
	}
}

// Who waits for an event that is tried again gets both reasons when the time is up.
func TestView_WaitForAnEventThatIsTriedAgain(t *testing.T) {
	t.Parallel()
	f := setup(t)
	h := &hook{}
	h.set(func(projection.Event[deposited]) error { return errors.New("not yet") })
	p := balances(h)
	cfg := config()
	cfg.Attempts, cfg.BackoffMax = 1_000_000, time.Hour
	f.deposit("a", 1)
	f.run(t, cfg, p)
	f.takenIn(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := f.view(p).Wait(ctx, projection.Version(accounts.ID("a"), 1))
	if !errors.Is(err, projection.ErrParked) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
