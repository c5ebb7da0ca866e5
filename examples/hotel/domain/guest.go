package domain

import (
	"net/mail"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/reservation"
)

// GuestStatus is where the registration of a guest stands.
type GuestStatus string

// The states of a guest.
const (
	GuestPending  GuestStatus = "pending"
	GuestActive   GuestStatus = "active"
	GuestRejected GuestStatus = "rejected"
)

// Guest is the state of somebody who books.
type Guest struct {
	Name   string      `json:"name"`
	Email  string      `json:"email"`
	Status GuestStatus `json:"status"`
	Reason string      `json:"reason,omitempty"` // of a rejection
}

// RegisterGuest asks for a registration, which holds once the e-mail address is claimed.
type RegisterGuest struct {
	actor.Replies[actor.None]
	Name  string `json:"name"`
	Email string `json:"email"`
}

// RegistrationRequested follows from [RegisterGuest].
type RegistrationRequested struct {
	Name  string `json:"name"`
	Email string `json:"email"` // as [NormalizeEmail] writes it
}

// AcceptGuest says that the e-mail address is the guest's.
type AcceptGuest struct{ actor.Replies[actor.None] }

// GuestRegistered follows from [AcceptGuest].
type GuestRegistered struct{}

// RejectGuest says that another guest has the e-mail address.
type RejectGuest struct {
	actor.Replies[actor.None]
	Reason string `json:"reason"`
}

// RegistrationRejected follows from [RejectGuest].
type RegistrationRejected struct {
	Reason string `json:"reason"`
}

// The rejections of a guest.
var (
	ErrInvalidGuest = actor.Reject("invalid_guest", "a guest has a name and an e-mail address")
	ErrEmailTaken   = actor.Reject("email_taken", "another guest has the e-mail address")
)

// emailWithin is how long a claim of an e-mail address stands that nobody confirms.
const emailWithin = 5 * time.Minute

// Emails defines kind email: the aggregate of each address says which guest has it.
var Emails = reservation.Define("email", reservation.Config{Within: emailWithin, Taken: ErrEmailTaken, Internal: true})

// NormalizeEmail returns the form of an e-mail address under which it is unique: without
// a display name, in lower case. ok is false for a text that is no address.
func NormalizeEmail(text string) (_ string, ok bool) {
	address, err := mail.ParseAddress(text)
	if err != nil {
		return "", false
	}
	normal := strings.ToLower(address.Address)
	return normal, Emails.ID(normal).Validate() == nil
}

// Guests defines kind guest.
var Guests = actor.Define("guest", func(d *actor.Definition[Guest]) {
	actor.On(d, (*Guest).register, actor.NewOnly())
	actor.On(d, (*Guest).accept, actor.ExistingOnly(), actor.Internal())
	actor.On(d, (*Guest).reject, actor.ExistingOnly(), actor.Internal())
	actor.Apply(d, func(g *Guest, e RegistrationRequested) { g.Name, g.Email, g.Status = e.Name, e.Email, GuestPending })
	actor.Apply(d, func(g *Guest, _ GuestRegistered) { g.Status = GuestActive })
	actor.Apply(d, func(g *Guest, e RegistrationRejected) { g.Status, g.Reason = GuestRejected, e.Reason })
	d.Rejections(ErrInvalidGuest)
})

func (g *Guest) register(ctx *actor.Context, c RegisterGuest) (actor.None, error) {
	email, ok := NormalizeEmail(c.Email)
	if !ok || c.Name == "" {
		return actor.None{}, ErrInvalidGuest
	}
	ctx.Raise(RegistrationRequested{Name: c.Name, Email: email})
	return actor.None{}, nil
}

func (g *Guest) accept(ctx *actor.Context, _ AcceptGuest) (actor.None, error) {
	if g.Status == GuestPending {
		ctx.Raise(GuestRegistered{})
	}
	return actor.None{}, nil
}

func (g *Guest) reject(ctx *actor.Context, c RejectGuest) (actor.None, error) {
	if g.Status == GuestPending {
		ctx.Raise(RegistrationRejected{Reason: c.Reason})
	}
	return actor.None{}, nil
}
