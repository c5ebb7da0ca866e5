package main

import (
	"context"
	"testing"

	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/projectiontest"
)

// Balance is a document of Balances.
type Balance struct {
	Cents int64 `json:"cents"`
}

var accounts = projection.NewCollection[Balance]("accounts")

// Balances has the balance of each account.
var Balances = projection.Define("balances", func(d *projection.Definition) {
	d.Collections(accounts)
	projection.On(d, Accounts, func(ctx context.Context, tx *projection.Tx, e projection.Event[Deposited]) error {
		return accounts.Update(ctx, tx, e.Source.ID, func(b *Balance) error {
			b.Cents += e.Data.Amount
			return nil
		})
	})
})

func TestBalances(t *testing.T) {
	t.Parallel()
	projectiontest.New(t, Balances).
		Given(Accounts.ID("a-1"), Deposited{Amount: 10}, Deposited{Amount: 5}).
		ThenDocument("accounts", "a-1", Balance{Cents: 15})
}
