package runtime_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
	"github.com/ganglion-go/ganglion/store/storetest"
)

// Transfers between purses: a saga takes from one, which may refuse, and gives to the
// other. Nothing in it is idempotent: that each step happens once is up to the node.

type (
	purse struct{ Cents int64 }
	take  struct {
		actor.Replies[actor.None]
		Transfer string
		Cents    int64
	}
	give struct {
		actor.Replies[actor.None]
		Transfer string
		Cents    int64
	}
	taken struct {
		Transfer string
		Cents    int64
	}
	given struct {
		Transfer string
		Cents    int64
	}

	transfer struct{ Done, Failed int }
	request  struct {
		actor.Replies[actor.None]
		From, To string
		Cents    int64
	}
	finish struct {
		actor.Replies[actor.None]
		Failed bool
	}
	requested struct {
		From, To string
		Cents    int64
	}
	finished struct{ Failed bool }

	mover struct {
		To     string
		Cents  int64
		Nagged int
	}
	began struct {
		To    string
		Cents int64
	}
	notTaken struct {
		actor.Replies[actor.None]
		actor.Refused
	}
	nag    struct{ actor.Replies[actor.None] }
	nagged struct{}
)

var errPoor = actor.Reject("poor", "not so much debt")

const mostDebt = 100

func transfers() []actor.Registrable {
	none := actor.None{}
	purses := actor.Define("purse", func(d *actor.Definition[purse]) {
		actor.On(d, func(p *purse, ctx *actor.Context, c take) (actor.None, error) {
			if p.Cents-c.Cents < -mostDebt {
				return none, errPoor
			}
			ctx.Raise(taken{Transfer: c.Transfer, Cents: c.Cents})
			return none, nil
		})
		actor.On(d, func(p *purse, ctx *actor.Context, c give) (actor.None, error) {
			ctx.Raise(given{Transfer: c.Transfer, Cents: c.Cents})
			return none, nil
		})
		actor.Apply(d, func(p *purse, e taken) { p.Cents -= e.Cents })
		actor.Apply(d, func(p *purse, e given) { p.Cents += e.Cents })
		d.SnapshotEvery(7)
	})
	orders := actor.Define("transfer", func(d *actor.Definition[transfer]) {
		actor.On(d, func(_ *transfer, ctx *actor.Context, c request) (actor.None, error) {
			ctx.Raise(requested{From: c.From, To: c.To, Cents: c.Cents})
			return none, nil
		}, actor.NewOnly())
		actor.On(d, func(_ *transfer, ctx *actor.Context, c finish) (actor.None, error) {
			ctx.Raise(finished{Failed: c.Failed})
			return none, nil
		}, actor.ExistingOnly())
		actor.Apply(d, func(*transfer, requested) {})
		actor.Apply(d, func(t *transfer, e finished) {
			if e.Failed {
				t.Failed++
			} else {
				t.Done++
			}
		})
	})
	movers := actor.DefineSaga("mover", func(d *actor.SagaDefinition[mover]) {
		transferOf := func(a actor.Address) actor.Address { return actor.Address{Kind: "transfer", ID: a.ID} }
		actor.StartsOn(d, orders, func(_ *mover, ctx *actor.Context, e requested) {
			ctx.Raise(began{To: e.To, Cents: e.Cents})
			ctx.Send(actor.Address{Kind: "purse", ID: e.From}, take{Transfer: ctx.Address().ID, Cents: e.Cents}, actor.OnRefusal(notTaken{}))
			ctx.After(200*time.Millisecond, nag{})
		}, func(_ requested, r actor.EventRecord) string { return r.Source.ID })
		actor.Reacts(d, purses, func(m *mover, ctx *actor.Context, e taken) { // sends, and raises nothing
			ctx.Send(actor.Address{Kind: "purse", ID: m.To}, give{Transfer: e.Transfer, Cents: e.Cents})
			ctx.After(300*time.Millisecond, nag{})
		}, func(e taken, _ actor.EventRecord) string { return e.Transfer })
		actor.Reacts(d, purses, func(_ *mover, ctx *actor.Context, e given) {
			ctx.Send(transferOf(ctx.Address()), finish{})
			ctx.End()
		}, func(e given, _ actor.EventRecord) string { return e.Transfer })
		actor.On(d, func(_ *mover, ctx *actor.Context, c notTaken) (actor.None, error) {
			ctx.Send(transferOf(ctx.Address()), finish{Failed: true})
			ctx.End()
			return none, nil
		})
		actor.On(d, func(m *mover, ctx *actor.Context, _ nag) (actor.None, error) {
			if m.Nagged >= 3 {
				return none, errMute
			}
			ctx.Raise(nagged{})
			ctx.After(100*time.Millisecond, nag{})
			return none, nil
		})
		actor.Apply(d, func(m *mover, e began) { m.To, m.Cents = e.To, e.Cents })
		actor.Apply(d, func(m *mover, _ nagged) { m.Nagged++ })
		actor.SagaDeadline(d, time.Second)
		d.SnapshotEvery(3)
	})
	return []actor.Registrable{purses, orders, movers}
}

// TestNode_Sagas_Faults runs transfers while writes fail before and after they took
// effect, or take effect late, nodes are cut off, restarted and drained, and the
// courier sends everything again and fires what was cancelled. At the end every saga
// has ended, every transfer was made or refused, once, and no money came or went.
//
// It prints its seed, and takes it back from GANGLION_SEED. GANGLION_SOAK, a
// duration, makes it go on with more seeds for so long.
func TestNode_Sagas_Faults(t *testing.T) {
	t.Parallel()
	seed, fixed := seedOf(t)
	soak, err := time.ParseDuration("0" + os.Getenv("GANGLION_SOAK"))
	if err != nil {
		t.Fatalf("GANGLION_SOAK: %v", err)
	}
	start := time.Now()
	for round := 0; round < 3 || time.Since(start) < soak; round++ {
		synctest.Test(t, func(t *testing.T) { testSagas(t, seed) })
		if t.Failed() || fixed {
			return
		}
		seed++
	}
}

const (
	sagaPurses    = 5
	sagaTransfers = 150
)

func testSagas(t *testing.T, seed uint64) {
	t.Helper()
	t.Logf("GANGLION_SEED=%d", seed)
	inner := memory.New()
	tr := &trial{t: t, seed: seed, keepStream: true}
	ring := []int{2, 10, 4096}[tr.rand(0).IntN(3)]
	tr.s = prepare(t, inner, func(c *runtime.Config) {
		c.RingMax, c.WriteTimeout, c.DrainTimeout = ring, 2*lease, 2*lease
		c.MaxActivations, c.PassivateAfter, c.TimerPatience = 40, lease, lease
	}, transfers()...)
	for i, name := range []string{"n1", "n2"} {
		f := storetest.NewFaulty(t.Context(), inner, seed+uint64(i))
		t.Cleanup(f.Close)
		n := &trialNode{name: name, store: f}
		tr.nodes = append(tr.nodes, n)
		tr.launch(n)
	}
	tr.s.deliver(inner, upTo(tr.rand(1), 100*time.Millisecond), tr.rand(2))

	var parts sync.WaitGroup
	end := time.Now().Add(8 * time.Second)
	for i, n := range tr.nodes {
		parts.Go(func() { tr.sabotage(tr.rand(uint64(10+i)), n, end) })
	}
	parts.Go(func() { requestTransfers(tr.s, tr.rand(3)) })
	parts.Wait()
	for _, n := range tr.nodes {
		n.store.Heal()
	}
	h := &sagaHistory{t: t, store: inner}
	tr.s.eventually("all transfers are finished", h.finished)
	for _, n := range tr.nodes {
		if err := n.store.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tr.s.pause(5 * time.Second) // what would come late or twice has come
	h.check()
	if tr.nodes[0].store.Injected()+tr.nodes[1].store.Injected() == 0 {
		t.Error("no fault")
	}
	for _, n := range tr.nodes {
		if err := n.node.Shutdown(t.Context()); err != nil {
			t.Errorf("shutdown of %s: %v", n.name, err)
		}
	}
}

func requestTransfers(s *setup, rnd *rand.Rand) {
	for i := range sagaTransfers {
		m := s.message("", "request", request{
			From: fmt.Sprint(rnd.IntN(sagaPurses)), To: fmt.Sprint(rnd.IntN(sagaPurses)), Cents: 1 + rnd.Int64N(60),
		})
		m.Target = actor.Address{Kind: "transfer", ID: fmt.Sprint(i)}
		for range 1 + rnd.IntN(2) { // a caller that was unsure
			s.bus.publish(m, nil)
		}
		s.pause(upTo(rnd, 80*time.Millisecond))
	}
}

// sagaHistory is what the store has of it all.
type sagaHistory struct {
	t     *testing.T
	store store.Commits
}

func (h *sagaHistory) load(kind string, id int) []store.Commit {
	h.t.Helper()
	var all []store.Commit
	for c, err := range h.store.Load(h.t.Context(), store.Aggregate(fmt.Sprintf("%s/%d", kind, id)), 0) {
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

func countEvents(commits []store.Commit, name string) int {
	n := 0
	for _, c := range commits {
		for _, e := range c.Events {
			if e.Name == name {
				n++
			}
		}
	}
	return n
}

func (h *sagaHistory) finished() bool {
	for i := range sagaTransfers {
		if countEvents(h.load("transfer", i), "finished.v1") == 0 {
			return false
		}
	}
	return true
}

func (h *sagaHistory) check() {
	h.t.Helper()
	var all []store.Commit
	var sum int64
	for i := range sagaPurses {
		commits := h.load("purse", i)
		all = append(all, commits...)
		sum += purseOf(h.t, commits)
	}
	if sum != 0 {
		h.t.Errorf("%d cents have come from nowhere", sum)
	}
	failed, overdue := countEvents(all, actor.EventRefused), 0
	for i := range sagaTransfers {
		order, saga := h.load("transfer", i), h.load("mover", i)
		if countEvents(order, "requested.v1") != 1 || countEvents(order, "finished.v1") != 1 {
			h.t.Errorf("transfer %d: %+v", i, order)
		}
		if countEvents(saga, "began.v1") != 1 || countEvents(saga, actor.EventEnded) != 1 {
			h.t.Errorf("saga %d: %+v", i, saga)
		}
		last := saga[len(saga)-1]
		if last.Events[len(last.Events)-1].Name != actor.EventEnded {
			h.t.Errorf("saga %d goes on after its end: %+v", i, last)
		}
		overdue += countEvents(saga, actor.EventOverdue)
		all = append(append(all, order...), saga...)
	}
	if took, gave := countEvents(all, "taken.v1"), countEvents(all, "given.v1"); took != gave || took+failed != sagaTransfers || failed == 0 {
		h.t.Errorf("%d taken, %d given, %d refused, of %d", took, gave, failed, sagaTransfers)
	}
	checkOut(h.t, all)
	h.t.Logf("%d refused, %d nags, %d overdue", failed, countEvents(all, "nagged.v1"), overdue)
}

// purseOf replays a purse.
func purseOf(t *testing.T, commits []store.Commit) int64 {
	t.Helper()
	i := transfers()[0].Behavior().New(actor.Address{Kind: "purse", ID: "x"})
	for _, c := range commits {
		for _, e := range c.Events {
			if err := i.Replay(actor.Event(e)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return i.State().(*purse).Cents
}
