package actor_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Account is the state: its zero value is a new account.
type Account struct{ Balance int64 }

// Deposit is a command. Replies names the type of its reply.
type Deposit struct {
	actor.Replies[Receipt]
	Amount int64 `json:"amount"`
}

type Receipt struct {
	Balance int64 `json:"balance"`
}

// Deposited is an event.
type Deposited struct {
	Amount int64 `json:"amount"`
}

var ErrAmount = actor.Reject("invalid_amount", "the amount must be positive")

// Deposit decides.
func (a *Account) Deposit(ctx *actor.Context, c Deposit) (Receipt, error) {
	if c.Amount <= 0 {
		return Receipt{}, ErrAmount
	}
	ctx.Raise(Deposited{Amount: c.Amount}) // applied now, durable before the reply leaves
	return Receipt{Balance: a.Balance}, nil
}

// The only place where the state changes, now and on every replay.
func (a *Account) deposited(e Deposited) { a.Balance += e.Amount }

var Accounts = actor.Define("account", func(d *actor.Definition[Account]) {
	actor.On(d, (*Account).Deposit)
	actor.Apply(d, (*Account).deposited)
	d.Rejections(ErrAmount)
})

func ExampleDefine() {
	b := Accounts.Behavior()
	for c := range b.Commands() {
		fmt.Println(c.Name, "replies", c.Reply.Name())
	}
	fmt.Println(b.EventNames(), b.Rejections()[0].Code)
	// Output:
	// Deposit replies Receipt
	// [deposited.v1] invalid_amount
}

func ExampleAsk() {
	// A client comes from natsbus; this one decides on an account in memory.
	var client actor.Client = &fakeClient{instance: Accounts.Behavior().New(Accounts.ID("a-1"))}
	ctx := context.Background()

	receipt, err := actor.Ask(ctx, client, Accounts.ID("a-1"), Deposit{Amount: 5})
	fmt.Println(receipt.Balance, err)

	_, err = actor.Ask(ctx, client, Accounts.ID("a-1"), Deposit{Amount: -5})
	fmt.Println(errors.Is(err, ErrAmount))

	_, err = actor.Ask(ctx, client, Accounts.ID("a-1"), Deposit{Amount: 5}, actor.ExpectNew())
	fmt.Println(errors.Is(err, actor.ErrAlreadyExists))
	// Output:
	// 5 <nil>
	// true
	// true
}

func ExampleState() {
	var client actor.Client = &fakeClient{instance: Accounts.Behavior().New(Accounts.ID("a-1"))}
	ctx := context.Background()

	_, _, err := actor.State[Account](ctx, client, Accounts.ID("a-1"))
	fmt.Println(errors.Is(err, actor.ErrDoesNotExist))

	_, version, err := actor.AskVersion(ctx, client, Accounts.ID("a-1"), Deposit{Amount: 5})
	fmt.Println(version, err)

	account, version, err := actor.State[Account](ctx, client, Accounts.ID("a-1"))
	fmt.Println(account.Balance, version, err)
	// Output:
	// true
	// 1 <nil>
	// 5 1 <nil>
}

func ExampleAwait() {
	var client actor.Client = &fakeClient{instance: Accounts.Behavior().New(Accounts.ID("a-1"))}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // which bounds the wait
	defer cancel()

	go func() { _, _ = actor.Ask(ctx, client, Accounts.ID("a-1"), Deposit{Amount: 5}) }() // somebody else
	rich, err := actor.Await(ctx, client, Accounts.ID("a-1"), func(a actor.Shown[Account]) bool { return a.State.Balance >= 5 })
	fmt.Println(rich.State.Balance, rich.Version, err)
	// Output: 5 1 <nil>
}

func ExampleFrom() {
	// The first builds stored deposits in whole units.
	type depositedV0 struct{ Units int64 }
	accounts := actor.Define("account", func(d *actor.Definition[Account]) {
		actor.Apply(d, (*Account).deposited, actor.From("deposited.v0", func(old depositedV0) Deposited {
			return Deposited{Amount: 100 * old.Units}
		}))
	})
	a := accounts.Behavior().New(accounts.ID("a-1"))
	err := a.Replay(actor.Event{Name: "deposited.v0", Data: []byte(`{"Units":3}`)})
	fmt.Println(a.State().(*Account).Balance, err)
	// Output: 300 <nil>
}

func ExampleRejection_With() {
	err := ErrAmount.With("amount", -5)
	fmt.Println(err.Code, err.Details, errors.Is(err, ErrAmount))
	// Output: invalid_amount map[amount:-5] true
}
