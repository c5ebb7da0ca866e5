package reservation_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
	"github.com/ganglion-go/ganglion/actor/reservation"
)

const within = time.Minute

var (
	seats = reservation.Define("seat", reservation.Config{Within: within})
	seat  = seats.ID("12a")
)

func held(s *actortest.Scenario) time.Time { return s.Now().Add(within) }

func claimed(t *testing.T) *actortest.Scenario {
	t.Helper()
	s := actortest.New(t, seats)
	return s.When(seat, reservation.Claim{Owner: "ann"}).
		ThenReply(reservation.Holding{Owner: "ann", Until: held(s)}).
		ThenRaised(reservation.Claimed{Owner: "ann", Until: held(s)}).
		ThenNothingElse().
		ThenTimer("ExpireReservation", held(s), reservation.Expire{}).
		ThenNothingElseSent()
}

func TestClaim(t *testing.T) {
	t.Parallel()
	s := claimed(t)
	until := held(s)
	s.Advance(within / 2)
	s.When(seat, reservation.Claim{Owner: "bob"}).ThenRejected(reservation.ErrTaken).ThenNothingElse()
	s.When(seat, reservation.Claim{Owner: "ann"}).ThenReply(reservation.Holding{Owner: "ann", Until: until}).ThenNothingElse()
	s.When(seat, reservation.Claim{}).ThenRejected(reservation.ErrOwner)
	s.When(seat, reservation.Claim{Owner: strings.Repeat("x", reservation.MaxOwnerBytes+1)}).ThenRejected(reservation.ErrOwner)
	s.When(seats.ID("12b"), reservation.Claim{Owner: "bob"}).ThenReply(reservation.Holding{Owner: "bob", Until: held(s)})
	s.When(seat, reservation.Holder{}).ThenReply(reservation.Holding{Owner: "ann", Until: until})
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	s := claimed(t)
	s.When(seat, reservation.Confirm{Owner: "bob"}).ThenRejected(reservation.ErrNotHeld)
	s.When(seat, reservation.Confirm{}).ThenRejected(reservation.ErrNotHeld)
	s.When(seat, reservation.Confirm{Owner: "ann"}).
		ThenReply(reservation.Holding{Owner: "ann", Confirmed: true}).
		ThenRaised(reservation.Confirmed{Owner: "ann"}).ThenNothingElse().
		ThenNoTimer()
	s.When(seat, reservation.Confirm{Owner: "ann"}).ThenReply(reservation.Holding{Owner: "ann", Confirmed: true}).ThenNothingElse()
	s.When(seat, reservation.Claim{Owner: "ann"}).ThenReply(reservation.Holding{Owner: "ann", Confirmed: true}).ThenNothingElse()
	s.Advance(365 * 24 * time.Hour)
	s.When(seat, reservation.Claim{Owner: "bob"}).ThenRejected(reservation.ErrTaken)
}

func TestRelease(t *testing.T) {
	t.Parallel()
	for name, confirm := range map[string]bool{"claimed": false, "confirmed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := claimed(t)
			if confirm {
				s.When(seat, reservation.Confirm{Owner: "ann"})
			}
			s.When(seat, reservation.Release{Owner: "bob"}).ThenNothingElse()
			s.When(seat, reservation.Release{Owner: "ann"}).
				ThenReply(reservation.Holding{}).
				ThenRaised(reservation.Released{Owner: "ann"}).ThenNothingElse().
				ThenNoTimer()
			s.When(seat, reservation.Release{Owner: "ann"}).ThenNothingElse()
			s.When(seat, reservation.Release{}).ThenNothingElse()
			s.When(seat, reservation.Claim{Owner: "bob"}).ThenRaised(reservation.Claimed{Owner: "bob", Until: held(s)})
			s.When(seat, reservation.Confirm{Owner: "ann"}).ThenRejected(reservation.ErrNotHeld)
		})
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	s := claimed(t)
	s.When(seat, reservation.Expire{}).ThenRejected(actor.Reject("not_a_timer", ""))
	s.Advance(within-time.Second).When(seat, reservation.Claim{Owner: "bob"}).ThenRejected(reservation.ErrTaken)
	s.Advance(time.Second).ThenRaised(reservation.Released{Owner: "ann", Expired: true}).ThenNothingElse().ThenNoTimer()
	s.When(seat, reservation.Confirm{Owner: "ann"}).ThenRejected(reservation.ErrNotHeld)
	s.When(seat, reservation.Claim{Owner: "bob"}).ThenRaised(reservation.Claimed{Owner: "bob", Until: held(s)})
	// The time of the first claim says nothing about the second.
	s.Advance(within/2).When(seat, reservation.Confirm{Owner: "bob"})
	s.Advance(within).When(seat, reservation.Holder{}).ThenReply(reservation.Holding{Owner: "bob", Confirmed: true})
}

// TestGolden: the stored form does not change.
func TestGolden(t *testing.T) {
	t.Parallel()
	actortest.Golden(t, seats, "testdata")
}
