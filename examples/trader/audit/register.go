package audit

import (
	"github.com/ganglion-go/ganglion/actor/reservation"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

// user is somebody who registered.
type user struct {
	username  string
	status    domain.UserStatus
	portfolio string
}

// username is who has a name.
type username struct {
	owner     string
	confirmed bool
}

// company is one that is listed.
type company struct {
	created bool
	books   []string
}

func (l *Ledger) register(id string, e any) {
	switch e := e.(type) {
	case domain.UserRegistrationRequested:
		*at(l.users, id) = user{username: e.Username, status: domain.UserPending}
	case domain.UserRegistered:
		u := at(l.users, id)
		u.status, u.portfolio = domain.UserActive, e.PortfolioID
	case domain.UserRegistrationRejected:
		at(l.users, id).status = domain.UserRejected
	case reservation.Claimed:
		*at(l.usernames, id) = username{owner: e.Owner}
	case reservation.Confirmed:
		*at(l.usernames, id) = username{owner: e.Owner, confirmed: true}
	case reservation.Released, domain.UsernameReleased:
		*at(l.usernames, id) = username{}
	case domain.UsernameClaimed:
		*at(l.usernames, id) = username{owner: e.UserID, confirmed: true}
	case domain.CompanyCreated:
		at(l.companies, id).created = true
	case domain.OrderBookAdded:
		c := at(l.companies, id)
		c.books = append(c.books, e.OrderBookID)
	}
}
