package domain

import (
	"errors"
	"time"

	"golang.org/x/text/secure/precis"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/reservation"
)

// ClaimWithin is how long a claim of a user name stands that nobody confirms.
const ClaimWithin = 5 * time.Minute

// Username is the state of one user name: who has it, see package reservation. The
// aggregate's id is the name as [NormalizeUsername] writes it.
type Username struct{ reservation.Reservation }

var (
	errEmptyUsername = errors.New("a user name is not empty")
	errLongUsername  = errors.New("a user name is no id of an aggregate")
)

// NormalizeUsername returns the form of a name under which it is claimed:
// RFC 8265, UsernameCaseMapped. Names that look the same but for case or width
// have one form. The error says why a text can be no user name.
func NormalizeUsername(name string) (string, error) {
	if name == "" {
		return "", errEmptyUsername
	}
	normal, err := precis.UsernameCaseMapped.String(name)
	if err == nil && !isID(normal) {
		err = errLongUsername
	}
	return normal, err
}

// ClaimUsername takes the name for a user; again for the same user, it changes
// nothing. It lapses after [ClaimWithin] unless [ConfirmUsername] comes before.
type ClaimUsername struct {
	actor.Replies[actor.None]
	UserID string `json:"userId"`
}

// ConfirmUsername gives a claimed name to its user for good.
type ConfirmUsername struct {
	actor.Replies[actor.None]
	UserID string `json:"userId"`
}

// ReleaseUsername gives the name back; one that the user does not have stays as it is.
type ReleaseUsername struct {
	actor.Replies[actor.None]
	UserID string `json:"userId"`
}

// UsernameClaimed is in histories from before claims could lapse: a claim was for
// good. It is not raised any more.
type UsernameClaimed struct {
	UserID string `json:"userId"`
}

// UsernameReleased goes with [UsernameClaimed].
type UsernameReleased struct {
	UserID string `json:"userId"`
}

// ErrUsernameTaken rejects the claim of a name that another user has.
var ErrUsernameTaken = actor.Reject("username_taken", "another user has the name")

// Usernames defines kind username.
var Usernames = actor.Define("username", func(d *actor.Definition[Username]) {
	r := reservation.Declare(d, reservation.Config{Within: ClaimWithin, Taken: ErrUsernameTaken},
		func(u *Username) *reservation.Reservation { return &u.Reservation })
	actor.On(d, func(u *Username, ctx *actor.Context, m ClaimUsername) (actor.None, error) {
		_, err := r.Claim(u, ctx, m.UserID)
		return actor.None{}, err
	}, actor.Internal())
	actor.On(d, func(u *Username, ctx *actor.Context, m ConfirmUsername) (actor.None, error) {
		_, err := r.Confirm(u, ctx, m.UserID)
		return actor.None{}, err
	}, actor.Internal())
	actor.On(d, func(u *Username, ctx *actor.Context, m ReleaseUsername) (actor.None, error) {
		_, err := r.Release(u, ctx, m.UserID)
		return actor.None{}, err
	}, actor.Internal())
	actor.Apply(d, func(u *Username, e UsernameClaimed) {
		u.Holding = reservation.Holding{Owner: e.UserID, Confirmed: true}
	})
	actor.Apply(d, func(u *Username, _ UsernameReleased) { u.Holding = reservation.Holding{} })
})
