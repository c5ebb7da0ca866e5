package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/views"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/memory"
)

// rebuiltWithin is for all views, from nothing.
const rebuiltWithin = 3 * time.Minute

// documents are the collections of each view.
func documents() map[*projection.Projection][]string {
	return map[*projection.Projection][]string{
		views.Portfolios: {"portfolios"}, views.Transactions: {"transactions", "ofPortfolio"}, views.Companies: {"companies"},
		views.OrderBooks: {"books", "orders", "places", "trades"}, views.Users: {"users"},
	}
}

// checkViews compares every document of every view with what an undisturbed engine makes
// of all events in memory: an event that a view had missed, had twice or out of order
// would show.
func (c *atRest) checkViews(bus *natsbus.Bus, kept projection.Storage) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), rebuiltWithin)
	defer cancel()
	rebuilt := memory.New()
	e, err := projection.New(projection.Config{}, rebuilt, bus, bus.Partitions(), views.All()...)
	if err != nil {
		c.t.Fatal(err)
	}
	var running sync.WaitGroup
	building, stop := context.WithCancel(ctx)
	defer running.Wait()
	defer stop()
	running.Go(func() { _ = e.Run(building) }) // its failure is a view that is late
	ends := c.ends(ctx, bus)
	for p, collections := range documents() {
		before := c.t.Failed()
		for name, s := range map[string]projection.Storage{"kept": kept, "rebuilt": rebuilt} {
			for _, u := range ends[p] {
				if err := projection.NewView(s, p).Wait(ctx, u); err != nil {
					c.t.Fatalf("%s view %s is late: %v", name, p.Name(), err)
				}
			}
		}
		n := 0
		for _, collection := range collections {
			want := c.read(ctx, rebuilt, p, collection)
			n += len(want)
			if diff := cmp.Diff(want, c.read(ctx, kept, p, collection)); diff != "" {
				c.t.Errorf("view %s, documents %s (-rebuilt +kept):\n%.4000s", p.Name(), collection, diff)
			}
		}
		if n == 0 {
			c.t.Errorf("view %s has no documents", p.Name())
		}
		if !before && !c.t.Failed() {
			c.t.Logf("view %s: %d documents are what the events make of nothing", p.Name(), n)
		}
	}
}

// ends are the last events of each view, by partition.
func (c *atRest) ends(ctx context.Context, bus *natsbus.Bus) map[*projection.Projection][]projection.Until {
	c.t.Helper()
	_, head, err := bus.EventsHead(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	last := map[*projection.Projection]map[actor.Partition]uint64{}
	for _, p := range views.All() {
		last[p] = map[actor.Partition]uint64{}
	}
	for e, err := range bus.Events(ctx, actor.EventFilter{}, 0) {
		if err != nil {
			c.t.Fatal(err)
		}
		for _, p := range views.All() {
			if slices.Contains(p.Kinds(), e.Source.Kind) {
				last[p][e.Partition] = e.Position
			}
		}
		if e.Position >= head {
			break
		}
	}
	ends := map[*projection.Projection][]projection.Until{}
	for p, positions := range last {
		for partition, position := range positions {
			ends[p] = append(ends[p], projection.Position(partition, position))
		}
	}
	return ends
}

// read returns all documents of a collection, by key.
func (c *atRest) read(ctx context.Context, s projection.Storage, p *projection.Projection, collection string) map[string]any {
	c.t.Helper()
	all := map[string]any{}
	for e, err := range projection.List[any](ctx, projection.NewView(s, p), collection, projection.Range{}) {
		if err != nil {
			c.t.Fatal(err)
		}
		all[e.Key] = e.Value
	}
	return all
}
