// Command new is the build that a rolling upgrade ends with: it stores another form
// of the old one's event, and has a kind that the old one does not know.
package main

import (
	"os"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
)

type account struct {
	Balance int64 `json:"balance"`
}

// Deposit is a command.
type Deposit struct {
	actor.Replies[int64]
	Amount int64 `json:"amount"`
}

type deposited struct {
	Amount int64  `json:"amount"`
	Source string `json:"source"`
}

// WireName implements actor.Named.
func (deposited) WireName() string { return "deposited.v2" }

type depositedV1 struct {
	Amount int64 `json:"amount"`
}

func (a *account) deposit(ctx *actor.Context, c Deposit) (int64, error) {
	ctx.Raise(deposited{Amount: c.Amount, Source: "cash"})
	return a.Balance, nil
}

type note struct {
	Balance int64 `json:"balance"`
}

type written struct {
	Amount int64 `json:"amount"`
}

func (n *note) deposit(ctx *actor.Context, c Deposit) (int64, error) {
	ctx.Raise(written{Amount: c.Amount})
	return n.Balance, nil
}

func main() {
	_ = os.Setenv("GANGLION_BUILD", "v1.1.0")
	node.Main(
		actor.Define("account", func(d *actor.Definition[account]) {
			actor.On(d, (*account).deposit)
			actor.Apply(d, func(a *account, e deposited) { a.Balance += e.Amount },
				actor.From("deposited.v1", func(e depositedV1) deposited { return deposited{Amount: e.Amount, Source: "unknown"} }))
		}),
		actor.Define("note", func(d *actor.Definition[note]) {
			actor.On(d, (*note).deposit)
			actor.Apply(d, func(n *note, e written) { n.Balance += e.Amount })
		}),
	)
}
