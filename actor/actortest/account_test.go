package actortest_test

import (
	"errors"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Account is the aggregate of the package's documentation, with one command
// for each thing that a fixture can look at.
type Account struct {
	Balance int64
	Owner   string
	Opened  time.Time
}

type Receipt struct {
	Balance int64 `json:"balance"`
}

type Open struct {
	actor.Replies[actor.None]
	Owner string `json:"owner"`
}

type Opened struct {
	Owner string    `json:"owner"`
	By    string    `json:"by"`
	At    time.Time `json:"at"`
}

type Deposit struct {
	actor.Replies[Receipt]
	Amount int64 `json:"amount"`
}

type Deposited struct {
	Amount int64  `json:"amount"`
	Fee    int64  `json:"fee"`
	ID     string `json:"id"`
}

// depositedV0 is how the first builds stored a deposit: in whole units.
type depositedV0 struct{ Units int64 }

type Withdraw struct {
	actor.Replies[actor.None]
	Amount int64 `json:"amount"`
}

type Withdrawn struct {
	Amount int64 `json:"amount"`
}

type Explode struct{ actor.Replies[actor.None] }

type Statement struct{ actor.Replies[Receipt] }

var (
	ErrAmount = actor.Reject("invalid_amount", "the amount must be positive")
	errBroke  = errors.New("no money left")
)

func (a *Account) open(ctx *actor.Context, c Open) (actor.None, error) {
	ctx.Raise(Opened{Owner: c.Owner, By: ctx.Metadata().User, At: ctx.Now()})
	return actor.None{}, nil
}

func (a *Account) deposit(ctx *actor.Context, c Deposit) (Receipt, error) {
	if c.Amount <= 0 {
		return Receipt{}, ErrAmount.With("amount", c.Amount)
	}
	ctx.Raise(Deposited{Amount: c.Amount, ID: string(ctx.CommandID())})
	if c.Amount > 1000 {
		ctx.Raise(Deposited{Fee: 1})
	}
	return Receipt{Balance: a.Balance}, nil
}

func (a *Account) withdraw(ctx *actor.Context, c Withdraw) (actor.None, error) {
	ctx.Raise(c.bare())
	if a.Balance < 0 {
		return actor.None{}, errBroke // after Raise: the instance is tainted
	}
	return actor.None{}, nil
}

func (c Withdraw) bare() Withdrawn { return Withdrawn{Amount: c.Amount} }

func (a *Account) explode(*actor.Context, Explode) (actor.None, error) { panic("boom") }

func (a *Account) statement(*actor.QueryContext, Statement) (Receipt, error) {
	return Receipt{Balance: a.Balance}, nil
}

func (a *Account) opened(e Opened)       { a.Owner, a.Opened = e.Owner, e.At }
func (a *Account) deposited(e Deposited) { a.Balance += e.Amount - e.Fee }
func (a *Account) withdrawn(e Withdrawn) { a.Balance -= e.Amount }

var Accounts = actor.Define("account", func(d *actor.Definition[Account]) {
	actor.On(d, (*Account).open, actor.NewOnly())
	actor.On(d, (*Account).deposit)
	actor.On(d, (*Account).withdraw, actor.ExistingOnly())
	actor.On(d, (*Account).explode)
	actor.Query(d, (*Account).statement)
	actor.Apply(d, (*Account).opened)
	actor.Apply(d, (*Account).deposited, actor.From("deposited.v0", func(old depositedV0) Deposited {
		return Deposited{Amount: 100 * old.Units}
	}))
	actor.Apply(d, (*Account).withdrawn, actor.From("taken.v1", func(old Withdrawn) Withdrawn { return old })) // renamed
	d.Rejections(ErrAmount)
})

var a1 = Accounts.ID("a-1")
