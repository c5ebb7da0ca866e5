package node_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// What is asked for right after the node serves is new to every projection, in the
// first start of a cluster and of a projection; and operators can pause at once.
func TestNode_Projections_NowIsBeforeItServes(t *testing.T) {
	t.Parallel()
	from := purses()
	var effects, after atomic.Int64
	live := projection.Define("effects", func(d *projection.Definition) {
		projection.On(d, from, func(context.Context, *projection.Tx, projection.Event[paidIn]) error {
			effects.Add(1)
			return nil
		}, projection.LiveOnly())
	})
	fromNow := projection.Define("afterwards", func(d *projection.Definition) {
		d.Collections(projection.NewCollection[actor.Version]("seen"))
		d.StartAt(projection.FromNow)
		projection.On(d, from, func(ctx context.Context, tx *projection.Tx, e projection.Event[paidIn]) error {
			after.Add(1)
			return tx.Put("seen", e.Source.ID, e.Version)
		})
	})
	paused := projection.Define("paused", func(d *projection.Definition) {
		d.Collections(projection.NewCollection[actor.Version]("seen"))
		projection.On(d, from, func(ctx context.Context, tx *projection.Tx, e projection.Event[paidIn]) error {
			return tx.Put("seen", e.Source.ID, e.Version)
		})
	})
	n := nodes.Start(t, node.Config{Partitions: 8, Projections: []*projection.Projection{live, fromNow, paused}}, from)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := n.Projections().Pause(ctx, paused.Name()); err != nil {
		t.Errorf("pause right after the start: %v", err)
	}
	const many = 10
	ids := "abcdefghij"
	for i := range many {
		if _, err := actor.Ask(ctx, n.Client(), from.ID(ids[i:i+1]), payIn{Cents: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range many {
		if err := n.View(live).Wait(ctx, projection.Version(from.ID(ids[i:i+1]), 1)); err != nil {
			t.Fatal(err)
		}
		if err := n.View(fromNow).Wait(ctx, projection.Version(from.ID(ids[i:i+1]), 1)); err != nil {
			t.Fatal(err)
		}
	}
	if effects.Load() < many || after.Load() < many {
		t.Errorf("%d effects and %d events from now on, want %d", effects.Load(), after.Load(), many)
	}
	// Nodes take notice of a pause when they look next: from then on nothing is applied.
	done := func() uint64 {
		s, err := n.Projections().Show(ctx, paused.Name())
		if err != nil || !s.Paused {
			t.Fatalf("paused: %+v, %v", s, err)
		}
		return s.Done
	}
	version := actor.Version(1)
	again := func(times int) (before uint64) {
		before = done()
		for range times {
			if _, err := actor.Ask(ctx, n.Client(), from.ID("a"), payIn{Cents: 1}); err != nil {
				t.Fatal(err)
			}
			version++
			if err := n.View(fromNow).Wait(ctx, projection.Version(from.ID("a"), version)); err != nil {
				t.Fatal(err)
			}
		}
		return before
	}
	testharness.Eventually(t, 30*time.Second, func() bool { return again(1) == done() })
	if before := again(many); done() != before {
		t.Errorf("paused, and still %d more events were applied", done()-before)
	}
}
