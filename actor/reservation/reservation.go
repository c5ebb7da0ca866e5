package reservation

import (
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// DefaultWithin is the time after which a claim expires that was neither confirmed
// nor released.
const DefaultWithin = 10 * time.Minute

// MaxOwnerBytes bounds the name of an owner.
const MaxOwnerBytes = 256

// The rejections. [Config.Taken] replaces the first.
var (
	ErrTaken   = actor.Reject("taken", "somebody else has it")
	ErrNotHeld = actor.Reject("not_held", "the owner does not hold it")
	ErrOwner   = actor.Reject("invalid_owner", "an owner of 1 to 256 bytes is required")
	errNoTimer = actor.Reject("not_a_timer", "only the reservation's own timer does that")
)

// Claim holds the value for an owner until it is confirmed, released, or expires. If
// the owner has it already, nothing changes: neither does its time. It is rejected
// with [ErrTaken] while another owner has it.
type Claim struct {
	actor.Replies[Holding]
	Owner string `json:"owner"`
}

// Confirm gives a claimed value to its owner for good. It is rejected with
// [ErrNotHeld] when the owner does not hold it, any more or at all.
type Confirm struct {
	actor.Replies[Holding]
	Owner string `json:"owner"`
}

// Release gives the value up, claimed or confirmed. If another owner has it, or
// nobody, nothing changes.
type Release struct {
	actor.Replies[Holding]
	Owner string `json:"owner"`
}

// Expire is what the timer of a claim sends. From anybody else it is rejected.
type Expire struct {
	actor.Replies[Holding]
}

// WireName implements [actor.Named].
func (Expire) WireName() string { return "ExpireReservation" }

// Holder asks who has the value.
type Holder struct {
	actor.Replies[Holding]
}

// Holding is who has a value.
type Holding struct {
	Owner     string    `json:"owner,omitempty"` // empty: it is free
	Confirmed bool      `json:"confirmed,omitempty"`
	Until     time.Time `json:"until,omitzero"` // when an unconfirmed claim expires
}

// Claimed is raised when an owner holds the value for a while.
type Claimed struct {
	Owner string    `json:"owner"`
	Until time.Time `json:"until"`
}

// Confirmed is raised when the owner has it for good.
type Confirmed struct {
	Owner string `json:"owner"`
}

// Released is raised when it is free again.
type Released struct {
	Owner   string `json:"owner"`
	Expired bool   `json:"expired,omitempty"` // not confirmed in time
}

// WireName implements [actor.Named].
func (Claimed) WireName() string { return "reservationClaimed.v1" }

// WireName implements [actor.Named].
func (Confirmed) WireName() string { return "reservationConfirmed.v1" }

// WireName implements [actor.Named].
func (Released) WireName() string { return "reservationReleased.v1" }

// Config tunes a kind of reservation.
type Config struct {
	Within time.Duration    // after which an unconfirmed claim expires: DefaultWithin
	Taken  *actor.Rejection // of a claim while another owner has the value: ErrTaken

	// Internal keeps a kind that [Define] makes for the application itself, as
	// [actor.Definition.Internal] does: its sagas claim, and nobody else.
	Internal bool
}

// Reservation is the state of one value. Its zero value is free.
type Reservation struct {
	Holding
}

// Define returns a kind of values with the commands and events of this package.
func Define(kind actor.Kind, config Config) *actor.Aggregate[Reservation] {
	return actor.Define(kind, func(d *actor.Definition[Reservation]) {
		if config.Internal {
			d.Internal()
		}
		r := Declare(d, config, func(s *Reservation) *Reservation { return s })
		actor.On(d, func(s *Reservation, ctx *actor.Context, c Claim) (Holding, error) { return r.Claim(s, ctx, c.Owner) })
		actor.On(d, func(s *Reservation, ctx *actor.Context, c Confirm) (Holding, error) {
			return r.Confirm(s, ctx, c.Owner)
		})
		actor.On(d, func(s *Reservation, ctx *actor.Context, c Release) (Holding, error) {
			return r.Release(s, ctx, c.Owner)
		})
		actor.Query(d, func(s *Reservation, _ *actor.QueryContext, _ Holder) (Holding, error) { return s.Holding, nil })
	})
}

// Rules are what handlers of an aggregate with a reservation call.
type Rules[S any] struct {
	config Config
	of     func(*S) *Reservation
}

// Declare adds the events and the expiry of a reservation to a definition whose state
// has a [Reservation] in it. The definition's own commands then call the rules.
func Declare[S any](d *actor.Definition[S], config Config, of func(*S) *Reservation) Rules[S] {
	if config.Within <= 0 {
		config.Within = DefaultWithin
	}
	if config.Taken == nil {
		config.Taken = ErrTaken
	}
	r := Rules[S]{config: config, of: of}
	actor.Apply(d, func(s *S, e Claimed) { of(s).Holding = Holding{Owner: e.Owner, Until: e.Until} })
	actor.Apply(d, func(s *S, e Confirmed) { of(s).Holding = Holding{Owner: e.Owner, Confirmed: true} })
	actor.Apply(d, func(s *S, _ Released) { of(s).Holding = Holding{} })
	actor.On(d, func(s *S, ctx *actor.Context, _ Expire) (Holding, error) { return r.expire(s, ctx) }, actor.Internal())
	d.Rejections(config.Taken, ErrNotHeld, ErrOwner, errNoTimer)
	return r
}

// Claim is the decision of [Claim].
func (r Rules[S]) Claim(s *S, ctx *actor.Context, owner string) (Holding, error) {
	held := r.of(s)
	switch {
	case owner == "" || len(owner) > MaxOwnerBytes:
		return Holding{}, ErrOwner
	case held.Owner == owner:
		return held.Holding, nil
	case held.Owner != "":
		return Holding{}, r.config.Taken
	}
	ctx.Raise(Claimed{Owner: owner, Until: ctx.Now().Add(r.config.Within)})
	ctx.At(held.Until, Expire{})
	return held.Holding, nil
}

// Confirm is the decision of [Confirm].
func (r Rules[S]) Confirm(s *S, ctx *actor.Context, owner string) (Holding, error) {
	held := r.of(s)
	switch {
	case owner == "" || held.Owner != owner:
		return Holding{}, ErrNotHeld
	case held.Confirmed:
		return held.Holding, nil
	}
	ctx.Raise(Confirmed{Owner: owner})
	ctx.Cancel(Expire{}.WireName())
	return held.Holding, nil
}

// Release is the decision of [Release].
func (r Rules[S]) Release(s *S, ctx *actor.Context, owner string) (Holding, error) {
	held := r.of(s)
	if owner == "" || held.Owner != owner {
		return held.Holding, nil
	}
	ctx.Raise(Released{Owner: owner})
	ctx.Cancel(Expire{}.WireName())
	return held.Holding, nil
}

func (r Rules[S]) expire(s *S, ctx *actor.Context) (Holding, error) {
	held := r.of(s)
	if ctx.Timer() == "" {
		return Holding{}, errNoTimer
	}
	if held.Owner != "" && !held.Confirmed { // always so: the timer is cancelled otherwise
		ctx.Raise(Released{Owner: held.Owner, Expired: true})
	}
	return held.Holding, nil
}
