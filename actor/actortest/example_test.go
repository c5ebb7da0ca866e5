package actortest_test

import (
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
)

// TestDeposit is what a user's test looks like.
func TestDeposit(t *testing.T) {
	t.Parallel()
	actortest.New(t, Accounts).
		Given(Accounts.ID("a-1"), Deposited{Amount: 10}).
		When(Accounts.ID("a-1"), Deposit{Amount: 5}, actor.WithCommandID("c-1")).
		ThenReply(Receipt{Balance: 15}).
		ThenRaised(Deposited{Amount: 5, ID: "c-1"}).
		ThenNothingElse()
}
