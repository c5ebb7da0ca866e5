package domain

import (
	"slices"

	"github.com/ganglion-go/ganglion/actor"
)

// Room is the state of one room. The aggregate's id is its number.
type Room struct {
	Name   string            `json:"name"`
	Cents  int64             `json:"cents"`  // price of a night
	Booked map[string]string `json:"booked"` // booking of the night that begins on the evening of a day
}

// OpenRoom takes a room into service.
type OpenRoom struct {
	actor.Replies[actor.None]
	Name  string `json:"name"`
	Cents int64  `json:"cents"` // price of a night, more than 0
}

// RoomOpened follows from [OpenRoom].
type RoomOpened struct {
	Name  string `json:"name"`
	Cents int64  `json:"cents"`
}

// HoldNights books the nights of a stay, all of them or none. Again for the same booking,
// it changes nothing.
type HoldNights struct {
	actor.Replies[actor.None]
	Booking string `json:"booking"`
	Stay
}

// NightsHeld follows from [HoldNights].
type NightsHeld struct {
	Booking string `json:"booking"`
	Stay
	Cents int64 `json:"cents"` // price of all nights
}

// ReleaseNights gives back the nights of a booking. It changes nothing if there are none.
type ReleaseNights struct {
	actor.Replies[actor.None]
	Booking string `json:"booking"`
}

// NightsReleased follows from [ReleaseNights].
type NightsReleased struct {
	Booking string   `json:"booking"`
	Days    []string `json:"days"` // in order
}

// The rejections of a room.
var (
	ErrInvalidRoom = actor.Reject("invalid_room", "a room has a name, and a price between 1 cent and 1,000,000")
	ErrNotFree     = actor.Reject("not_free", "the room is not free in all of these nights")
)

// centsMax is the highest price of a night.
const centsMax = 100_000_000

// Rooms defines kind room.
var Rooms = actor.Define("room", func(d *actor.Definition[Room]) {
	actor.On(d, (*Room).open, actor.NewOnly())
	actor.On(d, (*Room).hold, actor.ExistingOnly(), actor.Internal())
	actor.On(d, (*Room).release, actor.ExistingOnly(), actor.Internal())
	actor.Apply(d, (*Room).opened)
	actor.Apply(d, (*Room).held)
	actor.Apply(d, (*Room).released)
	d.Rejections(ErrInvalidRoom, ErrInvalidStay, ErrNotFree)
})

func (r *Room) open(ctx *actor.Context, c OpenRoom) (actor.None, error) {
	if c.Name == "" || c.Cents < 1 || c.Cents > centsMax {
		return actor.None{}, ErrInvalidRoom
	}
	ctx.Raise(RoomOpened{Name: c.Name, Cents: c.Cents})
	return actor.None{}, nil
}

func (r *Room) hold(ctx *actor.Context, c HoldNights) (actor.None, error) {
	days, err := c.Days()
	if err != nil {
		return actor.None{}, err
	}
	has := 0
	for _, day := range days {
		switch r.Booked[day] {
		case "":
		case c.Booking:
			has++
		default:
			return actor.None{}, ErrNotFree
		}
	}
	if has < len(days) {
		ctx.Raise(NightsHeld{Booking: c.Booking, Stay: c.Stay, Cents: r.Cents * int64(len(days))})
	}
	return actor.None{}, nil
}

func (r *Room) release(ctx *actor.Context, c ReleaseNights) (actor.None, error) {
	var days []string
	for day, booking := range r.Booked {
		if booking == c.Booking {
			days = append(days, day)
		}
	}
	if len(days) > 0 {
		slices.Sort(days) // a decision depends on nothing but its input
		ctx.Raise(NightsReleased{Booking: c.Booking, Days: days})
	}
	return actor.None{}, nil
}

func (r *Room) opened(e RoomOpened) { r.Name, r.Cents = e.Name, e.Cents }

func (r *Room) held(e NightsHeld) {
	if r.Booked == nil {
		r.Booked = map[string]string{}
	}
	days, _ := e.Days() // checked before it became an event
	for _, day := range days {
		r.Booked[day] = e.Booking
	}
}

func (r *Room) released(e NightsReleased) {
	for _, day := range e.Days {
		delete(r.Booked, day)
	}
}
