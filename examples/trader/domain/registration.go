package domain

import (
	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/reservation"
)

// Registration is the state of the saga that registers a user, under the user's id:
// it claims the name, confirms the claim, and only then completes the registration.
// In another order, a claim could lapse and be another's while this user has it too.
type Registration struct {
	Username string `json:"username"` // as it is claimed
}

// The events and commands of a registration.
type (
	// RegistrationStarted begins it.
	RegistrationStarted struct {
		Username string `json:"username"`
	}
	// ClaimRefused comes back when another has the name, or the claim has lapsed.
	ClaimRefused struct {
		actor.Replies[actor.None]
		actor.Refused
	}
	// CompletionRefused comes back when the registration has been decided otherwise.
	CompletionRefused struct {
		actor.Replies[actor.None]
		actor.Refused
	}
)

// reasonInvalidUsername is why a registration is rejected whose name nobody can claim.
const reasonInvalidUsername = "invalid_username"

// Registrations defines the saga of registrations.
var Registrations = actor.DefineSaga("registration", func(d *actor.SagaDefinition[Registration]) {
	actor.StartsOn(d, Users, (*Registration).started, func(_ UserRegistrationRequested, r actor.EventRecord) string { return r.Source.ID })
	actor.Reacts(d, Usernames, (*Registration).claimed, func(e reservation.Claimed, _ actor.EventRecord) string { return sagaID(e.Owner) })
	actor.Reacts(d, Usernames, (*Registration).confirmed, func(e reservation.Confirmed, _ actor.EventRecord) string { return sagaID(e.Owner) })
	actor.Reacts(d, Users, func(_ *Registration, ctx *actor.Context, _ UserRegistered) { ctx.End() },
		func(_ UserRegistered, r actor.EventRecord) string { return r.Source.ID })
	actor.Reacts(d, Users, func(s *Registration, ctx *actor.Context, _ UserRegistrationRejected) { s.giveUp(ctx) },
		func(_ UserRegistrationRejected, r actor.EventRecord) string { return r.Source.ID })
	actor.On(d, (*Registration).claimRefused, actor.Internal())
	actor.On(d, (*Registration).completionRefused, actor.Internal())
	actor.Apply(d, func(s *Registration, e RegistrationStarted) { s.Username = e.Username })
	actor.SagaDeadline(d, StepWithin)
})

func (s *Registration) started(ctx *actor.Context, e UserRegistrationRequested) {
	name, err := NormalizeUsername(e.Username)
	if err != nil {
		ctx.Send(Users.ID(ctx.Address().ID), RejectRegistration{Reason: reasonInvalidUsername})
		ctx.End()
		return
	}
	ctx.Raise(RegistrationStarted{Username: name})
	ctx.Send(s.name(), ClaimUsername{UserID: ctx.Address().ID}, actor.OnRefusal(ClaimRefused{}))
}

func (s *Registration) name() actor.Address { return Usernames.ID(s.Username) }

func (s *Registration) claimed(ctx *actor.Context, _ reservation.Claimed) {
	if comesFrom(ctx, s.name()) {
		ctx.Send(s.name(), ConfirmUsername{UserID: ctx.Address().ID}, actor.OnRefusal(ClaimRefused{}))
	}
}

func (s *Registration) confirmed(ctx *actor.Context, _ reservation.Confirmed) {
	if comesFrom(ctx, s.name()) {
		ctx.Send(Users.ID(ctx.Address().ID), CompleteRegistration{}, actor.OnRefusal(CompletionRefused{}))
	}
}

func (s *Registration) claimRefused(ctx *actor.Context, m ClaimRefused) (actor.None, error) {
	ctx.Send(Users.ID(ctx.Address().ID), RejectRegistration{Reason: refusedStep(m.Refusal).Reason})
	ctx.End()
	return actor.None{}, nil
}

func (s *Registration) completionRefused(ctx *actor.Context, _ CompletionRefused) (actor.None, error) {
	s.giveUp(ctx)
	return actor.None{}, nil
}

// giveUp gives back the name, which comes after its claim.
func (s *Registration) giveUp(ctx *actor.Context) {
	ctx.Send(s.name(), ReleaseUsername{UserID: ctx.Address().ID})
	ctx.End()
}
