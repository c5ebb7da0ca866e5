package domain

import "github.com/ganglion-go/ganglion/actor"

// BookingStatus is where a booking stands.
type BookingStatus string

// The states of a booking.
const (
	BookingRequested BookingStatus = "requested"
	BookingConfirmed BookingStatus = "confirmed"
	BookingRefused   BookingStatus = "refused"
)

// Booking is the state of one wish to stay.
type Booking struct {
	Guest string `json:"guest"`
	Room  string `json:"room"`
	Stay
	Status BookingStatus `json:"status"`
	Cents  int64         `json:"cents,omitempty"`  // that were charged
	Charge string        `json:"charge,omitempty"` // id of the charge at the payment provider
	Reason string        `json:"reason,omitempty"` // of a refusal
}

// RequestBooking asks for a stay. Who is authenticated books for themselves.
type RequestBooking struct {
	actor.Replies[actor.None]
	Guest string `json:"guest,omitempty"` // empty: the principal who sends it
	Room  string `json:"room"`
	Stay
}

// Requested follows from [RequestBooking].
type Requested struct {
	Guest string `json:"guest"`
	Room  string `json:"room"`
	Stay
}

// ConfirmBooking says that the nights are held and paid.
type ConfirmBooking struct {
	actor.Replies[actor.None]
	Charge string `json:"charge"`
	Cents  int64  `json:"cents"`
}

// Confirmed follows from [ConfirmBooking].
type Confirmed struct {
	Charge string `json:"charge"`
	Cents  int64  `json:"cents"`
}

// RefuseBooking says why there will be no stay.
type RefuseBooking struct {
	actor.Replies[actor.None]
	Reason string `json:"reason"`
}

// Refused follows from [RefuseBooking].
type Refused struct {
	Reason string `json:"reason"`
}

// ErrInvalidBooking rejects a booking of what cannot be: no guest, or no room.
var ErrInvalidBooking = actor.Reject("invalid_booking", "a booking names a guest and a room")

// ErrNotYours rejects a booking for somebody else.
var ErrNotYours = actor.Reject("not_yours", "guests book for themselves")

// Bookings defines kind booking.
var Bookings = actor.Define("booking", func(d *actor.Definition[Booking]) {
	actor.On(d, (*Booking).request, actor.NewOnly())
	actor.On(d, (*Booking).confirm, actor.ExistingOnly(), actor.Internal())
	actor.On(d, (*Booking).refuse, actor.ExistingOnly(), actor.Internal())
	actor.Apply(d, (*Booking).requested)
	actor.Apply(d, (*Booking).confirmed)
	actor.Apply(d, (*Booking).refused)
	d.Rejections(ErrInvalidBooking, ErrInvalidStay, ErrNotYours)
})

func (b *Booking) request(ctx *actor.Context, c RequestBooking) (actor.None, error) {
	switch user := ctx.Metadata().User; {
	case c.Guest == "":
		c.Guest = user
	case user != "" && user != c.Guest:
		return actor.None{}, ErrNotYours
	}
	if Guests.ID(c.Guest).Validate() != nil || Rooms.ID(c.Room).Validate() != nil {
		return actor.None{}, ErrInvalidBooking
	}
	if _, err := c.Days(); err != nil {
		return actor.None{}, err
	}
	ctx.Raise(Requested{Guest: c.Guest, Room: c.Room, Stay: c.Stay})
	return actor.None{}, nil
}

func (b *Booking) confirm(ctx *actor.Context, c ConfirmBooking) (actor.None, error) {
	if b.Status == BookingRequested {
		ctx.Raise(Confirmed{Charge: c.Charge, Cents: c.Cents})
	}
	return actor.None{}, nil
}

func (b *Booking) refuse(ctx *actor.Context, c RefuseBooking) (actor.None, error) {
	if b.Status == BookingRequested {
		ctx.Raise(Refused{Reason: c.Reason})
	}
	return actor.None{}, nil
}

func (b *Booking) requested(e Requested) {
	b.Guest, b.Room, b.Stay, b.Status = e.Guest, e.Room, e.Stay, BookingRequested
}

func (b *Booking) confirmed(e Confirmed) {
	b.Charge, b.Cents, b.Status = e.Charge, e.Cents, BookingConfirmed
}

func (b *Booking) refused(e Refused) { b.Reason, b.Status = e.Reason, BookingRefused }
