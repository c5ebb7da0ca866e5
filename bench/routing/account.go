package main

import (
	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/unrouted"
)

// account is the aggregate as Ganglion's side has it: one event of one number per
// command.
type account struct {
	Balance int64 `json:"balance"`
}

type deposit struct {
	actor.Replies[int64]
	unrouted.Deposit
}

type deposited struct{ unrouted.Deposit }

func (a *account) deposit(ctx *actor.Context, d deposit) (int64, error) {
	ctx.Raise(deposited{d.Deposit})
	return a.Balance, nil
}

func (a *account) deposited(e deposited) { a.Balance += e.Amount }

func accounts() *actor.Aggregate[account] {
	return actor.Define(unrouted.Kind, func(d *actor.Definition[account]) {
		actor.On(d, (*account).deposit)
		actor.Apply(d, (*account).deposited)
	})
}
