// Package domain is what the golden data of earlier builds was recorded with, see
// node.TestNode_ReadsWhatEarlierBuildsStored. Nothing in it may change but what no
// longer compiles: it stands for a user's program of then.
package domain

import (
	"context"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
)

// Account is an aggregate with snapshots, timers, messages and refusals.
type Account struct {
	Cents   int64            `json:"cents"`
	Entries int              `json:"entries"`
	Notes   map[string]int64 `json:"notes"`
	Refused []string         `json:"refused"`
	Rang    []string         `json:"rang"`
}

// Statement is what a query and the state over HTTP show of an account.
type Statement struct {
	Cents   int64            `json:"cents"`
	Entries int              `json:"entries"`
	Notes   map[string]int64 `json:"notes"`
	Refused []string         `json:"refused"`
	Rang    []string         `json:"rang"`
}

// The commands of an account.
type (
	Deposit struct {
		actor.Replies[int64]
		Cents int64  `json:"cents"`
		Note  string `json:"note,omitempty"`
	}
	Transfer struct {
		actor.Replies[actor.None]
		To    string `json:"to"`
		Cents int64  `json:"cents"`
	}
	Remind struct {
		actor.Replies[actor.None]
		Name string    `json:"name"`
		At   time.Time `json:"at"`
	}
	Ring struct {
		actor.Replies[actor.None]
		Name string `json:"name"`
	}
	TransferRefused struct {
		actor.Replies[actor.None]
		actor.Refused
		To string `json:"to"`
	}
	Explode struct{ actor.Replies[actor.None] }
	Look    struct{ actor.Replies[Statement] }
)

// The events of an account.
type (
	Deposited struct {
		Cents int64  `json:"cents"`
		Note  string `json:"note,omitempty"`
	}
	Transferred struct {
		To    string `json:"to"`
		Cents int64  `json:"cents"`
	}
	Reminded struct {
		Name string    `json:"name"`
		At   time.Time `json:"at"`
	}
	Rang struct {
		Name string `json:"name"`
	}
	WasRefused struct {
		To   string `json:"to"`
		Code string `json:"code"`
	}
)

// ErrAmount rejects a deposit.
var ErrAmount = actor.Reject("invalid_amount", "the amount is not positive")

func account(id string) actor.Address { return actor.Address{Kind: "account", ID: id} }

func (a *Account) deposit(ctx *actor.Context, c Deposit) (int64, error) {
	if c.Cents <= 0 {
		return 0, ErrAmount
	}
	ctx.Raise(Deposited{c.Cents, c.Note})
	return a.Cents, nil
}

func (a *Account) transfer(ctx *actor.Context, c Transfer) (actor.None, error) {
	ctx.Raise(Transferred{c.To, c.Cents})
	ctx.Send(account(c.To), Deposit{Cents: c.Cents, Note: "transfer"}, actor.OnRefusal(TransferRefused{To: c.To}))
	return actor.None{}, nil
}

func (a *Account) remind(ctx *actor.Context, c Remind) (actor.None, error) {
	ctx.Raise(Reminded{c.Name, c.At})
	ctx.At(c.At, Ring{Name: c.Name}, actor.TimerName(c.Name))
	return actor.None{}, nil
}

func (a *Account) ring(ctx *actor.Context, c Ring) (actor.None, error) {
	ctx.Raise(Rang{c.Name})
	return actor.None{}, nil
}

func (a *Account) transferRefused(ctx *actor.Context, c TransferRefused) (actor.None, error) {
	ctx.Raise(WasRefused{c.To, string(c.Refusal.Code) + " " + c.Refusal.Reason})
	return actor.None{}, nil
}

func (a *Account) explode(*actor.Context, Explode) (actor.None, error) { panic("it exploded") }

func (a *Account) look(*actor.QueryContext, Look) (Statement, error) { return a.statement(), nil }

func (a *Account) statement() Statement {
	return Statement{a.Cents, a.Entries, a.Notes, a.Refused, a.Rang}
}

func (a *Account) deposited(e Deposited) {
	a.Cents += e.Cents
	a.Entries++
	if e.Note != "" {
		if a.Notes == nil {
			a.Notes = map[string]int64{}
		}
		a.Notes[e.Note] += e.Cents
	}
}

// Accounts is the definition.
var Accounts = actor.Define("account", func(d *actor.Definition[Account]) {
	actor.On(d, (*Account).deposit)
	actor.On(d, (*Account).transfer)
	actor.On(d, (*Account).remind)
	actor.On(d, (*Account).ring)
	actor.On(d, (*Account).transferRefused)
	actor.On(d, (*Account).explode)
	actor.Query(d, (*Account).look)
	actor.Apply(d, (*Account).deposited)
	actor.Apply(d, func(a *Account, e Transferred) { a.Entries++ })
	actor.Apply(d, func(a *Account, e Reminded) { a.Entries++ })
	actor.Apply(d, func(a *Account, e Rang) { a.Rang = append(a.Rang, e.Name) })
	actor.Apply(d, func(a *Account, e WasRefused) { a.Refused = append(a.Refused, e.To+" "+e.Code) })
	actor.View(d, func(a *Account) Statement { return a.statement() })
	d.Rejections(ErrAmount)
	d.SnapshotEvery(20)
})

// Welcome is a saga: the first deposit into an account is greeted with a cent into the
// account "welcome", and a year later with another.
type Welcome struct {
	Greeted bool `json:"greeted"`
}

// Anniversary is the command of the saga's timer.
type Anniversary struct{ actor.Replies[actor.None] }

// The events of the saga.
type (
	Greeted    struct{}
	Celebrated struct{}
)

// Welcomes is its definition.
var Welcomes = actor.DefineSaga("welcome", func(d *actor.SagaDefinition[Welcome]) {
	actor.Apply(d, func(w *Welcome, _ Greeted) { w.Greeted = true })
	actor.Apply(d, func(*Welcome, Celebrated) {})
	actor.StartsOn(d, Accounts, func(w *Welcome, ctx *actor.Context, _ Deposited) {
		if !w.Greeted {
			ctx.Raise(Greeted{})
			ctx.Send(account("welcome"), Deposit{Cents: 1})
			ctx.After(365*24*time.Hour, Anniversary{})
		}
	}, func(_ Deposited, r actor.EventRecord) string {
		if strings.HasPrefix(r.Source.ID, "a-") {
			return r.Source.ID
		}
		return ""
	})
	actor.On(d, func(_ *Welcome, ctx *actor.Context, _ Anniversary) (actor.None, error) {
		ctx.Raise(Celebrated{})
		return actor.None{}, nil
	})
})

// Bonus is a policy: each transfer pays a cent into the account "bonus".
var Bonus = actor.DefinePolicy("bonus", func(d *actor.PolicyDefinition) {
	actor.When(d, Accounts, func(ctx *actor.PolicyContext, _ Transferred) {
		ctx.Send(account("bonus"), Deposit{Cents: 1})
	})
})

// Total is a document of the view.
type Total struct {
	Cents   int64  `json:"cents"`
	Events  int    `json:"events"`
	Version uint64 `json:"version"`
}

var totals = projection.NewCollection[Total]("totals")

// Totals is the view.
var Totals = projection.Define("totals", func(d *projection.Definition) {
	d.Collections(totals)
	projection.On(d, Accounts, func(ctx context.Context, tx *projection.Tx, e projection.Event[Deposited]) error {
		return totals.Update(ctx, tx, e.Source.ID, func(t *Total) error {
			*t = Total{t.Cents + e.Data.Cents, t.Events + 1, uint64(e.Version)}
			return nil
		})
	})
})

// Definitions are all of them.
func Definitions() []actor.Registrable { return []actor.Registrable{Accounts, Welcomes, Bonus} }

// Answer is what was answered under a key.
type Answer struct {
	Account string `json:"account"`
	Key     string `json:"key"`
	Cents   int64  `json:"cents"`          // of the deposit
	Reply   int64  `json:"reply"`          // 0 with a code
	Code    string `json:"code,omitempty"` // of the rejection
}

// State is what was read of an account.
type State struct {
	Version   uint64    `json:"version"`
	Statement Statement `json:"statement"`
}

// Recorded is what was known when the recording program was cut off.
type Recorded struct {
	States  map[string]State `json:"states"`  // by id of the account
	Totals  map[string]Total `json:"totals"`  // by id of the account
	Answers []Answer         `json:"answers"` // the last ones of which no commit holds
	Sent    map[string]int64 `json:"sent"`    // cents that were accepted and not yet paid in, by id of the account
	Parked  string           `json:"parked"`  // account whose command is parked
}
