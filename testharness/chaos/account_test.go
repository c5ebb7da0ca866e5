package chaos_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/testharness/chaos"
)

// account is an aggregate that tells more than a portfolio does: every reply has the
// balance, a command may raise several events or none, and there are snapshots.
type account struct{ Balance int64 }

type (
	receipt struct {
		Balance int64 `json:"balance"`
	}
	move struct {
		actor.Replies[receipt]
		Amounts []int64 `json:"amounts"` // one event for each
	}
	moved struct {
		Amount int64 `json:"amount"`
	}
)

func (move) WireName() string  { return "Move" }
func (moved) WireName() string { return "moved.v1" }

var errOverdrawn = actor.Reject("overdrawn", "the balance would be negative")

// accounts is the definition.
var accounts = actor.Define("account", func(d *actor.Definition[account]) {
	actor.On(d, func(a *account, ctx *actor.Context, c move) (receipt, error) {
		balance := a.Balance
		for _, amount := range c.Amounts {
			if balance += amount; balance < 0 {
				return receipt{}, errOverdrawn.With("balance", a.Balance)
			}
		}
		for _, amount := range c.Amounts {
			ctx.Raise(moved{Amount: amount})
		}
		return receipt{a.Balance}, nil
	})
	actor.Apply(d, func(a *account, e moved) { a.Balance += e.Amount })
	d.Rejections(errOverdrawn)
	d.SnapshotEvery(10)
})

// accountModel is what an account does, said once more.
func accountModel() chaos.Model[int64] {
	return chaos.Model[int64]{
		Kind:   "account",
		Create: call("Move", `{"amounts":[1000]}`),
		Next: func(rnd *rand.Rand) chaos.Call {
			if rnd.IntN(3) == 0 {
				return chaos.Call{}
			}
			amounts := make([]int64, rnd.IntN(4))
			for i := range amounts {
				amounts[i] = rnd.Int64N(1000) - 500
			}
			body, _ := json.Marshal(map[string]any{"amounts": amounts}) // numbers can be encoded
			return call("Move", string(body))
		},
		Decide: func(balance int64, c chaos.Call) (int64, chaos.Decision) {
			var body struct{ Amounts []int64 }
			_ = json.Unmarshal(c.Body, &body) // our own
			next := balance
			for _, amount := range body.Amounts {
				if next += amount; next < 0 {
					return balance, chaos.Decision{Refuse: "overdrawn"}
				}
			}
			return next, chaos.Decision{Events: len(body.Amounts), Reply: json.RawMessage(fmt.Sprintf(`{"balance":%d}`, next))}
		},
		Shows: func(balance int64, state json.RawMessage) bool {
			return string(state) == fmt.Sprintf(`{"Balance":%d}`, balance)
		},
	}
}
