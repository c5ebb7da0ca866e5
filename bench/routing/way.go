package main

import (
	"context"

	"github.com/ganglion-go/ganglion/examples/trader/unrouted"
)

// way is one way to serve the aggregates.
type way struct {
	Name   string // in flags and JSON
	Title  string // for people
	Routed bool
	query  string // that each command carries
	cached bool   // reads may be stale, and are counted
	start  func(ctx context.Context, e *environment, f *flags, servers int) (*fleet, error)
}

// ways are all of them, in the order of the tables.
func ways() []way {
	return []way{
		{Name: "plain", Title: "no routing", start: startWeb(func(*unrouted.Config) {})},
		{Name: "cache", Title: "no routing, cache", cached: true, start: startWeb(func(c *unrouted.Config) { c.Cache = true })},
		{Name: "turns", Title: "no routing, cache and turns", cached: true, start: startWeb(func(c *unrouted.Config) { c.Cache, c.TakeTurns = true, true })},
		{Name: "durable", Title: "Ganglion, durable lane", Routed: true, query: "?lane=durable", start: startNodes},
		{Name: "direct", Title: "Ganglion, direct lane", Routed: true, query: "?lane=direct", start: startNodes},
	}
}

// scenario is one cell of the tables.
type scenario struct {
	way        way
	servers    int
	aggregates int
}

// scenarios are those that the flags ask for.
func scenarios(f *flags) []scenario {
	var all []scenario
	for _, aggregates := range f.Aggregates {
		for _, servers := range f.Servers {
			for _, w := range ways() {
				for _, name := range f.Ways {
					if name == w.Name {
						all = append(all, scenario{way: w, servers: servers, aggregates: aggregates})
					}
				}
			}
		}
	}
	return all
}
