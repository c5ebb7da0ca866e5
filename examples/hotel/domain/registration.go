package domain

import (
	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/reservation"
)

// Registration is the state of the saga that registers a guest, under the guest's id: it
// claims the e-mail address, confirms the claim, and then accepts the guest.
type Registration struct {
	Email string `json:"email"`
}

// RegistrationBegan begins it.
type RegistrationBegan struct {
	Email string `json:"email"`
}

// EmailRefused comes back when another guest has the address, or the claim has lapsed.
type EmailRefused struct {
	actor.Replies[actor.None]
	actor.Refused
}

// Registrations defines the saga of registrations.
var Registrations = actor.DefineSaga("registration", func(d *actor.SagaDefinition[Registration]) {
	actor.StartsOn(d, Guests, (*Registration).requested, func(_ RegistrationRequested, r actor.EventRecord) string { return r.Source.ID })
	actor.Reacts(d, Emails, (*Registration).claimed, func(e reservation.Claimed, _ actor.EventRecord) string { return e.Owner })
	actor.Reacts(d, Emails, (*Registration).confirmed, func(e reservation.Confirmed, _ actor.EventRecord) string { return e.Owner })
	actor.On(d, (*Registration).refused, actor.Internal())
	actor.Apply(d, func(s *Registration, e RegistrationBegan) { s.Email = e.Email })
})

func (s *Registration) requested(ctx *actor.Context, e RegistrationRequested) {
	ctx.Raise(RegistrationBegan{Email: e.Email})
	ctx.Send(Emails.ID(e.Email), reservation.Claim{Owner: ctx.Address().ID}, actor.OnRefusal(EmailRefused{}))
}

func (s *Registration) claimed(ctx *actor.Context, _ reservation.Claimed) {
	ctx.Send(Emails.ID(s.Email), reservation.Confirm{Owner: ctx.Address().ID}, actor.OnRefusal(EmailRefused{}))
}

func (s *Registration) confirmed(ctx *actor.Context, _ reservation.Confirmed) {
	ctx.Send(Guests.ID(ctx.Address().ID), AcceptGuest{})
	ctx.End()
}

func (s *Registration) refused(ctx *actor.Context, c EmailRefused) (actor.None, error) {
	ctx.Send(Guests.ID(ctx.Address().ID), RejectGuest{Reason: c.Refusal.Reason})
	ctx.End()
	return actor.None{}, nil
}
