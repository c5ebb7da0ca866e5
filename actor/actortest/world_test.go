package actortest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
)

type (
	card    struct{ Amount int }
	receipt struct{ Number string }

	booking struct{ Receipt, Refused string }

	book    struct{ actor.Replies[actor.None] }
	bookTwo struct{ actor.Replies[actor.None] }
	charged struct {
		actor.Replies[actor.None]
		actor.Performed[receipt]
		Room string
	}
	chargeFailed struct {
		actor.Replies[actor.None]
		actor.GivenUp
	}
	booked  struct{ Receipt string }
	refused struct{ Why string }
)

var errDown = errors.New("the provider is down")

func chargeCard(policy actor.EffectPolicy) *actor.Effect[card, receipt] {
	return actor.DefineEffect[card, receipt]("chargeCard", policy)
}

func bookings(charge *actor.Effect[card, receipt]) *actor.Aggregate[booking] {
	return actor.Define("booking", func(d *actor.Definition[booking]) {
		actor.On(d, func(_ *booking, ctx *actor.Context, _ book) (actor.None, error) {
			charge.Perform(ctx, card{Amount: 80}, charged{Room: "7"}, chargeFailed{})
			return actor.None{}, nil
		})
		actor.On(d, func(_ *booking, ctx *actor.Context, _ bookTwo) (actor.None, error) {
			charge.Perform(ctx, card{Amount: 1}, charged{Room: "1"}, chargeFailed{})
			charge.Perform(ctx, card{Amount: 2}, charged{Room: "2"}, chargeFailed{})
			return actor.None{}, nil
		})
		actor.On(d, func(_ *booking, ctx *actor.Context, c charged) (actor.None, error) {
			ctx.Raise(booked{Receipt: c.Result.Number + "/" + c.Room})
			return actor.None{}, nil
		})
		actor.On(d, func(_ *booking, ctx *actor.Context, c chargeFailed) (actor.None, error) {
			ctx.Raise(refused{Why: string(c.Failure.Reason) + ": " + c.Failure.Error})
			return actor.None{}, nil
		})
		actor.Apply(d, func(b *booking, e booked) { b.Receipt = e.Receipt })
		actor.Apply(d, func(b *booking, e refused) { b.Refused = e.Why })
	})
}

func TestScenario_EffectFailsTwiceThenSucceeds(t *testing.T) {
	t.Parallel()
	charge := chargeCard(actor.EffectPolicy{FirstRetry: 10 * time.Second})
	b := bookings(charge)
	s := actortest.New(t, b).Performs(actortest.Answers(charge,
		actortest.Fails[receipt](errDown), actortest.Fails[receipt](errDown), actortest.Succeeds(receipt{Number: "r-1"})))
	s.When(b.ID("x"), book{}).ThenAsked("chargeCard", card{Amount: 80}).ThenNoTimer()
	s.Deliver().ThenAttempted("chargeCard", 1)
	s.Advance(9*time.Second).ThenAttempted("chargeCard").ThenPending(b.ID("x"), 1)
	s.Advance(time.Second).ThenAttempted("chargeCard", 2)
	s.Advance(20*time.Second).ThenAttempted("chargeCard", 3).
		ThenRaised(booked{Receipt: "r-1/7"}).ThenPending(b.ID("x"), 0)
	all := s.Attempts()
	if len(all) != 3 || all[0].Key == "" || all[0].Key != all[2].Key || all[0].Deadline != all[0].At.Add(30*time.Second) || all[2].Err != nil {
		t.Errorf("attempts %+v", all)
	}
	s.Advance(48 * time.Hour).ThenAttempted("chargeCard")
}

func TestScenario_EffectTimesOut(t *testing.T) {
	t.Parallel()
	charge := chargeCard(actor.EffectPolicy{Timeout: time.Minute, MaxAttempts: 2, FirstRetry: time.Second})
	b := bookings(charge)
	s := actortest.New(t, b).Performs(actortest.Answers(charge, actortest.TimesOut[receipt]()))
	began := s.Now()
	s.When(b.ID("x"), book{})
	s.Advance(time.Hour).ThenRaised(refused{Why: "attempts: context deadline exceeded"})
	if all := s.Attempts(); len(all) != 2 || all[1].At.Sub(began) != 61*time.Second {
		t.Errorf("attempts %+v", all)
	}
}

func TestScenario_EffectGivenUpLetsTheNextGo(t *testing.T) {
	t.Parallel()
	charge := chargeCard(actor.EffectPolicy{})
	b := bookings(charge)
	var amounts []int
	s := actortest.New(t, b).Performs(charge.By(func(_ context.Context, call actor.Call, c card) (receipt, error) {
		amounts = append(amounts, c.Amount)
		if c.Amount == 1 {
			return receipt{}, actor.Final(errDown)
		}
		return receipt{Number: "r"}, nil
	}))
	s.When(b.ID("x"), bookTwo{}).Deliver().ThenPending(b.ID("x"), 0)
	s.ThenAttempted("chargeCard", 1, 1)
	if len(amounts) != 2 || amounts[0] != 1 {
		t.Errorf("amounts %v", amounts)
	}
}

func TestScenario_EffectStaysWithoutPerformer(t *testing.T) {
	t.Parallel()
	b := bookings(chargeCard(actor.EffectPolicy{}))
	s := actortest.New(t, b)
	s.When(b.ID("x"), book{}).Deliver()
	s.Advance(24*time.Hour).ThenPending(b.ID("x"), 1)
}
