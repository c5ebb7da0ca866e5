package domain

import (
	"strings"

	"github.com/ganglion-go/ganglion/actor"
)

// UserStatus is where a registration stands.
type UserStatus string

// The states of a user.
const (
	UserPending  UserStatus = "pending"
	UserActive   UserStatus = "active"
	UserRejected UserStatus = "rejected"
)

// User is the state of someone who trades.
type User struct {
	Name         string     `json:"name"`
	Username     string     `json:"username"`
	PasswordHash string     `json:"passwordHash"`
	Status       UserStatus `json:"status"`
	PortfolioID  string     `json:"portfolioId"`
	Reason       string     `json:"reason,omitempty"`
}

// RegisterUser asks for a registration, which holds once the user name is
// claimed. The password hash is in the form of argon2id or bcrypt; a password
// must never reach a command.
type RegisterUser struct {
	actor.Replies[actor.None]
	Name         string `json:"name"`
	Username     string `json:"username"`
	PasswordHash string `json:"passwordHash"`
}

// UserRegistrationRequested follows from [RegisterUser].
type UserRegistrationRequested struct {
	Name         string `json:"name"`
	Username     string `json:"username"`
	PasswordHash string `json:"passwordHash"`
}

// ReadPasswordHash asks for the hash that a password is compared with; empty: there is no
// such user. It is the application's own.
type ReadPasswordHash struct{ actor.Replies[string] }

// CompleteRegistration says that the user name is claimed.
type CompleteRegistration struct{ actor.Replies[actor.None] }

// UserRegistered follows from [CompleteRegistration]. The portfolio's id is the
// user's own, so that creating it twice cannot make two.
type UserRegistered struct {
	PortfolioID string `json:"portfolioId"`
}

// RejectRegistration says that the user name could not be claimed.
type RejectRegistration struct {
	actor.Replies[actor.None]
	Reason string `json:"reason"`
}

// UserRegistrationRejected follows from [RejectRegistration].
type UserRegistrationRejected struct {
	Reason string `json:"reason"`
}

// The rejections of a user.
var (
	ErrInvalidRegistration = actor.Reject("invalid_registration", "a name and a user name by RFC 8265 must be given, and the password hashed with argon2id or bcrypt")
	ErrRegistrationClosed  = actor.Reject("registration_closed", "the registration has been decided otherwise")
)

// Users defines kind user.
var Users = actor.Define("user", func(d *actor.Definition[User]) {
	actor.On(d, (*User).register, actor.NewOnly())
	actor.On(d, (*User).complete, actor.ExistingOnly(), actor.Internal())
	actor.On(d, (*User).reject, actor.ExistingOnly(), actor.Internal())
	actor.Apply(d, (*User).requested, actor.Redact(func(e UserRegistrationRequested) any {
		return map[string]string{"name": e.Name, "username": e.Username} // the password is nobody's business, hashed or not
	}))
	actor.Apply(d, (*User).registered, actor.Public())
	actor.Apply(d, (*User).rejected, actor.Public())
	actor.View(d, (*User).view)
	actor.Query(d, func(u *User, _ *actor.QueryContext, _ ReadPasswordHash) (string, error) { return u.PasswordHash, nil }, actor.Internal())
	d.Rejections(ErrInvalidRegistration, ErrRegistrationClosed)
})

func (u *User) register(ctx *actor.Context, m RegisterUser) (actor.None, error) {
	if _, err := NormalizeUsername(m.Username); err != nil || m.Name == "" || !hashed(m.PasswordHash) {
		return actor.None{}, ErrInvalidRegistration
	}
	ctx.Raise(UserRegistrationRequested{Name: m.Name, Username: m.Username, PasswordHash: m.PasswordHash})
	return actor.None{}, nil
}

// hashed looks for the head that the two kinds of hash have in common use.
func hashed(password string) bool {
	for _, head := range []string{"$argon2id$", "$2a$", "$2b$", "$2y$"} {
		if strings.HasPrefix(password, head) {
			return true
		}
	}
	return false
}

func (u *User) complete(ctx *actor.Context, _ CompleteRegistration) (actor.None, error) {
	switch u.Status {
	case UserPending:
		ctx.Raise(UserRegistered{PortfolioID: ctx.Address().ID})
		return actor.None{}, nil
	case UserActive:
		return actor.None{}, nil // again
	default:
		return actor.None{}, ErrRegistrationClosed
	}
}

func (u *User) reject(ctx *actor.Context, m RejectRegistration) (actor.None, error) {
	switch u.Status {
	case UserPending:
		ctx.Raise(UserRegistrationRejected{Reason: m.Reason})
		return actor.None{}, nil
	case UserRejected:
		return actor.None{}, nil // again
	default:
		return actor.None{}, ErrRegistrationClosed
	}
}

func (u *User) requested(e UserRegistrationRequested) {
	u.Name, u.Username, u.PasswordHash, u.Status = e.Name, e.Username, e.PasswordHash, UserPending
}

func (u *User) registered(e UserRegistered) { u.Status, u.PortfolioID = UserActive, e.PortfolioID }

func (u *User) rejected(e UserRegistrationRejected) { u.Status, u.Reason = UserRejected, e.Reason }

// UserView is what a read of a user shows: not the password's hash.
type UserView struct {
	Name        string     `json:"name"`
	Username    string     `json:"username"`
	Status      UserStatus `json:"status"`
	PortfolioID string     `json:"portfolioId"`
	Reason      string     `json:"reason,omitempty"`
}

func (u *User) view() UserView {
	return UserView{Name: u.Name, Username: u.Username, Status: u.Status, PortfolioID: u.PortfolioID, Reason: u.Reason}
}
