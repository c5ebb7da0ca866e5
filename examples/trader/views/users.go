package views

import (
	"context"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/projection"
)

// User is somebody who registered. The password's hash is in no view.
type User struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Username    string            `json:"username"`
	Status      domain.UserStatus `json:"status"`
	PortfolioID string            `json:"portfolioId,omitempty"`
	Reason      string            `json:"reason,omitempty"`
}

var users = projection.NewCollection[User]("users")

// Users is the projection of everybody who registered.
var Users = projection.Define("users", func(d *projection.Definition) {
	d.Collections(users)
	onUser(d, func(u *User, e domain.UserRegistrationRequested) {
		u.Name, u.Username, u.Status = e.Name, e.Username, domain.UserPending
	})
	onUser(d, func(u *User, e domain.UserRegistered) { u.Status, u.PortfolioID = domain.UserActive, e.PortfolioID })
	onUser(d, func(u *User, e domain.UserRegistrationRejected) { u.Status, u.Reason = domain.UserRejected, e.Reason })
})

func onUser[E any](d *projection.Definition, apply func(*User, E)) {
	projection.On(d, domain.Users, func(ctx context.Context, tx *projection.Tx, e projection.Event[E]) error {
		return users.Update(ctx, tx, e.Source.ID, func(u *User) error {
			u.ID = e.Source.ID
			apply(u, e.Data)
			return nil
		})
	})
}
