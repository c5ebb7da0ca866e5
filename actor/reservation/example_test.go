package reservation_test

import (
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
	"github.com/ganglion-go/ganglion/actor/reservation"
)

// This is the registration of docs/set-validation.md: names with commands of their
// own, users, and the saga between them.

type (
	Username      struct{ reservation.Reservation }
	ClaimUsername struct {
		actor.Replies[actor.None]
		UserID string `json:"userId"`
	}
	ConfirmUsername struct {
		actor.Replies[actor.None]
		UserID string `json:"userId"`
	}
)

var ErrUsernameTaken = actor.Reject("username_taken", "the name is taken")

var Usernames = actor.Define("username", func(d *actor.Definition[Username]) {
	r := reservation.Declare(d, reservation.Config{Within: time.Minute, Taken: ErrUsernameTaken},
		func(u *Username) *reservation.Reservation { return &u.Reservation })
	actor.On(d, func(u *Username, ctx *actor.Context, c ClaimUsername) (actor.None, error) {
		_, err := r.Claim(u, ctx, c.UserID)
		return actor.None{}, err
	})
	actor.On(d, func(u *Username, ctx *actor.Context, c ConfirmUsername) (actor.None, error) {
		_, err := r.Confirm(u, ctx, c.UserID)
		return actor.None{}, err
	})
})

type (
	User         struct{ Status string }
	RegisterUser struct {
		actor.Replies[actor.None]
		Name string `json:"name"`
	}
	FinishRegistration struct {
		actor.Replies[actor.None]
		Refused string `json:"refused,omitempty"`
	}
	RegistrationRequested struct {
		Name string `json:"name"`
	}
	Registered           struct{}
	RegistrationRejected struct {
		Reason string `json:"reason"`
	}
)

var Users = actor.Define("user", func(d *actor.Definition[User]) {
	actor.On(d, func(_ *User, ctx *actor.Context, c RegisterUser) (actor.None, error) {
		ctx.Raise(RegistrationRequested{Name: c.Name})
		return actor.None{}, nil
	}, actor.NewOnly())
	actor.On(d, func(_ *User, ctx *actor.Context, c FinishRegistration) (actor.None, error) {
		if c.Refused != "" {
			ctx.Raise(RegistrationRejected{Reason: c.Refused})
		} else {
			ctx.Raise(Registered{})
		}
		return actor.None{}, nil
	}, actor.ExistingOnly())
	actor.Apply(d, func(u *User, _ RegistrationRequested) { u.Status = "pending" })
	actor.Apply(d, func(u *User, _ Registered) { u.Status = "active" })
	actor.Apply(d, func(u *User, e RegistrationRejected) { u.Status = e.Reason })
})

type (
	Registration struct{ Name string }
	Began        struct {
		Name string `json:"name"`
	}
	NameRefused struct {
		actor.Replies[actor.None]
		actor.Refused
	}
)

var Registrations = actor.DefineSaga("registration", func(d *actor.SagaDefinition[Registration]) {
	actor.StartsOn(d, Users, func(_ *Registration, ctx *actor.Context, e RegistrationRequested) {
		ctx.Raise(Began(e))
		ctx.Send(Usernames.ID(e.Name), ClaimUsername{UserID: ctx.Address().ID}, actor.OnRefusal(NameRefused{}))
	}, func(_ RegistrationRequested, r actor.EventRecord) string { return r.Source.ID })
	actor.Reacts(d, Usernames, func(r *Registration, ctx *actor.Context, e reservation.Claimed) {
		ctx.Send(Usernames.ID(r.Name), ConfirmUsername{UserID: e.Owner}, actor.OnRefusal(NameRefused{}))
	}, func(e reservation.Claimed, _ actor.EventRecord) string { return e.Owner })
	actor.Reacts(d, Usernames, func(_ *Registration, ctx *actor.Context, e reservation.Confirmed) {
		ctx.Send(Users.ID(e.Owner), FinishRegistration{})
		ctx.End()
	}, func(e reservation.Confirmed, _ actor.EventRecord) string { return e.Owner })
	actor.On(d, func(_ *Registration, ctx *actor.Context, c NameRefused) (actor.None, error) {
		ctx.Send(Users.ID(ctx.Address().ID), FinishRegistration{Refused: c.Refusal.Reason})
		ctx.End()
		return actor.None{}, nil
	})
	actor.Apply(d, func(r *Registration, e Began) { r.Name = e.Name })
	actor.SagaDeadline(d, time.Hour)
})

// TestRegistration: of two users who want one name, one gets it.
func TestRegistration(t *testing.T) {
	t.Parallel()
	actortest.New(t, Usernames, Users, Registrations).
		When(Users.ID("u-1"), RegisterUser{Name: "ann"}).
		When(Users.ID("u-2"), RegisterUser{Name: "ann"}).
		When(Users.ID("u-3"), RegisterUser{Name: "bob"}).
		Deliver().ThenNothingElseSent().
		ThenStateOf(Users.ID("u-1"), User{Status: "active"}).
		ThenStateOf(Users.ID("u-2"), User{Status: "username_taken"}).
		ThenStateOf(Users.ID("u-3"), User{Status: "active"}).
		ThenStateOf(Usernames.ID("ann"), func(u *Username) {
			if u.Owner != "u-1" || !u.Confirmed {
				t.Errorf("%+v", u)
			}
		}).
		Advance(time.Hour)
}
