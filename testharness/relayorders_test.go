package testharness_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// held is an outbox whose first append waits, and brings out only so many events if
// the relay is to die of it.
type held struct {
	runtime.Outbox
	part           int // 0: all
	reached, until chan struct{}
	done           chan struct{}
	once           sync.Once
}

func (h *held) AppendEvents(ctx context.Context, stream string, after uint64, events []actor.EventRecord, marks []string) error {
	first := false
	h.once.Do(func() { first = true })
	switch {
	case !first && h.part > 0: // it is dead
		<-ctx.Done()
		return context.Cause(ctx)
	case !first:
		return h.Outbox.AppendEvents(ctx, stream, after, events, marks)
	}
	close(h.reached)
	<-h.until
	defer close(h.done)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), relayPatience)
	defer cancel()
	if h.part == 0 {
		return h.Outbox.AppendEvents(ctx, stream, after, events, marks)
	}
	return errors.Join(h.Outbox.AppendEvents(ctx, stream, after, events[:h.part], marks[:h.part]), context.Canceled)
}

// TestRelay_TwoOrders: two relays begin while MongoDB's commits are scanned, and a
// commit came between their starts: what one of them has first is elsewhere for the
// other one. The one that knows less gets a batch out and dies, and the other one, which
// knows the empty stream, appends more than a batch.
func TestRelay_TwoOrders(t *testing.T) {
	t.Parallel()
	r := newRelayed(t, stores(t)["mongo"](t))
	const more = 1500 // events of a commit, which are appended at once: more than a batch
	for i := range 3 {
		r.append(r.next(store.Aggregate(fmt.Sprintf("account/m-%d", i)), more))
	}
	start := func(part int) (*held, func()) {
		h := &held{Outbox: r.bus, part: part, reached: make(chan struct{}), until: make(chan struct{}), done: make(chan struct{})}
		stop := r.start(h, runtime.RelayConfig{})
		await(t, h.reached)
		return h, stop
	}
	dies, stop := start(1000)
	r.append(r.next("account/a-first", more))
	other, _ := start(0)

	close(dies.until)
	await(t, dies.done)
	stop()
	close(other.until)
	await(t, other.done)

	r.check()
}

func await(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(relayPatience):
		t.Fatal("it does not come")
	}
}
