// Command crash is a node of mines, some of whose commands end its process, as some of
// their events do in a projection or a policy.
package main

import (
	"context"
	"log"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/projection"
)

type mine struct{ Dug int }

// Dig is a command that does no harm by itself.
type Dig struct {
	actor.Replies[int]
	View   string `json:"view"`   // how its event ends the process in the projection
	Policy string `json:"policy"` // and in the policy
}

// Blast is a command that ends the process.
type Blast struct {
	actor.Replies[int]
	How string `json:"how"` // exit, goroutine or recursion
}

type dug struct {
	View   string `json:"view"`
	Policy string `json:"policy"`
}

func (m *mine) dig(ctx *actor.Context, c Dig) (int, error) {
	ctx.Raise(dug{View: c.View, Policy: c.Policy})
	return m.Dug, nil
}

func (m *mine) blast(_ *actor.Context, c Blast) (int, error) { return end(c.How), nil }

func end(how string) int {
	switch how {
	case "exit":
		log.Fatal("a library ends the process") //nolint:revive // that is what it is for
	case "goroutine":
		done := make(chan struct{})
		go func() { defer close(done); panic("in a goroutine of a library") }()
		<-done
	case "recursion":
		return deeper(1)
	}
	return 0
}

func deeper(n int) int { return deeper(n+1) + deeper(n+2) }

// Note is a command of what the policy keeps of events.
type Note struct{ actor.Replies[int] }

type noted struct{}

type notes struct{ N int }

func main() {
	mines := actor.Define("mine", func(d *actor.Definition[mine]) {
		actor.On(d, (*mine).dig)
		actor.On(d, (*mine).blast)
		actor.Apply(d, func(m *mine, _ dug) { m.Dug++ })
	})
	noteds := actor.Define("notes", func(d *actor.Definition[notes]) {
		actor.On(d, func(_ *notes, ctx *actor.Context, _ Note) (int, error) { ctx.Raise(noted{}); return 0, nil })
		actor.Apply(d, func(n *notes, _ noted) { n.N++ })
	})
	noting := actor.DefinePolicy("noting", func(d *actor.PolicyDefinition) {
		actor.When(d, mines, func(p *actor.PolicyContext, e dug) {
			end(e.Policy)
			p.Send(noteds.ID(p.Event().Source.ID), Note{})
		})
	})
	seen := projection.Define("seen", func(d *projection.Definition) {
		d.Collections(projection.NewCollection[int]("mines"))
		projection.On(d, mines, func(_ context.Context, tx *projection.Tx, e projection.Event[dug]) error {
			return tx.Put("mines", e.Source.ID, end(e.Data.View))
		})
	})
	node.MainWith(node.Config{Projections: []*projection.Projection{seen}}, mines, noteds, noting)
}
