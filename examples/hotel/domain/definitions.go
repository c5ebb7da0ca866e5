package domain

import "github.com/ganglion-go/ganglion/actor"

// Definitions returns all of the hotel: aggregates and sagas. What charges cards comes from
// the application ([ChargeCard]).
func Definitions() []actor.Registrable {
	return []actor.Registrable{Rooms, Guests, Emails, Bookings, Processes, Registrations}
}
