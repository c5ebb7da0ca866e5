package actor_test

import (
	"errors"
	"math"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// account is an aggregate with one command for each way in which a decision
// can go.
type account struct {
	Balance int64 `json:"balance"`
	Notes   []any `json:"-"`
}

type receipt struct {
	Balance int64 `json:"balance"`
}

type (
	open    struct{ actor.Replies[actor.None] }
	deposit struct {
		actor.Replies[receipt]
		Amount int64 `json:"amount"`
	}
	withdraw struct {
		actor.Replies[actor.None]
		Amount int64 `json:"amount"`
	}
	describe  struct{ actor.Replies[description] }
	misbehave struct {
		actor.Replies[float64]
		How string `json:"how"`
	}
	balance struct{ actor.Replies[receipt] }
	meddle  struct{ actor.Replies[actor.None] }
	renamed struct{ actor.Replies[actor.None] }
)

func (renamed) WireName() string { return "Rename.v2" }

type description struct {
	Address  string         `json:"address"`
	Version  actor.Version  `json:"version"`
	Command  string         `json:"command"`
	Now      time.Time      `json:"now"`
	IDs      []string       `json:"ids"`
	Metadata actor.Metadata `json:"metadata"`
}

type (
	opened    struct{}
	deposited struct {
		Amount int64   `json:"amount"`
		Ratio  float64 `json:"ratio,omitempty"`
	}
	withdrawn  struct{ Amount int64 }
	forgotten  struct{}
	depositV0  struct{ Units int64 }
	renamedNow struct{}
)

func (renamedNow) WireName() string { return "name-changed.v3" }

var (
	errAmount = actor.Reject("invalid_amount", "the amount must be positive")
	errFunds  = actor.Reject("insufficient_funds", "")
)

func (a *account) open(ctx *actor.Context, _ open) (actor.None, error) {
	ctx.Raise(opened{})
	return actor.None{}, nil
}

func (a *account) deposit(ctx *actor.Context, c deposit) (receipt, error) {
	if c.Amount <= 0 {
		return receipt{}, errAmount.With("amount", c.Amount)
	}
	ctx.Raise(deposited{Amount: c.Amount})
	return receipt{a.Balance}, nil
}

func (a *account) withdraw(ctx *actor.Context, c withdraw) (actor.None, error) {
	ctx.Raise(withdrawn(struct{ Amount int64 }{c.Amount}))
	if a.Balance < 0 {
		return actor.None{}, errors.Join(errors.New("while withdrawing"), errFunds)
	}
	return actor.None{}, nil
}

func (a *account) describe(ctx *actor.Context, _ describe) (description, error) {
	ctx.Raise(opened{})
	return description{
		Address: ctx.Address().String(), Version: ctx.Version(), Command: string(ctx.CommandID()),
		Now: ctx.Now(), IDs: []string{ctx.NewID(), ctx.NewID()}, Metadata: ctx.Metadata(),
	}, nil
}

func (a *account) misbehave(ctx *actor.Context, c misbehave) (float64, error) {
	ctx.Raise(opened{})
	switch c.How {
	case "panic":
		panic("boom")
	case "panic with nothing":
		panic(nil)
	case "reply not in JSON":
		return math.NaN(), nil
	case "event not in JSON":
		ctx.Raise(deposited{Ratio: math.Inf(1)})
	case "unknown event":
		ctx.Raise(receipt{})
	case "apply panics":
		ctx.Raise(forgotten{})
	case "plain error":
		return 0, errors.New("not today")
	case "runtime's error":
		return 0, actor.ErrMalformed
	case "details not in JSON":
		return 0, errAmount.With("ratio", math.NaN())
	}
	return 0, nil
}

func (a *account) balance(*actor.QueryContext, balance) (receipt, error) {
	return receipt{a.Balance}, nil
}

func (a *account) meddle(*actor.QueryContext, meddle) (actor.None, error) { panic("boom") }

func (a *account) rename(ctx *actor.Context, _ renamed) (actor.None, error) {
	ctx.Raise(renamedNow{})
	return actor.None{}, nil
}

func (a *account) opened(opened)         {}
func (a *account) deposited(e deposited) { a.Balance += e.Amount }
func (a *account) withdrawn(e withdrawn) { a.Balance -= e.Amount }
func (a *account) forgotten(forgotten)   { panic("apply failed") }
func (a *account) renamed(renamedNow)    {}

var accounts = actor.Define("account", func(d *actor.Definition[account]) {
	actor.On(d, (*account).open, actor.NewOnly())
	actor.On(d, (*account).deposit)
	actor.On(d, (*account).withdraw, actor.ExistingOnly())
	actor.On(d, (*account).describe)
	actor.On(d, (*account).misbehave)
	actor.On(d, (*account).rename)
	actor.Query(d, (*account).balance)
	actor.Query(d, (*account).meddle)
	actor.Apply(d, (*account).opened)
	actor.Apply(d, (*account).deposited,
		actor.From("deposited.v0", func(old depositV0) deposited { return deposited{Amount: 100 * old.Units} }),
		actor.From("paid-in", func(old depositV0) deposited { panic("upcast failed") }))
	actor.Apply(d, (*account).withdrawn)
	actor.Apply(d, (*account).forgotten)
	actor.Apply(d, (*account).renamed)
	d.Rejections(errAmount, errFunds, errAmount)
})
