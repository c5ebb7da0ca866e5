package main

import "github.com/ganglion-go/ganglion/actor"

// account is the measured aggregate: one event of one number per command.
type account struct{ Balance int64 }

type deposit struct {
	actor.Replies[int64]
	Amount int64  `json:"amount"`
	Note   string `json:"note"`
}

type deposited struct {
	Amount int64  `json:"amount"`
	Note   string `json:"note"`
}

// overdraw is refused by every account.
type overdraw struct {
	actor.Replies[int64]
	Amount int64 `json:"amount"`
}

var errOverdrawn = actor.Reject("overdrawn", "there is not as much in the account")

type balance struct{ actor.Replies[int64] }

func (a *account) deposit(ctx *actor.Context, d deposit) (int64, error) {
	ctx.Raise(deposited{Amount: d.Amount, Note: d.Note})
	return a.Balance, nil
}

func (a *account) overdraw(*actor.Context, overdraw) (int64, error) { return 0, errOverdrawn }

func (a *account) deposited(e deposited) { a.Balance += e.Amount }

func accounts() *actor.Aggregate[account] {
	return actor.Define("account", func(d *actor.Definition[account]) {
		actor.On(d, (*account).deposit)
		actor.On(d, (*account).overdraw)
		actor.Query(d, func(a *account, _ *actor.QueryContext, _ balance) (int64, error) { return a.Balance, nil })
		actor.Apply(d, (*account).deposited)
		d.Rejections(errOverdrawn)
	})
}
