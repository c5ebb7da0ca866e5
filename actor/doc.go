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
// [State] reads what an aggregate has become, with its version, and [Read] asks a query
// ([Query], whose handler has a [QueryContext] and decides nothing): linearizable both.
// [Await] waits until a state is as wanted, and [AwaitEnd] until a saga has ended.
//
// # What goes out
//
// A handler may send commands ([Context.Send]) and set timers for its own aggregate
// ([Context.After], [Context.At], [Context.Cancel]). That becomes part of the decision,
// is stored with its events, and happens once they are durable: exactly once, or not at
// all. A sender hears that a command was refused if it says so ([OnRefusal]).
//
// A saga ([DefineSaga]) is an aggregate whose input is the events of others: it
// coordinates them by commands, waits, and ends. A policy ([DefinePolicy]) does so
// without any memory.
//
//	var Payments = actor.DefineSaga("payment", func(d *actor.SagaDefinition[Payment]) {
//		actor.StartsOn(d, Orders, (*Payment).placed, func(_ Placed, r actor.EventRecord) string { return r.Source.ID })
//		actor.Reacts(d, Wallets, (*Payment).paid, func(e Paid, _ actor.EventRecord) string { return e.Order })
//		actor.On(d, (*Payment).unpaid) // by OnRefusal
//		actor.SagaDeadline(d, time.Hour)
//	})
//
//	func (p *Payment) placed(ctx *actor.Context, e Placed) {
//		ctx.Send(Wallets.ID(e.Wallet), Pay{Order: ctx.Address().ID, Cents: e.Cents}, actor.OnRefusal(Unpaid{}))
//	}
//	func (p *Payment) paid(ctx *actor.Context, e Paid) {
//		ctx.Send(Orders.ID(e.Order), Accept{})
//		ctx.End()
//	}
//
// A saga's handlers name the definitions of what they send to, never their own, which
// is not initialized before them: that is [Context.Address]. Two definitions that name each
// other name at least one by its kind, see [Kind.ID].
//
// # What is refused beforehand
//
// A command that has a method Validate is asked whether it is valid, see [Validator]. Fields
// that a command does not have are passed over, unless its kind is [Definition.Strict].
//
// # What is asked of the world
//
// Handlers do no I/O. What needs it is an effect: defined beside the aggregates, asked for
// by a decision ([Effect.Perform]), and carried out outside of it by code that is given to
// a node ([Effect.By]), at least once, with a key by which the outside knows repetitions.
// It comes back as a command, exactly once.
//
//	var ChargeCard = actor.DefineEffect[Charge, Receipt]("chargeCard", actor.EffectPolicy{Timeout: 10 * time.Second})
//
//	func (b *Booking) book(ctx *actor.Context, c Book) (actor.None, error) {
//		ChargeCard.Perform(ctx, Charge{Cents: c.Cents}, Charged{}, ChargeFailed{})
//		return actor.None{}, nil
//	}
//	func (b *Booking) charged(ctx *actor.Context, c Charged) (actor.None, error) { // embeds actor.Performed[Receipt]
//		ctx.Raise(Paid{Receipt: c.Result.Number})
//		return actor.None{}, nil
//	}
//
//	func (p *Payments) Charge(ctx context.Context, call actor.Call, c Charge) (Receipt, error) // I/O, with call.Key
//
//	node.Config{Effects: []*actor.Performer{ChargeCard.By(payments.Charge)}}
//
// The second half of the package, [Behavior] and [Instance], is the erased form
// of a definition. A runtime and the fixtures in actortest drive aggregates
// through it; authors of aggregates need not know it.
//
// # What is stored
//
// Events, commands and replies are stored and sent as JSON, by the rules of encoding/json.
// [Define] refuses types of which that loses something, and names the field ([CheckJSON]).
// A live aggregate applies what was decoded from an event's JSON, as a replay will: a
// number in an any is a float64, an empty map that omitempty leaves out is nil, a string
// that is not UTF-8 has U+FFFD in it. A state is JSON in snapshots alone; one that JSON
// cannot hold has none, and one that would not come back as it is, such as two parts of it
// that share an item, is not taken at that time.
//
// # Concurrency
//
// The package starts no goroutine, does no I/O and reads no clock; [Await] alone pauses,
// between two reads that its client makes for it. Definitions
// are immutable once [Define] has returned and may be shared. An [Instance] and
// the [Context] of its handlers belong to one goroutine at a time: the runtime
// runs at most one handler of an aggregate at any moment, so handlers need no
// locks. Handlers must not block, do I/O or keep the Context.
//
// # Failures
//
// What a handler sends beyond [MaxOutgoing] and its like has the command refused with
// [ErrTooLarge]. Sending to an impossible address, or a timer for a command that the
// aggregate does not declare, is a mistake of the program: it panics, and the command is
// parked.
//
// A mistake in a definition (two handlers for one command, an event without an
// apply method) panics in [Define]. A [*Rejection] is an aggregate's own "no":
// its state is as it was, and a retry gets the same refusal. An [*Error] is the
// runtime's: its [Code] says whether the command was executed, and
// [ErrUnknownOutcome] is the only one after which the caller cannot know.
package actor
