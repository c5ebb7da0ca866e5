package main

import (
	"context"
	"errors"
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

// collection is one of a view's, and how it is read: all documents by key.
type collection struct {
	name string
	read func(context.Context, *projection.View) (map[string]any, error)
}

func documentsOf[T any](name string) collection {
	return collection{name, func(ctx context.Context, v *projection.View) (map[string]any, error) {
		all := map[string]any{}
		for e, err := range projection.List[T](ctx, v, name, projection.Range{}) {
			if err != nil {
				return nil, err
			}
			all[e.Key] = e.Value
		}
		return all, nil
	}}
}

// documents are all collections of all views.
func documents() map[*projection.Projection][]collection {
	return map[*projection.Projection][]collection{
		views.Portfolios:   {documentsOf[views.Portfolio]("portfolios")},
		views.Transactions: {documentsOf[views.Transaction]("transactions"), documentsOf[views.Transaction]("ofPortfolio")},
		views.Companies:    {documentsOf[views.Company]("companies")},
		views.OrderBooks: {
			documentsOf[views.Book]("books"), documentsOf[views.Order]("orders"), documentsOf[views.Trade]("trades"),
			documentsOf[struct{ Key string }]("places"),
		},
		views.Users: {documentsOf[views.User]("users")},
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
		live, again := projection.NewView(kept, p), projection.NewView(rebuilt, p)
		for _, u := range ends[p] {
			if err := errors.Join(again.Wait(ctx, u), live.Wait(ctx, u)); err != nil {
				c.t.Fatalf("view %s is late: %v", p.Name(), err)
			}
		}
		n := 0
		for _, d := range collections {
			want, err := d.read(ctx, again)
			if err != nil {
				c.t.Fatal(err)
			}
			got, err := d.read(ctx, live)
			if err != nil {
				c.t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, toMillisecond()); diff != "" {
				c.t.Errorf("view %s, documents %s (-rebuilt +kept):\n%.4000s", p.Name(), d.name, diff)
			}
			n += len(want)
		}
		if n == 0 {
			c.t.Errorf("view %s has no documents", p.Name())
		}
		c.t.Logf("view %s: %d documents compared with those of a rebuild", p.Name(), n)
	}
}

// toMillisecond is as exact as dates in MongoDB are.
func toMillisecond() cmp.Option {
	return cmp.Comparer(func(a, b time.Time) bool { return a.Truncate(time.Millisecond).Equal(b.Truncate(time.Millisecond)) })
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
