package reservation_test

import (
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor/actortest"
	"github.com/ganglion-go/ganglion/actor/reservation"
)

// The aggregate of docs/set-validation.md, whose claims expire and can be had again.
func TestDefine(t *testing.T) {
	t.Parallel()
	usernames := reservation.Define("username", reservation.Config{Within: time.Minute})
	ann := usernames.ID("ann")
	s := actortest.New(t, usernames)
	s.When(ann, reservation.Claim{Owner: "u-1"})
	s.When(ann, reservation.Claim{Owner: "u-2"}).ThenRejected(reservation.ErrTaken)
	s.Advance(time.Minute)
	s.When(ann, reservation.Claim{Owner: "u-2"}).ThenReply(reservation.Holding{Owner: "u-2", Until: s.Now().Add(time.Minute)})
}
