package domain

import (
	"errors"
	"time"

	"golang.org/x/text/secure/precis"

	"github.com/ganglion-go/ganglion/actor"
)

// ClaimWithin is how long a claim stands that nobody confirms.
const ClaimWithin = 5 * time.Minute

// Username is the state of one user name: who has it. The aggregate's id is the
// name as [NormalizeUsername] writes it. As one actor decides about a name, two who
// want it at once cannot both have it.
type Username struct {
	UserID    string `json:"userId"`
	Confirmed bool   `json:"confirmed"`
}

var (
	errEmptyUsername = errors.New("a user name is not empty")
	errLongUsername  = errors.New("a user name is at most 256 bytes")
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

// UsernameClaimed follows from [ClaimUsername].
type UsernameClaimed struct {
	UserID string `json:"userId"`
}

// ConfirmUsername makes a claim last.
type ConfirmUsername struct {
	actor.Replies[actor.None]
	UserID string `json:"userId"`
}

// UsernameConfirmed follows from [ConfirmUsername].
type UsernameConfirmed struct {
	UserID string `json:"userId"`
}

// ExpireClaim is what a claim's timer brings.
type ExpireClaim struct {
	actor.Replies[actor.None]
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
	ErrUnclaimed     = actor.Reject("username_not_claimed", "nobody has claimed the name, or the claim has lapsed")
)

// Usernames defines kind username.
var Usernames = actor.Define("username", func(d *actor.Definition[Username]) {
	actor.On(d, (*Username).claim)
	actor.On(d, (*Username).confirm)
	actor.On(d, (*Username).expire)
	actor.On(d, (*Username).release)
	actor.Apply(d, (*Username).claimed)
	actor.Apply(d, (*Username).confirmed)
	actor.Apply(d, (*Username).released)
	d.Rejections(ErrUsernameTaken, ErrInvalidUser, ErrUnclaimed)
})

func (u *Username) claim(ctx *actor.Context, m ClaimUsername) (actor.None, error) {
	switch {
	case m.UserID == "":
		return actor.None{}, ErrInvalidUser
	case u.UserID == "":
		ctx.Raise(UsernameClaimed{UserID: m.UserID})
		ctx.After(ClaimWithin, ExpireClaim{UserID: m.UserID})
	case u.UserID != m.UserID:
		return actor.None{}, ErrUsernameTaken
	}
	return actor.None{}, nil
}

func (u *Username) confirm(ctx *actor.Context, m ConfirmUsername) (actor.None, error) {
	switch {
	case u.UserID == "":
		return actor.None{}, ErrUnclaimed
	case u.UserID != m.UserID:
		return actor.None{}, ErrUsernameTaken
	case !u.Confirmed:
		ctx.Raise(UsernameConfirmed{UserID: m.UserID})
		ctx.Cancel(expireClaim)
	}
	return actor.None{}, nil
}

// expireClaim is the name of the timer: that of its command.
const expireClaim = "ExpireClaim"

func (u *Username) expire(ctx *actor.Context, m ExpireClaim) (actor.None, error) {
	if u.UserID == m.UserID && !u.Confirmed && u.UserID != "" {
		ctx.Raise(UsernameReleased{UserID: m.UserID})
	}
	return actor.None{}, nil
}

func (u *Username) release(ctx *actor.Context, m ReleaseUsername) (actor.None, error) {
	switch {
	case m.UserID == "":
		return actor.None{}, ErrInvalidUser
	case u.UserID == m.UserID:
		ctx.Raise(UsernameReleased{UserID: m.UserID})
		ctx.Cancel(expireClaim)
	case u.UserID != "":
		return actor.None{}, ErrUsernameTaken
	}
	return actor.None{}, nil
}

func (u *Username) claimed(e UsernameClaimed)   { u.UserID, u.Confirmed = e.UserID, false }
func (u *Username) confirmed(UsernameConfirmed) { u.Confirmed = true }
func (u *Username) released(UsernameReleased)   { u.UserID, u.Confirmed = "", false }
