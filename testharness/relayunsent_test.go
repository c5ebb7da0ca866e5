package testharness_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
	"github.com/ganglion-go/ganglion/testharness"
)

// refusing is an outbox that cannot send to some targets, without a final answer: it
// fails at once, or does not return.
type refusing struct {
	runtime.Outbox
	mu     sync.Mutex
	bad    map[string]bool
	hangs  bool
	nobody bool // takes nothing
}

var errNotNow = errors.New("injected: no answer that is final")

// full is what a stream says that takes nothing from anybody.
type full struct{ error }

func (full) OfStream() bool { return true }

func (r *refusing) refuses(ctx context.Context, to actor.Address) error {
	r.mu.Lock()
	bad, hangs, nobody := r.bad[to.String()], r.hangs, r.nobody
	r.mu.Unlock()
	switch {
	case nobody:
		<-ctx.Done()
		return full{errors.Join(context.Cause(ctx), errNotNow)}
	case bad && hangs:
		<-ctx.Done()
		return context.Cause(ctx)
	case bad:
		return errNotNow
	}
	return nil
}

func (r *refusing) Send(ctx context.Context, m actor.Message) error {
	if err := r.refuses(ctx, m.Target); err != nil {
		return err
	}
	return r.Outbox.Send(ctx, m)
}

func (r *refusing) SetTimer(ctx context.Context, m actor.Message, timer string, order int64) error {
	if err := r.refuses(ctx, m.Target); err != nil {
		return err
	}
	return r.Outbox.SetTimer(ctx, m, timer, order)
}

func (r *refusing) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *relayed) parked(t *testing.T, target store.Aggregate) (ids []string) {
	t.Helper()
	for p, err := range r.store.ListParked(t.Context(), target) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, p.CommandID)
	}
	return ids
}

func note(id, to string) store.Outgoing {
	return store.Outgoing{ID: id, To: store.Aggregate(to), Name: "Note", Data: []byte("{}")}
}

// TestRelay_OneTargetCannotBeSentTo: what cannot be sent is parked alone, what the same
// target is sent later waits behind it, also over an end of the relay, and the relay goes on with
// all others. It is released in order.
func TestRelay_OneTargetCannotBeSentTo(t *testing.T) {
	t.Parallel()
	for _, hangs := range []bool{false, true} {
		t.Run(fmt.Sprintf("hangs=%t", hangs), func(t *testing.T) {
			t.Parallel()
			r := newRelayed(t, memory.New())
			got := &collector{}
			got.serveAll(t, r.bus)
			out := &refusing{Outbox: r.bus, bad: map[string]bool{"account/bad": true}, hangs: hangs}
			cfg := runtime.RelayConfig{SendTimeout: 300 * time.Millisecond, ResendEvery: 100 * time.Millisecond}
			stop := r.start(out, cfg)
			r.append(r.next("account/a", 1, note("bad 1", "account/bad"), note("good 1", "account/good")))
			r.append(r.next("account/b", 1, note("bad 2", "account/bad"), note("good 2", "account/good"),
				store.Outgoing{ID: "ring", To: "account/bad", Name: "Ring", Timer: "t", At: time.Now().UnixMicro(), Data: []byte("{}")}))
			r.check()
			testharness.Eventually(t, relayPatience, func() bool { return len(got.firsts()) == 2 })
			stop()
			stop = r.start(out, cfg) // by another relay, which knows nothing but the records
			r.append(r.next("account/b", 1, note("bad 3", "account/bad"), note("good 3", "account/good")))
			r.check()
			if ids := r.parked(t, "account/bad"); fmt.Sprint(ids) != "[bad 1 bad 2 ring bad 3]" {
				t.Errorf("parked %q", ids)
			}
			out.set(func() { out.bad = nil })
			testharness.Eventually(t, relayPatience, func() bool { return len(got.firsts()) == 7 && len(r.parked(t, "")) == 0 })
			r.append(r.next("account/b", 1, note("bad 4", "account/bad")))
			testharness.Eventually(t, relayPatience, func() bool { return len(got.firsts()) == 8 })
			of := map[string][]actor.CommandID{}
			for _, id := range got.firsts() {
				if id != "ring" { // goes the way of timers
					of[string(id[:3])] = append(of[string(id[:3])], id)
				}
			}
			if fmt.Sprint(of["bad"]) != "[bad 1 bad 2 bad 3 bad 4]" || fmt.Sprint(of["goo"]) != "[good 1 good 2 good 3]" {
				t.Errorf("came in the order %v", got.firsts())
			}
			stop()
		})
	}
}

// TestRelay_NobodyCanBeSentTo: while the stream takes nothing from anybody, nothing is
// parked; the relay stands, and says so.
func TestRelay_NobodyCanBeSentTo(t *testing.T) {
	t.Parallel()
	r := newRelayed(t, memory.New())
	out := &refusing{Outbox: r.bus, nobody: true}
	lines := &levels{}
	relay := runtime.NewRelay(runtime.RelayConfig{
		SendTimeout: 100 * time.Millisecond, StandsAfter: 600 * time.Millisecond, Logger: slog.New(lines),
	}, r.store, out)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { relay.Run(ctx) })
	defer running.Wait()
	defer cancel()
	r.append(r.next("account/a", 1, note("one", "account/b")))
	testharness.Eventually(t, relayPatience, func() bool { return relay.Status().Standing })
	if s := relay.Status(); s.Behind == 0 || len(r.parked(t, "")) > 0 || lines.errors() == 0 {
		t.Errorf("%+v, parked %q, %d error lines", s, r.parked(t, ""), lines.errors())
	}
	out.set(func() { out.nobody = false })
	r.check()
	testharness.Eventually(t, relayPatience, func() bool { s := relay.Status(); return s == runtime.RelayStatus{} })
}

// TestRelay_NoRoomToPark: at the bound the relay stands still, says so, and drops nothing.
func TestRelay_NoRoomToPark(t *testing.T) {
	t.Parallel()
	r := newRelayed(t, memory.New())
	if err := r.store.Park(t.Context(), store.Parked{Aggregate: "account/x", CommandID: "other", Time: time.Now()}); err != nil {
		t.Fatal(err)
	}
	lines := &levels{}
	relay := runtime.NewRelay(runtime.RelayConfig{ParkedMax: 1, Logger: slog.New(lines)}, r.store, r.bus)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { relay.Run(ctx) })
	defer running.Wait()
	defer cancel()
	huge := fmt.Appendf(nil, `{"fill":"%02000000d"}`, 1)
	r.append(r.next("account/a", 1, store.Outgoing{ID: "huge", To: "account/b", Name: "Note", Data: huge}))
	testharness.Eventually(t, relayPatience, func() bool { return relay.Status().AwaitingRoom })
	if ids := r.parked(t, ""); fmt.Sprint(ids) != "[other]" || lines.errors() == 0 {
		t.Errorf("parked %q, %d error lines", ids, lines.errors())
	}
	if err := r.store.Unpark(t.Context(), "account/x", "other"); err != nil {
		t.Fatal(err)
	}
	r.check()
	if ids := r.parked(t, ""); fmt.Sprint(ids) != "[huge]" {
		t.Errorf("parked %q", ids)
	}
}

// TestRelay_BehindWhileStuck: a batch that is under way counts, also while the next one
// comes, and after an interruption.
func TestRelay_BehindWhileStuck(t *testing.T) {
	t.Parallel()
	r := newRelayed(t, memory.New())
	out := &refusing{Outbox: r.bus}
	relay := runtime.NewRelay(runtime.RelayConfig{SendTimeout: 20 * time.Millisecond}, r.store, out)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { relay.Run(ctx) })
	defer running.Wait()
	defer cancel()
	for i := range 20 {
		r.write(3)
		r.settle()
		testharness.Eventually(t, relayPatience, func() bool { return relay.Status().Behind == 0 }) // and done with
		out.set(func() { out.nobody = true })
		// To another aggregate each time: a send that is given up when it had too little of its
		// time left has its target set aside, and what is sent there later is not stuck.
		r.append(r.next("account/s", 1, note(fmt.Sprint(r.commands), fmt.Sprint("account/b", i))))
		testharness.Eventually(t, relayPatience, func() bool { return relay.Status().Behind > 0 })
		r.write(3)
		for deadline := time.Now().Add(20 * time.Millisecond); time.Now().Before(deadline); <-time.After(time.Millisecond) {
			if relay.Status().Behind == 0 {
				t.Fatal("nothing is behind, though a batch is stuck")
			}
		}
		out.set(func() { out.nobody = false })
	}
	testharness.Eventually(t, relayPatience, func() bool { return relay.Status().Behind == 0 })
}

// levels counts the lines of a log.
type levels struct {
	mu  sync.Mutex
	all []slog.Level
}

func (l *levels) Enabled(context.Context, slog.Level) bool { return true }

func (l *levels) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r.Level)
	return nil
}

func (l *levels) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *levels) WithGroup(string) slog.Handler      { return l }

func (l *levels) errors() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(l.all), func(v slog.Level) bool { return v < slog.LevelError }))
}
