package projection_test

import (
	"context"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/projection"
)

func hub(t *testing.T, f *fixture, p *projection.Projection) *projection.Hub {
	t.Helper()
	h := projection.NewHub(f.view(p))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return h
}

func subscribe(t *testing.T, h *projection.Hub, i projection.Interest) <-chan projection.Notice {
	t.Helper()
	notices, stop, err := h.Subscribe(i)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return notices
}

func next(t *testing.T, notices <-chan projection.Notice) projection.Notice {
	t.Helper()
	select {
	case n := <-notices:
		return n
	case <-time.After(20 * time.Second):
		t.Fatal("no notice within 20 s")
		return projection.Notice{}
	}
}

func TestHub_TellsOfDocumentsAndEvents(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := balances(&hook{})
	f.deposit("a", 1)
	f.run(t, config(), p)
	f.settle(t, f.view(p))
	h := hub(t, f, p)
	documents := subscribe(t, h, projection.Interest{Collection: "accounts", Prefix: "b"})
	events := subscribe(t, h, projection.Interest{Applied: true})
	for _, notices := range []<-chan projection.Notice{documents, events} {
		if n := next(t, notices); !n.Reset {
			t.Errorf("the first notice is %+v, want a Reset", n)
		}
	}
	f.deposit("a", 2)
	f.deposit("b", 3)
	if n := next(t, documents); n.Key != "b" || n.Collection != "accounts" {
		t.Errorf("got %+v", n)
	}
	seen := map[string]bool{}
	for range 2 {
		seen[next(t, events).Source.ID] = true
	}
	if !seen["a"] || !seen["b"] {
		t.Errorf("events of %v", seen)
	}
	rebuild(t, f, p)
	if n := next(t, documents); !n.Reset {
		t.Errorf("after a rebuild: %+v, want a Reset", n)
	}
	f.deposit("b", 4)
	if n := next(t, documents); n.Key != "b" {
		t.Errorf("got %+v", n)
	}
}

// A subscriber that does not read is told so, and holds nobody up.
func TestHub_SlowSubscriberIsTold(t *testing.T) {
	t.Parallel()
	f := setup(t)
	p := balances(&hook{}, func(d *projection.Definition) { d.BatchMax(1) })
	f.run(t, config(), p)
	h := hub(t, f, p)
	slow := subscribe(t, h, projection.Interest{Buffer: 2})
	quick := subscribe(t, h, projection.Interest{Buffer: 1000})
	next(t, slow)
	next(t, quick)
	const many = 50
	for range many {
		f.deposit("a", 1)
	}
	for range many {
		if n := next(t, quick); n.Reset || n.Key != "a" {
			t.Fatalf("got %+v", n)
		}
	}
	resets := 0
	for len(slow) > 0 {
		if (<-slow).Reset {
			resets++
		}
	}
	if resets != 1 {
		t.Errorf("%d resets for a slow subscriber, want 1", resets)
	}
}
