package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

// order is an aggregate that asks for payments.
type order struct {
	Asked  []string
	Paid   []string
	Failed []actor.EffectFailure
}

type (
	charge struct{ Amount int }
	bill   struct{ Number string }

	askPay struct {
		actor.Replies[string]
		Times int
		By    string // effect; empty: charge
	}
	payAsked struct{ Key string }
	paid     struct {
		actor.Replies[actor.None]
		actor.Performed[bill]
		Note string
	}
	wasPaid struct{ Number string }
	notPaid struct {
		actor.Replies[actor.None]
		actor.GivenUp
	}
	wasNotPaid struct{ Failure actor.EffectFailure }
	silent     struct{ actor.Replies[actor.None] }
)

// effectSetup is a cluster whose aggregates ask for payments.
type effectSetup struct {
	*setup
	store  store.Store
	notes  *notes
	link   *link // of the node launched last
	max    int
	slow   bool // for hours of virtual time
	orders *actor.Aggregate[order]
	charge *actor.Effect[charge, bill]
	other  *actor.Effect[charge, bill]

	mu      sync.Mutex
	calls   []actor.Call
	handler func(ctx context.Context, call actor.Call, c charge) (bill, error)
}

func ordersOf(charges, others *actor.Effect[charge, bill]) *actor.Aggregate[order] {
	return actor.Define("counter", func(d *actor.Definition[order]) {
		d.Effects(charges, others)
		actor.On(d, func(_ *order, ctx *actor.Context, p askPay) (string, error) {
			var keys []string
			by := charges
			if p.By != "" {
				by = others
			}
			for range max(p.Times, 1) {
				key := by.Perform(ctx, charge{Amount: 5}, paid{Note: "kept"}, notPaid{})
				ctx.Raise(payAsked{Key: key})
				keys = append(keys, key)
			}
			return strings.Join(keys, " "), nil
		})
		actor.On(d, func(_ *order, ctx *actor.Context, _ silent) (actor.None, error) {
			charges.Perform(ctx, charge{}, nil, nil)
			return actor.None{}, nil
		})
		actor.On(d, func(_ *order, ctx *actor.Context, p paid) (actor.None, error) {
			if p.Note != "kept" {
				panic("the note is lost")
			}
			ctx.Raise(wasPaid{Number: p.Result.Number})
			return actor.None{}, nil
		})
		actor.On(d, func(_ *order, ctx *actor.Context, p notPaid) (actor.None, error) {
			ctx.Raise(wasNotPaid{Failure: p.Failure})
			return actor.None{}, nil
		})
		actor.Apply(d, func(o *order, e payAsked) { o.Asked = append(o.Asked, e.Key) })
		actor.Apply(d, func(o *order, e wasPaid) { o.Paid = append(o.Paid, e.Number) })
		actor.Apply(d, func(o *order, e wasNotPaid) { o.Failed = append(o.Failed, e.Failure) })
		d.SnapshotEvery(3)
	})
}

// newEffects returns a cluster of one node. A nil handler pays at once.
func newEffects(t *testing.T, policy actor.EffectPolicy, handler func(context.Context, actor.Call, charge) (bill, error)) *effectSetup {
	t.Helper()
	s := &effectSetup{
		store: memory.New(), handler: handler,
		charge: actor.DefineEffect[charge, bill]("charge", policy), other: actor.DefineEffect[charge, bill]("other", policy),
	}
	s.orders = ordersOf(s.charge, s.other)
	s.setup = prepare(t, s.store, func(c *runtime.Config) {
		s.link = &link{notes: s.notes}
		if s.slow {
			c.Lease, c.WatermarkEvery, c.TrimEvery = 20*time.Second, time.Minute, time.Hour
		}
		c.Effects = runtime.EffectsConfig{Timers: s.link, Max: s.max, Performers: []*actor.Performer{s.charge.By(s.perform), s.other.By(s.perform)}}
	}, s.orders)
	s.notes = s.setup.notes(s.store)
	return s
}

func (s *effectSetup) perform(ctx context.Context, call actor.Call, c charge) (bill, error) {
	s.mu.Lock()
	s.calls = append(s.calls, call)
	s.mu.Unlock()
	if s.handler == nil {
		return bill{Number: call.Key}, nil
	}
	return s.handler(ctx, call, c)
}

// called returns the calls so far, with their attempts, in order.
func (s *effectSetup) called() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		all = append(all, fmt.Sprintf("%s/%d", c.Key, c.Attempt))
	}
	return all
}

// pay asks for so many payments, and returns their keys.
func (s *effectSetup) pay(id string, times int, by string) []string {
	s.t.Helper()
	o := s.want(s.ask(s.message(id, "askPay", askPay{Times: times, By: by})), actor.CodeOK)
	return strings.Fields(strings.Trim(string(o.Reply), `"`))
}

// order returns an order's state.
func (s *effectSetup) order(id string) order {
	s.t.Helper()
	i := s.orders.Behavior().New(address(id))
	for _, c := range s.commits(id) {
		for _, e := range c.Events {
			if err := i.Replay(actor.Event(e)); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	return *i.State().(*order)
}

// awaitEnds waits until so many effects of an order are over.
func (s *effectSetup) awaitEnds(id string, n int) order {
	s.t.Helper()
	deadline := time.Now().Add(72 * time.Hour)
	longest := 500 * time.Millisecond
	if s.slow {
		longest = 10 * time.Second
	}
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, longest) {
		if o := s.order(id); len(o.Paid)+len(o.Failed) >= n {
			return o
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%d effects of %s are not over: %+v; calls %v; notes %+v", n, id, s.order(id), s.called(), s.notes.pending(s.t))
		}
		s.pause(pause)
	}
}

func equal[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

var errProvider = errors.New("the provider is down")

func TestEffect_Performs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newEffects(t, actor.EffectPolicy{}, nil)
		s.start("n1")
		began := time.Now()
		keys := s.pay("a", 1, "")
		o := s.awaitEnds("a", 1)
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		equal(t, "paid", o.Paid, keys)
		equal(t, "calls", s.called(), []string{keys[0] + "/1"})
		call := s.calls[0]
		if call.Address != address("a") || call.Effect != "charge" || call.Metadata.Causation == "" || call.Asked.IsZero() ||
			time.Until(call.Deadline) > 30*time.Second {
			t.Errorf("call %+v", call)
		}
		s.pause(2 * time.Minute) // what is left of the note does nothing
		equal(t, "calls", s.called(), []string{keys[0] + "/1"})
		if left := s.notes.pending(t); len(left) > 0 {
			t.Errorf("notes are left: %+v", left)
		}
	})
}

func TestEffect_RetriesWithBackOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var at []time.Time
		s := newEffects(t, actor.EffectPolicy{FirstRetry: time.Second, MaxRetry: 10 * time.Second, Factor: 3, Jitter: -1}, nil)
		s.handler = func(_ context.Context, call actor.Call, _ charge) (bill, error) {
			at = append(at, time.Now())
			if call.Attempt < 5 {
				return bill{}, errProvider
			}
			return bill{Number: "n"}, nil
		}
		s.start("n1")
		keys := s.pay("a", 1, "")
		s.awaitEnds("a", 1)
		k := keys[0]
		equal(t, "calls", s.called(), []string{k + "/1", k + "/2", k + "/3", k + "/4", k + "/5"})
		for i, want := range []time.Duration{time.Second, 3 * time.Second, 9 * time.Second, 10 * time.Second} {
			if got := at[i+1].Sub(at[i]); got < want || got > want+time.Second {
				t.Errorf("pause %d: %v, want %v", i+1, got, want)
			}
		}
	})
}

// TestEffect_RetriesForHours has a provider that is down for hours: the effect leaves
// the memory between attempts, and the node is replaced meanwhile.
func TestEffect_RetriesForHours(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newEffects(t, actor.EffectPolicy{MaxRetry: 30 * time.Minute, GiveUpAfter: 10 * 24 * time.Hour}, nil)
		s.slow = true
		until := time.Now().Add(5 * time.Hour)
		s.handler = func(context.Context, actor.Call, charge) (bill, error) {
			if time.Now().Before(until) {
				return bill{}, errProvider
			}
			return bill{Number: "late"}, nil
		}
		s.start("n1")
		s.pay("a", 1, "")
		s.pause(2 * time.Hour)
		s.restart()
		o := s.awaitEnds("a", 1)
		equal(t, "paid", o.Paid, []string{"late"})
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, c := range s.calls {
			if c.Attempt != i+1 || c.Key != s.calls[0].Key {
				t.Errorf("call %d is attempt %d of %s", i, c.Attempt, c.Key)
			}
		}
		if n := len(s.calls); n < 15 || n > 40 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestEffect_GivenUp(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		policy   actor.EffectPolicy
		err      error
		reason   actor.GiveUpReason
		attempts int
		text     string
	}{
		"after attempts": {actor.EffectPolicy{MaxAttempts: 3}, errProvider, actor.GaveUpAttempts, 3, errProvider.Error()},
		"at once":        {actor.EffectPolicy{}, actor.Final(errors.New("card stolen")), actor.GaveUpFinal, 1, "card stolen"},
		"after a time":   {actor.EffectPolicy{FirstRetry: time.Minute, Jitter: -1, GiveUpAfter: 5 * time.Minute}, errProvider, actor.GaveUpTime, 4, errProvider.Error()},
		"long text":      {actor.EffectPolicy{MaxAttempts: 1}, errors.New(strings.Repeat("ü", 4000) + "\xff"), actor.GaveUpAttempts, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newEffects(t, test.policy, func(context.Context, actor.Call, charge) (bill, error) { return bill{}, test.err })
				s.start("n1")
				keys := s.pay("a", 2, "")
				o := s.awaitEnds("a", 2) // that the first is given up lets the second go
				for i, f := range o.Failed {
					if f.Reason != test.reason || f.Attempts != test.attempts || f.Key != keys[i] || f.Effect != "charge" ||
						test.text != "" && f.Error != test.text || len(f.Error) > actor.MaxEffectErrorBytes {
						t.Errorf("failure %+v", f)
					}
				}
			})
		})
	}
}

func TestEffect_TimesOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newEffects(t, actor.EffectPolicy{Timeout: 5 * time.Second, MaxAttempts: 2}, func(ctx context.Context, _ actor.Call, _ charge) (bill, error) {
			<-ctx.Done()
			return bill{}, ctx.Err()
		})
		s.start("n1")
		began := time.Now()
		s.pay("a", 1, "")
		o := s.awaitEnds("a", 1)
		if took := time.Since(began); took < 10*time.Second || took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
		if len(o.Failed) != 1 || !strings.Contains(o.Failed[0].Error, "timed out after 5s") {
			t.Errorf("failed: %+v", o.Failed)
		}
	})
}

func TestEffect_PanicIsForTheLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newEffects(t, actor.EffectPolicy{MaxAttempts: 1}, func(context.Context, actor.Call, charge) (bill, error) { panic("secret") })
		s.start("n1")
		s.pay("a", 1, "")
		if o := s.awaitEnds("a", 1); o.Failed[0].Error != "the handler panicked" {
			t.Errorf("failure %+v", o.Failed[0])
		}
	})
}

// TestEffect_Order has three effects of one aggregate wait for each other, and one of
// another name and of another aggregate not wait for them.
func TestEffect_Order(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newEffects(t, actor.EffectPolicy{}, nil)
		s.handler = func(_ context.Context, call actor.Call, _ charge) (bill, error) {
			if call.Address == address("a") && call.Effect == "charge" {
				<-time.After(10 * time.Second)
				if call.Attempt == 1 {
					return bill{}, errProvider
				}
			}
			return bill{Number: call.Key}, nil
		}
		s.start("n1")
		keys := s.pay("a", 3, "")
		began := time.Now()
		s.awaitEnds("b", len(s.pay("b", 1, "")))
		other := s.pay("a", 1, "other")
		s.awaitEnds("a", 1)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("others waited for %v", took)
		}
		o := s.awaitEnds("a", 4)
		equal(t, "paid", o.Paid, append(other, keys...))
		var want []string
		for _, k := range keys {
			want = append(want, k+"/1", k+"/2")
		}
		got := slices.DeleteFunc(s.called(), func(c string) bool { return !slices.Contains(want, c) })
		equal(t, "calls", got, want)
	})
}

func TestEffect_Parallel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		s := newEffects(t, actor.EffectPolicy{Parallel: 7}, nil)
		s.handler = func(_ context.Context, call actor.Call, _ charge) (bill, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			<-time.After(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return bill{Number: call.Key}, nil
		}
		s.start("n1")
		for i := range 100 {
			s.pay(fmt.Sprint(i), 1, "")
		}
		for i := range 100 {
			s.awaitEnds(fmt.Sprint(i), 1)
		}
		if most != 7 {
			t.Errorf("%d at once, want 7", most)
		}
		if n := len(s.called()); n != 100 {
			t.Errorf("%d calls for 100 effects", n)
		}
	})
}

// TestEffect_HandOver has a node hand over during an attempt: its context ends, nobody
// waits for it, and the next owner makes the next attempt at once.
func TestEffect_HandOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newEffects(t, actor.EffectPolicy{Timeout: time.Hour}, nil)
		cut := make(chan time.Duration, 1)
		s.handler = func(ctx context.Context, call actor.Call, _ charge) (bill, error) {
			if call.Attempt > 1 {
				return bill{Number: fmt.Sprint(call.Attempt)}, nil
			}
			began := time.Now()
			<-ctx.Done()
			cut <- time.Since(began)
			return bill{}, ctx.Err()
		}
		s.start("n1")
		first := s.node
		keys := s.pay("a", 1, "")
		s.pause(time.Minute)
		s.launch("n2")
		began := time.Now()
		if err := first.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		o := s.awaitEnds("a", 1)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the hand-over and the next attempt took %v", took)
		}
		if ran := <-cut; ran < time.Minute || ran > 62*time.Second {
			t.Errorf("the attempt ran for %v", ran)
		}
		equal(t, "paid", o.Paid, []string{"2"})
		equal(t, "calls", s.called(), []string{keys[0] + "/1", keys[0] + "/2"})
	})
}
