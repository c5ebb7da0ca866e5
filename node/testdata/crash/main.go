// Command crash is a node of mines, some of whose commands end its process.
package main

import (
	"log"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
)

type mine struct{ Dug int }

// Dig is a command that does no harm.
type Dig struct{ actor.Replies[int] }

// Blast is a command that ends the process.
type Blast struct {
	actor.Replies[int]
	How string `json:"how"` // exit, goroutine or recursion
}

type dug struct{}

func (m *mine) dig(ctx *actor.Context, _ Dig) (int, error) {
	ctx.Raise(dug{})
	return m.Dug, nil
}

func (m *mine) blast(_ *actor.Context, c Blast) (int, error) {
	switch c.How {
	case "exit":
		log.Fatal("a library ends the process") //nolint:revive // that is what it is for
	case "goroutine":
		done := make(chan struct{})
		go func() { defer close(done); panic("in a goroutine of a library") }()
		<-done
	case "recursion":
		return deeper(1), nil
	}
	return 0, nil
}

func deeper(n int) int { return deeper(n+1) + deeper(n+2) }

func main() {
	node.Main(actor.Define("mine", func(d *actor.Definition[mine]) {
		actor.On(d, (*mine).dig)
		actor.On(d, (*mine).blast)
		actor.Apply(d, func(m *mine, _ dug) { m.Dug++ })
	}))
}
