// Package views has the read models of the hotel: rooms with their booked nights, and the
// bookings of each guest.
//
// # Concurrency
//
// That of package projection.
//
// # Failures
//
// Handlers fail with the storage alone.
package views

import (
	"context"

	"github.com/ganglion-go/ganglion/examples/hotel/domain"
	"github.com/ganglion-go/ganglion/projection"
)

// All returns the projections of the hotel.
func All() []*projection.Projection { return []*projection.Projection{Calendar, Stays} }

// Room is a room in service.
type Room struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Cents int64  `json:"cents"` // price of a night
}

// Night is a booked night.
type Night struct {
	Room    string `json:"room"`
	Day     string `json:"day"`
	Booking string `json:"booking"`
}

// The collections of [Calendar].
var (
	Rooms  = projection.NewCollection[Room]("rooms")   // by number
	Nights = projection.NewCollection[Night]("nights") // by Key(room, day)
)

// Calendar is the projection of the rooms, and of their booked nights.
var Calendar = projection.Define("calendar", func(d *projection.Definition) {
	d.Collections(Rooms, Nights)
	projection.On(d, domain.Rooms, func(_ context.Context, tx *projection.Tx, e projection.Event[domain.RoomOpened]) error {
		return Rooms.Put(tx, e.Source.ID, Room{ID: e.Source.ID, Name: e.Data.Name, Cents: e.Data.Cents})
	})
	projection.On(d, domain.Rooms, func(_ context.Context, tx *projection.Tx, e projection.Event[domain.NightsHeld]) error {
		days, err := e.Data.Days()
		for _, day := range days {
			if err == nil {
				err = Nights.Put(tx, projection.Key(e.Source.ID, day), Night{Room: e.Source.ID, Day: day, Booking: e.Data.Booking})
			}
		}
		return err
	})
	projection.On(d, domain.Rooms, func(_ context.Context, tx *projection.Tx, e projection.Event[domain.NightsReleased]) error {
		for _, day := range e.Data.Days {
			if err := Nights.Delete(tx, projection.Key(e.Source.ID, day)); err != nil {
				return err
			}
		}
		return nil
	})
})

// Booking is a booking as its guest sees it.
type Booking struct {
	ID    string `json:"id"`
	Guest string `json:"guest"`
	Room  string `json:"room"`
	domain.Stay
	Status domain.BookingStatus `json:"status"`
	Cents  int64                `json:"cents,omitempty"`
	Reason string               `json:"reason,omitempty"`
}

var (
	// Bookings are those of all guests, by Key(guest, booking).
	Bookings = projection.NewCollection[Booking]("bookings")

	guests = projection.NewCollection[string]("guests") // by booking
)

// Stays is the projection of the bookings.
var Stays = projection.Define("stays", func(d *projection.Definition) {
	d.Collections(Bookings, guests)
	d.Internal(guests)
	projection.On(d, domain.Bookings, func(_ context.Context, tx *projection.Tx, e projection.Event[domain.Requested]) error {
		if err := guests.Put(tx, e.Source.ID, e.Data.Guest); err != nil {
			return err
		}
		return Bookings.Put(tx, projection.Key(e.Data.Guest, e.Source.ID), Booking{
			ID: e.Source.ID, Guest: e.Data.Guest, Room: e.Data.Room, Stay: e.Data.Stay, Status: domain.BookingRequested,
		})
	})
	onEnd(d, func(b *Booking, e domain.Confirmed) { b.Status, b.Cents = domain.BookingConfirmed, e.Cents })
	onEnd(d, func(b *Booking, e domain.Refused) { b.Status, b.Reason = domain.BookingRefused, e.Reason })
})

func onEnd[E any](d *projection.Definition, apply func(*Booking, E)) {
	projection.On(d, domain.Bookings, func(ctx context.Context, tx *projection.Tx, e projection.Event[E]) error {
		guest, _, err := guests.Get(ctx, tx, e.Source.ID)
		if err != nil {
			return err
		}
		return Bookings.Update(ctx, tx, projection.Key(guest, e.Source.ID), func(b *Booking) error {
			apply(b, e.Data)
			return nil
		})
	})
}
