package actortest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
)

// A shop: an order is paid from a wallet, or rejected, or given up after an hour.

type (
	Order struct{ Status string }
	Place struct {
		actor.Replies[actor.None]
		Wallet string
		Cents  int64
	}
	Placed struct {
		Wallet string
		Cents  int64
	}
	Accept struct{ actor.Replies[actor.None] }
	Refuse struct {
		actor.Replies[actor.None]
		Reason string
	}
	Accepted     struct{}
	OrderRefused struct{ Reason string }
)

func (o *Order) place(ctx *actor.Context, c Place) (actor.None, error) {
	ctx.Raise(Placed{Wallet: c.Wallet, Cents: c.Cents})
	return actor.None{}, nil
}

func (o *Order) accept(ctx *actor.Context, _ Accept) (actor.None, error) {
	ctx.Raise(Accepted{})
	return actor.None{}, nil
}

func (o *Order) refuse(ctx *actor.Context, c Refuse) (actor.None, error) {
	ctx.Raise(OrderRefused{Reason: c.Reason})
	return actor.None{}, nil
}

type (
	Wallet struct{ Cents int64 }
	Fill   struct {
		actor.Replies[actor.None]
		Cents int64
	}
	Filled struct{ Cents int64 }
	Pay    struct {
		actor.Replies[actor.None]
		Order string
		Cents int64
	}
	Paid struct {
		Order string
		Cents int64
	}
)

var errEmpty = actor.Reject("empty", "not enough in it")

func (w *Wallet) fill(ctx *actor.Context, c Fill) (actor.None, error) {
	ctx.Raise(Filled{Cents: c.Cents})
	return actor.None{}, nil
}

func (w *Wallet) pay(ctx *actor.Context, c Pay) (actor.None, error) {
	if w.Cents < c.Cents {
		return actor.None{}, errEmpty.With("cents", w.Cents)
	}
	ctx.Raise(Paid{Order: c.Order, Cents: c.Cents})
	return actor.None{}, nil
}

type (
	// Payment is the saga: one for each order.
	Payment struct {
		Wallet string
		Asked  int
	}
	Asked struct{ Wallet string }
	// Unpaid comes back when the wallet refuses.
	Unpaid struct {
		actor.Replies[actor.None]
		actor.Refused
		Order string
	}
	// Remind comes from a timer.
	Remind struct {
		actor.Replies[actor.None]
		Cents int64
	}
)

func (p *Payment) placed(ctx *actor.Context, e Placed) {
	event, _ := ctx.Event()
	ctx.Raise(Asked{Wallet: e.Wallet})
	ctx.Send(Wallets.ID(e.Wallet), Pay{Order: event.Source.ID, Cents: e.Cents}, actor.OnRefusal(Unpaid{Order: event.Source.ID}))
	ctx.After(10*time.Minute, Remind{Cents: e.Cents})
}

func (p *Payment) paid(ctx *actor.Context, e Paid) {
	ctx.Send(Orders.ID(e.Order), Accept{})
	ctx.End()
}

func (p *Payment) unpaid(ctx *actor.Context, c Unpaid) (actor.None, error) {
	if !errors.Is(c.Refusal.Err(), errEmpty) && !errors.Is(c.Refusal.Err(), actor.ErrDoesNotExist) {
		return actor.None{}, actor.Reject("unexplained", "refused, but why")
	}
	reason := c.Refusal.Reason
	if reason == "" {
		reason = string(c.Refusal.Code)
	}
	ctx.Send(Orders.ID(c.Order), Refuse{Reason: reason})
	ctx.End()
	return actor.None{}, nil
}

var errAsked = actor.Reject("asked", "asked often enough")

func (p *Payment) remind(ctx *actor.Context, c Remind) (actor.None, error) {
	if p.Asked >= 2 {
		return actor.None{}, errAsked
	}
	ctx.Raise(Asked{Wallet: p.Wallet})
	ctx.Send(Wallets.ID(p.Wallet), Pay{Order: ctx.Address().ID, Cents: c.Cents})
	ctx.After(10*time.Minute, c)
	return actor.None{}, nil
}

func (p *Payment) asked(e Asked) { p.Wallet, p.Asked = e.Wallet, p.Asked+1 }

var (
	Orders = actor.Define("order", func(d *actor.Definition[Order]) {
		actor.On(d, (*Order).place, actor.NewOnly())
		actor.On(d, (*Order).accept, actor.ExistingOnly())
		actor.On(d, (*Order).refuse, actor.ExistingOnly())
		actor.Apply(d, func(o *Order, _ Placed) { o.Status = "placed" })
		actor.Apply(d, func(o *Order, _ Accepted) { o.Status = "accepted" })
		actor.Apply(d, func(o *Order, _ OrderRefused) { o.Status = "refused" })
	})
	Wallets = actor.Define("wallet", func(d *actor.Definition[Wallet]) {
		actor.On(d, (*Wallet).fill)
		actor.On(d, (*Wallet).pay, actor.ExistingOnly())
		actor.Apply(d, func(w *Wallet, e Filled) { w.Cents += e.Cents })
		actor.Apply(d, func(w *Wallet, e Paid) { w.Cents -= e.Cents })
		d.Rejections(errEmpty)
	})
	Payments = actor.DefineSaga("payment", func(d *actor.SagaDefinition[Payment]) {
		actor.StartsOn(d, Orders, (*Payment).placed, func(_ Placed, r actor.EventRecord) string { return r.Source.ID })
		actor.Reacts(d, Wallets, (*Payment).paid, func(e Paid, _ actor.EventRecord) string { return e.Order })
		actor.On(d, (*Payment).unpaid)
		actor.On(d, (*Payment).remind)
		actor.Apply(d, (*Payment).asked)
		actor.SagaDeadline(d, time.Hour)
	})
	Welcome = actor.DefinePolicy("welcome", func(d *actor.PolicyDefinition) {
		actor.When(d, Orders, func(p *actor.PolicyContext, e Placed) {
			if e.Cents >= 1000 {
				p.Send(Wallets.ID(e.Wallet), Fill{Cents: 1})
			}
		})
	})
)

func shop(t testing.TB) *actortest.Scenario {
	return actortest.New(t, Orders, Wallets, Payments, Welcome)
}

// TestSaga_Alone is what a user's test of a saga looks like: events in, commands out.
func TestSaga_Alone(t *testing.T) {
	t.Parallel()
	saga := Payments.ID("o-1")
	s := shop(t)
	s.WhenEvent(Orders.ID("o-1"), Placed{Wallet: "w-1", Cents: 500}).
		ThenRaised(Asked{Wallet: "w-1"}).
		ThenNothingElse().
		ThenSent(Wallets.ID("w-1"), Pay{Order: "o-1", Cents: 500}).
		ThenOnRefusal(Unpaid{Order: "o-1"}).
		ThenNothingElseSent().
		ThenTimer("Remind", s.Now().Add(10*time.Minute), Remind{Cents: 500}).
		ThenState(Payment{Wallet: "w-1", Asked: 1}).
		ThenNotEnded()
	s.Advance(9 * time.Minute).ThenNothingElse()
	s.Advance(2*time.Minute).
		ThenRaised(Asked{Wallet: "w-1"}).
		ThenSent(Wallets.ID("w-1"), Pay{Order: "o-1", Cents: 500}).
		ThenTimer("Remind", s.Now().Add(9*time.Minute), Remind{Cents: 500})
	s.WhenEvent(Wallets.ID("w-1"), Paid{Order: "o-1", Cents: 500}).
		ThenSent(Orders.ID("o-1"), Accept{}).
		ThenNothingElseSent().
		ThenEnded().
		ThenNoTimer()
	s.WhenRetried().ThenEnded().ThenNothingElseSent()
	s.WhenEvent(Wallets.ID("w-1"), Paid{Order: "o-1", Cents: 500}).ThenNothingElse().ThenNothingElseSent() // ended
	s.WhenEvent(Orders.ID("o-1"), Placed{Wallet: "w-1", Cents: 500}).ThenNothingElse().ThenNothingElseSent()
	s.When(saga, Remind{}).ThenFails(actor.CodeEnded)
	s.Advance(24 * time.Hour).ThenFails(actor.CodeEnded) // no timer has fired: still the last message
}

// TestSaga_Together: the same with all aggregates, which get what is sent.
func TestSaga_Together(t *testing.T) {
	t.Parallel()
	t.Run("paid", func(t *testing.T) {
		t.Parallel()
		shop(t).Given(Wallets.ID("w-1"), Filled{Cents: 600}).
			When(Orders.ID("o-1"), Place{Wallet: "w-1", Cents: 500}).
			Deliver().ThenNothingElseSent().
			ThenStateOf(Orders.ID("o-1"), Order{Status: "accepted"}).
			ThenStateOf(Wallets.ID("w-1"), Wallet{Cents: 100})
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		shop(t).Given(Wallets.ID("w-1"), Filled{Cents: 400}).
			When(Orders.ID("o-1"), Place{Wallet: "w-1", Cents: 500}).
			Deliver().
			ThenStateOf(Orders.ID("o-1"), Order{Status: "refused"}).
			ThenStateOf(Wallets.ID("w-1"), Wallet{Cents: 400}).
			When(Wallets.ID("w-1"), Fill{Cents: 1}).ThenVersion(3) // the refusal is one
	})
	t.Run("no wallet", func(t *testing.T) {
		t.Parallel()
		shop(t).When(Orders.ID("o-1"), Place{Wallet: "w-1", Cents: 500}).
			Deliver().
			ThenStateOf(Orders.ID("o-1"), Order{Status: "refused"}).
			When(Wallets.ID("w-1"), Pay{}).ThenFails(actor.CodeDoesNotExist) // still
	})
	t.Run("by a policy, too late", func(t *testing.T) {
		t.Parallel()
		shop(t).When(Orders.ID("o-1"), Place{Wallet: "w-1", Cents: 1000}).
			Deliver().
			ThenStateOf(Orders.ID("o-1"), Order{Status: "refused"}).
			ThenStateOf(Wallets.ID("w-1"), Wallet{Cents: 1})
	})
	t.Run("never answered", func(t *testing.T) {
		t.Parallel()
		s := actortest.New(t, Orders, Payments)
		s.When(Orders.ID("o-1"), Place{Wallet: "w-1", Cents: 500}).
			Deliver().
			ThenSent(Wallets.ID("w-1"), Pay{Order: "o-1", Cents: 500}). // nobody here takes it
			ThenNothingElseSent()
		s.Advance(20 * time.Minute).ThenRejected(errAsked).ThenNoTimer("Remind")
		s.Advance(41 * time.Minute).ThenOverdue().ThenNotEnded().ThenNoTimer()
	})
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, Orders, Welcome)
	s.WhenEvent(Orders.ID("o-1"), Placed{Wallet: "w-1", Cents: 1000}).
		ThenSent(Wallets.ID("w-1"), Fill{Cents: 1}).
		ThenNothingElseSent()
	s.WhenEvent(Orders.ID("o-1"), Placed{Wallet: "w-1", Cents: 999}).ThenNothingElseSent()
}

// TestEffects_Reports: each expectation fails when it does not hold.
func TestEffects_Reports(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		then func(s *actortest.Scenario)
		want []string
	}{
		"another command": {func(s *actortest.Scenario) { s.ThenSent(Wallets.ID("w-1"), Pay{Order: "o-2", Cents: 500}) }, []string{"sent", "o-2"}},
		"another address": {func(s *actortest.Scenario) { s.ThenSent(Wallets.ID("w-2"), Pay{Order: "o-1", Cents: 500}) }, []string{"w-2"}},
		"more commands": {func(s *actortest.Scenario) {
			s.ThenSent(Wallets.ID("w-1"), Pay{Order: "o-1", Cents: 500}, Pay{Order: "o-1", Cents: 500})
		}, []string{"sent"}},
		"something else": {func(s *actortest.Scenario) { s.ThenNothingElseSent() }, []string{"sent as well: Pay to wallet/w-1"}},
		"another fallback": {func(s *actortest.Scenario) {
			s.ThenSent(Wallets.ID("w-1"), Pay{Order: "o-1", Cents: 500}).ThenOnRefusal(Unpaid{Order: "o-2"})
		}, []string{"sent back", "o-2"}},
		"time of a timer": {func(s *actortest.Scenario) { s.ThenTimer("Remind", s.Now(), Remind{Cents: 500}) }, []string{"want 2026-01-01T00:00:00Z"}},
		"command of a timer": {func(s *actortest.Scenario) {
			s.ThenTimer("Remind", s.Now().Add(10*time.Minute), Remind{Cents: 5})
		}, []string{"command of timer Remind"}},
		"no such timer": {func(s *actortest.Scenario) { s.ThenTimer("Other", s.Now(), Remind{}) }, []string{"Other is not set", "Remind"}},
		"a timer":       {func(s *actortest.Scenario) { s.ThenNoTimer() }, []string{"is set"}},
		"that timer":    {func(s *actortest.Scenario) { s.ThenNoTimer("Remind") }, []string{"Remind is set"}},
		"ended":         {func(s *actortest.Scenario) { s.ThenEnded() }, []string{"ended is false"}},
		"overdue":       {func(s *actortest.Scenario) { s.ThenOverdue() }, []string{"overdue is false"}},
		"no such command": {func(s *actortest.Scenario) {
			s.ThenSent(Orders.ID("o-1"), Pay{})
		}, []string{"order has no command Pay"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			record(t, func(t testing.TB) {
				test.then(shop(t).WhenEvent(Orders.ID("o-1"), Placed{Wallet: "w-1", Cents: 500}))
			}).wantReport(t, test.want...)
		})
	}
}
