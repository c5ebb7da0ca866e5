package domain

import (
	"errors"

	"golang.org/x/text/secure/precis"

	"github.com/ganglion-go/ganglion/actor"
)

// Username is the state of one user name: who has it. The aggregate's id is the
// name as [NormalizeUsername] writes it. A claim stands until it is released:
// that an unconfirmed one lapses needs deadlines, and comes with them.
type Username struct {
	UserID string `json:"userId"`
}

var errEmptyUsername = errors.New("a user name is not empty")

// NormalizeUsername returns the form of a name under which it is claimed:
// RFC 8265, UsernameCaseMapped. Names that look the same but for case or width
// have one form. The error says why a text can be no user name.
func NormalizeUsername(name string) (string, error) {
	if name == "" {
		return "", errEmptyUsername
	}
	return precis.UsernameCaseMapped.String(name)
}

// ClaimUsername takes the name for a user; again for the same user, it changes nothing.
type ClaimUsername struct {
	actor.Replies[actor.None]
	UserID string `json:"userId"`
}

// UsernameClaimed follows from [ClaimUsername].
type UsernameClaimed struct {
	UserID string `json:"userId"`
}

// ReleaseUsername gives the name back; one that nobody has stays so.
type ReleaseUsername struct {
	actor.Replies[actor.None]
	UserID string `json:"userId"`
}

// UsernameReleased follows from [ReleaseUsername].
type UsernameReleased struct {
	UserID string `json:"userId"`
}

// The rejections of a user name.
var (
	ErrUsernameTaken = actor.Reject("username_taken", "another user has the name")
	ErrInvalidUser   = actor.Reject("invalid_user", "the user id must be given")
)

// Usernames defines kind username.
var Usernames = actor.Define("username", func(d *actor.Definition[Username]) {
	actor.On(d, (*Username).claim)
	actor.On(d, (*Username).release)
	actor.Apply(d, (*Username).claimed)
	actor.Apply(d, (*Username).released)
	d.Rejections(ErrUsernameTaken, ErrInvalidUser)
})

func (u *Username) claim(ctx *actor.Context, m ClaimUsername) (actor.None, error) {
	switch {
	case m.UserID == "":
		return actor.None{}, ErrInvalidUser
	case u.UserID == "":
		ctx.Raise(UsernameClaimed{UserID: m.UserID})
	case u.UserID != m.UserID:
		return actor.None{}, ErrUsernameTaken
	}
	return actor.None{}, nil
}

func (u *Username) release(ctx *actor.Context, m ReleaseUsername) (actor.None, error) {
	switch {
	case m.UserID == "":
		return actor.None{}, ErrInvalidUser
	case u.UserID == m.UserID:
		ctx.Raise(UsernameReleased{UserID: m.UserID})
	case u.UserID != "":
		return actor.None{}, ErrUsernameTaken
	}
	return actor.None{}, nil
}

func (u *Username) claimed(e UsernameClaimed) { u.UserID = e.UserID }
func (u *Username) released(UsernameReleased) { u.UserID = "" }
