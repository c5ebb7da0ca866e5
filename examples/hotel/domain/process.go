package domain

import "github.com/ganglion-go/ganglion/actor"

// Process is the state of the saga that brings a booking to its end, under the booking's
// id: it has the room hold the nights, has the guest's card charged, and then confirms the
// booking. If the room refuses or the card is declined, it gives back what it holds, and
// refuses the booking.
type Process struct {
	Guest string `json:"guest"`
	Room  string `json:"room"`
	Cents int64  `json:"cents"`
}

// The events and commands of the process.
type (
	// ProcessBegan begins it.
	ProcessBegan struct {
		Guest string `json:"guest"`
		Room  string `json:"room"`
	}
	// Priced says what the nights cost that the room holds.
	Priced struct {
		Cents int64 `json:"cents"`
	}
	// RoomRefused comes back when the room is not free, or there is none.
	RoomRefused struct {
		actor.Replies[actor.None]
		actor.Refused
	}
	// Charged comes back when the card was charged.
	Charged struct {
		actor.Replies[actor.None]
		actor.Performed[Paid]
	}
	// NotCharged comes back when the card was declined, or the provider did not answer for
	// too long.
	NotCharged struct {
		actor.Replies[actor.None]
		actor.GivenUp
	}
)

// Why a booking is refused, but for the reasons of a room.
const (
	ReasonNoRoom     = "no_room"
	ReasonNotCharged = "not_charged"
)

// Processes defines the saga of bookings.
var Processes = actor.DefineSaga("process", func(d *actor.SagaDefinition[Process]) {
	actor.StartsOn(d, Bookings, (*Process).requested, func(_ Requested, r actor.EventRecord) string { return r.Source.ID })
	actor.Reacts(d, Rooms, (*Process).held, func(e NightsHeld, _ actor.EventRecord) string { return e.Booking })
	d.Effects(ChargeCard)
	actor.On(d, (*Process).refused, actor.Internal())
	actor.On(d, (*Process).charged, actor.Internal())
	actor.On(d, (*Process).notCharged, actor.Internal())
	actor.Apply(d, func(p *Process, e ProcessBegan) { p.Guest, p.Room = e.Guest, e.Room })
	actor.Apply(d, func(p *Process, e Priced) { p.Cents = e.Cents })
})

func (p *Process) requested(ctx *actor.Context, e Requested) {
	ctx.Raise(ProcessBegan{Guest: e.Guest, Room: e.Room})
	ctx.Send(Rooms.ID(e.Room), HoldNights{Booking: ctx.Address().ID, Stay: e.Stay}, actor.OnRefusal(RoomRefused{}))
}

func (p *Process) held(ctx *actor.Context, e NightsHeld) {
	ctx.Raise(Priced{Cents: e.Cents})
	ChargeCard.Perform(ctx, Payment{Account: p.Guest, Cents: e.Cents}, Charged{}, NotCharged{})
}

func (p *Process) charged(ctx *actor.Context, c Charged) (actor.None, error) {
	ctx.Send(Bookings.ID(ctx.Address().ID), ConfirmBooking{Charge: c.Result.Charge, Cents: p.Cents})
	ctx.End()
	return actor.None{}, nil
}

func (p *Process) notCharged(ctx *actor.Context, _ NotCharged) (actor.None, error) {
	ctx.Send(Rooms.ID(p.Room), ReleaseNights{Booking: ctx.Address().ID})
	p.refuse(ctx, ReasonNotCharged)
	return actor.None{}, nil
}

func (p *Process) refused(ctx *actor.Context, c RoomRefused) (actor.None, error) {
	reason := c.Refusal.Reason
	if c.Refusal.Code != actor.CodeRejected {
		reason = ReasonNoRoom
	}
	p.refuse(ctx, reason)
	return actor.None{}, nil
}

func (p *Process) refuse(ctx *actor.Context, reason string) {
	ctx.Send(Bookings.ID(ctx.Address().ID), RefuseBooking{Reason: reason})
	ctx.End()
}
