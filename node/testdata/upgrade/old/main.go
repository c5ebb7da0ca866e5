// Command old is the build that a rolling upgrade begins with.
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
	Amount int64 `json:"amount"`
}

func (a *account) deposit(ctx *actor.Context, c Deposit) (int64, error) {
	ctx.Raise(deposited{Amount: c.Amount})
	return a.Balance, nil
}

func main() {
	_ = os.Setenv("GANGLION_BUILD", "v1.0.0")
	node.Main(actor.Define("account", func(d *actor.Definition[account]) {
		actor.On(d, (*account).deposit)
		actor.Apply(d, func(a *account, e deposited) { a.Balance += e.Amount })
	}))
}
