package domain

import "github.com/ganglion-go/ganglion/actor"

// Definitions returns all of the application: aggregates, sagas and policies.
func Definitions() []actor.Registrable {
	return []actor.Registrable{
		Companies, OrderBooks, Portfolios, Transactions, Users, Usernames,
		Buyings, Sellings, Registrations, Listing, Opening,
	}
}
