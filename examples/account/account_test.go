package main

import (
	"testing"

	"github.com/ganglion-go/ganglion/actor/actortest"
)

func TestAccount_Deposit(t *testing.T) {
	t.Parallel()
	actortest.New(t, Accounts).
		Given(Accounts.ID("a-1"), Deposited{Amount: 10}).
		When(Accounts.ID("a-1"), Deposit{Amount: 5}).
		ThenReply(int64(15)).ThenRaised(Deposited{Amount: 5}).ThenNothingElse().
		When(Accounts.ID("a-1"), Deposit{Amount: -5}).ThenRejected(ErrAmount)
}
