package domain

import "github.com/ganglion-go/ganglion/actor"

// Definitions returns all kinds of aggregates of the application.
func Definitions() []actor.Registrable {
	return []actor.Registrable{Companies, OrderBooks, Portfolios, Transactions, Users, Usernames}
}
