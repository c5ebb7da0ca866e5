// Package actor is the vocabulary in which one writes an event-sourced
// aggregate: its state, commands, events, rejections and queries, and the
// messages in which those travel.
//
// An aggregate is a plain struct. Its zero value is a new aggregate, a command
// is a struct that embeds [Replies], an event is a struct, and handlers are
// methods:
//
//	type Account struct{ Balance int64 }
//
//	type Deposit struct {
//		actor.Replies[Receipt]
//		Amount int64 `json:"amount"`
//	}
//	type Deposited struct{ Amount int64 `json:"amount"` }
//
//	func (a *Account) Deposit(ctx *actor.Context, c Deposit) (Receipt, error) {
//		if c.Amount <= 0 {
//			return Receipt{}, ErrAmount
//		}
//		ctx.Raise(Deposited{Amount: c.Amount})
//		return Receipt{a.Balance}, nil
//	}
//	func (a *Account) deposited(e Deposited) { a.Balance += e.Amount }
//
//	var Accounts = actor.Define("account", func(d *actor.Definition[Account]) {
//		actor.On(d, (*Account).Deposit)
//		actor.Apply(d, (*Account).deposited)
//		d.Rejections(ErrAmount)
//	})
//
//	receipt, err := actor.Ask(ctx, client, Accounts.ID("a-1"), Deposit{Amount: 5})
//
// Registration is a value that is passed to a node. Nothing is global, nothing
// is generated.
//
// The second half of the package, [Behavior] and [Instance], is the erased form
// of a definition. A runtime and the fixtures in actortest drive aggregates
// through it; authors of aggregates need not know it.
//
// # Concurrency
//
// The package starts no goroutine, does no I/O and reads no clock. Definitions
// are immutable once [Define] has returned and may be shared. An [Instance] and
// the [Context] of its handlers belong to one goroutine at a time: the runtime
// runs at most one handler of an aggregate at any moment, so handlers need no
// locks. Handlers must not block, do I/O or keep the Context.
//
// # Failures
//
// A mistake in a definition (two handlers for one command, an event without an
// apply method) panics in [Define]. A [*Rejection] is an aggregate's own "no":
// nothing was stored. An [*Error] is the runtime's: its [Code] says whether the
// command was executed, and [ErrUnknownOutcome] is the only one after which
// the caller cannot know.
package actor
