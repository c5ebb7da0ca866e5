package projection_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
)

// mortals are engines that follow on each other, as processes do. A fatal handler calls
// die, which ends the engine at work as the end of its process would: nothing that it was
// about to do happens any more.
type mortals struct {
	f       *fixture
	epoch   uint64
	deaths  chan struct{}
	release chan struct{} // closed at the end: what is left of the dead may go
	dead    sync.WaitGroup
	stop    func()
}

var errDead = errors.New("dead")

func (f *fixture) mortals() *mortals {
	return &mortals{f: f, epoch: 5, deaths: make(chan struct{}, 1), release: make(chan struct{})}
}

// die is called by handlers.
func (m *mortals) die() error {
	m.deaths <- struct{}{}
	<-m.release
	return errDead
}

// live starts the next engine.
func (m *mortals) live(t *testing.T, storage projection.Storage, orphan bool, projections ...*projection.Projection) {
	t.Helper()
	m.epoch++
	cfg := config()
	cfg.Client = &enqueued{}
	cfg.Claims = m.claims(orphan)
	_, m.stop = m.f.runOn(t, storage, cfg, projections...)
}

// until lets one engine follow on another until a condition holds, and returns how many
// have died by then.
func (m *mortals) until(t *testing.T, holds func() bool, projections ...*projection.Projection) (deaths int) {
	t.Helper()
	if m.stop == nil {
		m.live(t, m.f.storage, false, projections...)
	}
	end := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-m.deaths:
			deaths++
			m.dead.Go(m.stop)
			m.live(t, m.f.storage, true, projections...)
		case <-end:
			t.Fatalf("not within 20 s and %d deaths", deaths)
		case <-time.After(2 * time.Millisecond):
		}
	}
	return deaths
}

// end waits for what is left of the dead.
func (m *mortals) end() {
	close(m.release)
	m.dead.Wait()
}

// enqueued counts commands.
type enqueued struct {
	actor.Client
	n atomic.Int64
}

func (e *enqueued) Enqueue(context.Context, actor.Message) error { e.n.Add(1); return nil }

func (f *fixture) parkedOf(t *testing.T, p *projection.Projection) []projection.Parked {
	t.Helper()
	all, err := f.control(p).ParkedList(t.Context(), p.Name(), 10)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestEngine_EventThatKillsTheProcessIsParked: an event that ends the process of whoever
// handles it ends a few, and then waits for an operator, with those behind it of its
// aggregate. All others are applied, once.
func TestEngine_EventThatKillsTheProcessIsParked(t *testing.T) {
	t.Parallel()
	for _, singleton := range []bool{false, true} {
		for _, fresh := range []bool{false, true} { // whether it dies before there is a checkpoint
			t.Run(fmt.Sprintf("singleton=%v,fresh=%v", singleton, fresh), func(t *testing.T) {
				t.Parallel()
				f := setup(t)
				m := f.mortals()
				defer m.end()
				h, fixed := &hook{}, atomic.Bool{}
				h.set(func(e projection.Event[deposited]) error {
					if e.Data.Amount == 13 && !fixed.Load() {
						return m.die()
					}
					return nil
				})
				p := balances(h, func(d *projection.Definition) {
					if singleton {
						d.Singleton()
					}
				})
				for i := range 20 {
					if !fresh {
						f.deposit(fmt.Sprint("a", i%7), int64(20+i))
					}
				}
				if !fresh {
					m.until(t, func() bool { s, _ := f.control(p).Show(t.Context(), p.Name()); return s.Done == 20 }, p)
				}
				f.deposit("bad", 1, 2, 13, 3)
				for i := range 20 {
					f.deposit(fmt.Sprint("a", i%7), int64(20+i))
				}
				waits := func() bool {
					all := f.parkedOf(t, p)
					return len(all) == 1 && all[0].State == projection.ParkedWaiting
				}
				if deaths := m.until(t, waits, p); deaths < 3 || deaths > 5 {
					t.Errorf("%d deaths", deaths)
				}
				if got := f.parkedOf(t, p)[0]; got.Source.ID != "bad" || got.Version != 3 || !strings.Contains(got.Reason, "2 processes in a row died") {
					t.Errorf("parked: %+v", got)
				}
				f.deposit("bad", 4)
				f.deposit("good", 5)
				f.takenIn(t, p)
				if all := all(t, f.view(p)); all["bad"].Count != 2 || all["good"].Count != 1 {
					t.Errorf("while parked: %+v", all)
				}

				// The operator tries it again, in vain, and then with a handler that is mended.
				judged := f.parkedOf(t, p)[0].Next
				if err := f.control(p).Retry(t.Context(), p.Name(), accounts.ID("bad")); err != nil {
					t.Fatal(err)
				}
				if deaths := m.until(t, func() bool { return waits() && f.parkedOf(t, p)[0].Next.After(judged) }, p); deaths < 2 || deaths > 5 {
					t.Errorf("%d deaths of the retry", deaths)
				}
				fixed.Store(true)
				if err := f.control(p).Retry(t.Context(), p.Name(), accounts.ID("bad")); err != nil {
					t.Fatal(err)
				}
				eventually(t, "nothing is parked", func() bool { return len(f.parkedOf(t, p)) == 0 })
				f.settle(t, f.view(p))
				f.check(t, p)
			})
		}
	}
}

// TestEngine_SeveralEventsThatKillTheProcess: of different aggregates, in several
// partitions and two projections: each is found out, and no other.
func TestEngine_SeveralEventsThatKillTheProcess(t *testing.T) {
	t.Parallel()
	f := setup(t)
	m := f.mortals()
	defer m.end()
	h := &hook{}
	h.set(func(e projection.Event[deposited]) error {
		if e.Data.Amount == 13 {
			return m.die()
		}
		return nil
	})
	p := balances(h)
	router := projection.NewRouter(projection.RouterConfig{
		Name: "router", Wants: map[actor.Kind][]string{"account": nil},
		Route: func(e actor.EventRecord) ([]actor.Message, error) {
			if string(e.Data) == `{"Amount":14}` {
				return nil, m.die()
			}
			return nil, nil
		},
	})
	for i := range 30 {
		f.deposit(fmt.Sprint("a", i%9), int64(20+i))
	}
	for _, id := range []string{"x", "y", "z"} {
		f.deposit(id, 13, 1)
	}
	f.deposit("r", 1, 14, 1)
	done := func() bool {
		for _, each := range []*projection.Projection{p, router} {
			s, err := f.control(p, router).Show(t.Context(), each.Name())
			if err != nil || s.Done < uint64(len(f.stream.All())) {
				return false
			}
		}
		return true
	}
	if deaths := m.until(t, done, p, router); deaths < 8 || deaths > 24 {
		t.Errorf("%d deaths", deaths)
	}
	parked := map[string]bool{}
	for _, each := range append(f.parkedOf(t, p), f.parkedOf(t, router)...) {
		parked[each.Source.ID] = true
	}
	if len(parked) != 4 || !parked["x"] || !parked["y"] || !parked["z"] || !parked["r"] {
		t.Errorf("parked: %v", parked)
	}
}

// TestEngine_OneDeathCostsNothing: who follows on a process that was killed writes what
// any other owner writes.
func TestEngine_OneDeathCostsNothing(t *testing.T) {
	t.Parallel()
	for _, orphan := range []bool{false, true} {
		f := setup(t)
		m := f.mortals()
		p := balances(&hook{}, func(d *projection.Definition) { d.Singleton() })
		f.deposit("a", 1, 2, 3)
		m.live(t, f.storage, false, p)
		f.settle(t, f.view(p))
		m.stop()
		f.deposit("a", 4, 5, 6, 7)
		commits := atomic.Int64{}
		c := &interposed{f.storage, func([]projection.Write) error { commits.Add(1); return nil }}
		m.live(t, c, orphan, p)
		f.settle(t, f.view(p))
		if n := commits.Load(); n > 4 {
			t.Errorf("orphan %v: %d transactions for 4 events", orphan, n)
		}
		m.stop()
		f.check(t, p)
	}
}

// TestEngine_DeathsAfterTheHandlers: processes die again and again while an event is
// committed, as when something else kills them: it is not blamed for few of these, and
// is for many.
func TestEngine_DeathsAfterTheHandlers(t *testing.T) {
	t.Parallel()
	for _, lives := range []int64{6, 100} {
		t.Run(fmt.Sprint(lives), func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			m := f.mortals()
			defer m.end()
			left := atomic.Int64{}
			left.Store(lives)
			f.storage = &interposed{f.storage, func(writes []projection.Write) error {
				for _, w := range writes { // what the handlers of the event wrote is committed
					if w.Key == "bad" && left.Add(-1) >= 0 {
						return m.die()
					}
				}
				return nil
			}}
			p := balances(&hook{}, func(d *projection.Definition) { d.Singleton() })
			f.deposit("a", 1, 2, 3)
			f.deposit("bad", 4)
			f.deposit("b", 5)
			done := func() bool {
				got, err := f.control(p).Show(t.Context(), p.Name())
				return err == nil && got.Done == uint64(len(f.stream.All()))
			}
			deaths := m.until(t, done, p)
			parked := f.parkedOf(t, p)
			switch {
			case lives == 6 && (deaths != 6 || len(parked) != 0):
				t.Errorf("after %d deaths: %+v", deaths, parked)
			case lives == 100 && (deaths < 8 || deaths > 12 || len(parked) != 1 || parked[0].Source.ID != "bad"):
				t.Errorf("after %d deaths: %+v", deaths, parked)
			}
			if lives == 6 {
				f.settle(t, f.view(p))
				f.check(t, p)
			}
		})
	}
}

// cautious starts engines that get nowhere until one is cautious, with an event of each of
// many aggregates before it, and starts that one on a storage.
func (m *mortals) cautious(t *testing.T, storage projection.Storage, p *projection.Projection, change func(*projection.Config)) {
	t.Helper()
	for i := range 24 {
		m.f.deposit(fmt.Sprint("a", i), 1)
	}
	m.live(t, m.f.storage, false, p)
	m.f.settle(t, m.f.view(p))
	m.stop()
	for i := range 24 {
		m.f.deposit(fmt.Sprint("a", i), 2)
	}
	tried := make(chan struct{}, 1000)
	away := &interposed{m.f.storage, func([]projection.Write) error {
		tried <- struct{}{}
		return projection.ErrUnavailable
	}}
	m.live(t, away, true, p) // gets nowhere, and dies
	<-tried
	m.stop()
	m.epoch++
	cfg := config()
	cfg.Claims = m.claims(true)
	change(&cfg)
	_, m.stop = m.f.runOn(t, storage, cfg, p)
}

// claims returns those of the epoch.
func (m *mortals) claims(orphan bool) func() map[actor.Partition]projection.Claim {
	epoch := m.epoch
	return func() map[actor.Partition]projection.Claim {
		all := map[actor.Partition]projection.Claim{}
		for p := range actor.Partition(partitions) {
			all[p] = projection.Claim{Epoch: epoch, Orphan: orphan}
		}
		return all
	}
}

// TestEngine_Cautious_SideBySide: events under whose name nobody has died yet are named and
// handled side by side, one for each partition: two nodes that were killed cost a backlog
// little.
func TestEngine_Cautious_SideBySide(t *testing.T) {
	t.Parallel()
	f := setup(t)
	m := f.mortals()
	h := &hook{}
	p := balances(h)
	var at, most, named atomic.Int64
	both := make(chan struct{})
	meet := sync.OnceFunc(func() { close(both) })
	storage := &interposed{f.storage, func([]projection.Write) error { named.Add(1); return nil }}
	m.cautious(t, storage, p, func(*projection.Config) {
		h.set(func(projection.Event[deposited]) error {
			if now := at.Add(1); now > 1 {
				most.Store(now)
				meet()
			}
			defer at.Add(-1)
			select {
			case <-both:
			case <-time.After(5 * time.Second):
			}
			return nil
		})
	})
	defer m.stop()
	f.settle(t, f.view(p))
	if most.Load() < 2 {
		t.Error("one after the other")
	}
	if n := named.Load(); n < 48 {
		t.Errorf("%d transactions for 24 events that are to be named first", n)
	}
	f.check(t, p)
}

// TestEngine_Cautious_OwnerThatLived: an owner that was cut off has not died. Once its process
// is seen, nothing is named any more, and what two such owners have named is not parked.
func TestEngine_Cautious_OwnerThatLived(t *testing.T) {
	t.Parallel()
	f := setup(t)
	m := f.mortals()
	p := balances(&hook{})
	var commits atomic.Int64
	storage := &interposed{f.storage, func([]projection.Write) error { commits.Add(1); return nil }}
	m.cautious(t, storage, p, func(c *projection.Config) {
		orphan, lives := c.Claims, m.claims(false)
		var asked atomic.Int64
		c.Claims = func() map[actor.Partition]projection.Claim {
			if asked.Add(1) == 1 {
				return orphan()
			}
			return lives()
		}
	})
	defer m.stop()
	f.settle(t, f.view(p))
	if n := commits.Load(); n > 24 {
		t.Errorf("%d transactions for 24 events of %d partitions", n, partitions)
	}
	f.check(t, p)
}

// TestEngine_Cautious_NamedByOwnersThatLived: an event that is named by one owner after the
// other, each of which was cut off before it could handle it.
func TestEngine_Cautious_NamedByOwnersThatLived(t *testing.T) {
	t.Parallel()
	for _, lived := range []bool{true, false} {
		t.Run(fmt.Sprint(lived), func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			m := f.mortals()
			defer m.end()
			h := &hook{}
			p := balances(h, func(d *projection.Definition) { d.Singleton() })
			f.deposit("a", 1)
			m.live(t, f.storage, false, p)
			f.settle(t, f.view(p))
			m.stop()
			f.deposit("a", 2)
			named := make(chan string, 100)
			var last atomic.Bool
			h.set(func(projection.Event[deposited]) error {
				if !last.Load() {
					return m.die()
				}
				return nil
			})
			m.epoch += 2
			for i := range 6 {
				cfg := config()
				claims := m.claims(true)
				by := projection.Death{Node: "n", Session: fmt.Sprint("P-", i)}
				cfg.Claims = func() map[actor.Partition]projection.Claim {
					all := claims()
					for p, c := range all {
						c.By = by
						all[p] = c
					}
					return all
				}
				cfg.Acquit = func(_ context.Context, _ actor.Partition, deaths []projection.Death, condemns int) ([]projection.Death, error) {
					for _, d := range deaths {
						named <- d.Session
					}
					if condemns != 2 {
						t.Errorf("two condemn, not %d", condemns)
					}
					if !lived {
						return nil, nil
					}
					return deaths, nil
				}
				last.Store(i == 5)
				_, m.stop = f.runOn(t, f.storage, cfg, p)
				if i == 5 {
					break
				}
				select {
				case <-m.deaths:
				case <-time.After(2 * time.Second):
				}
				m.dead.Go(m.stop)
				m.epoch++
			}
			eventually(t, "the event is done with", func() bool {
				got, err := f.control(p).Show(t.Context(), p.Name())
				return err == nil && got.Done == 2
			})
			if parked := len(f.parkedOf(t, p)); lived == (parked > 0) {
				t.Errorf("lived %v: %d parked", lived, parked)
			}
			if len(named) == 0 || !strings.HasPrefix(<-named, "P-") {
				t.Error("nobody was asked about")
			}
		})
	}
}
