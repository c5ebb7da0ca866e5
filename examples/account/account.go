package main

import "github.com/ganglion-go/ganglion/actor"

type Account struct { // the state: its zero value is a new account
	Balance int64 `json:"balance"`
}

type Deposit struct { // a command, which says what it is answered with
	actor.Replies[int64]
	Amount int64 `json:"amount"`
}

type Deposited struct { // an event
	Amount int64 `json:"amount"`
}

var ErrAmount = actor.Reject("invalid_amount", "the amount must be positive")

func (a *Account) Deposit(ctx *actor.Context, c Deposit) (int64, error) {
	if c.Amount <= 0 {
		return 0, ErrAmount
	}
	ctx.Raise(Deposited{Amount: c.Amount}) // applied at once, durable before the reply leaves
	return a.Balance, nil
}

func (a *Account) deposited(e Deposited) { a.Balance += e.Amount } // also replays history

var Accounts = actor.Define("account", func(d *actor.Definition[Account]) {
	actor.On(d, (*Account).Deposit)
	actor.Apply(d, (*Account).deposited)
	d.Rejections(ErrAmount)
})
