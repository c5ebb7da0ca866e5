package domain_test

import (
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
	"github.com/ganglion-go/ganglion/actor/reservation"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

func TestCompany(t *testing.T) {
	t.Parallel()
	philips := domain.Companies.ID("philips")
	s := actortest.New(t, domain.Companies)
	s.When(philips, domain.AddOrderBook{OrderBookID: "b"}).ThenFails(actor.CodeDoesNotExist)
	s.When(philips, domain.CreateCompany{Name: "Philips", Value: 1000, Shares: 10000}).
		ThenRaised(domain.CompanyCreated{Name: "Philips", Value: 1000, Shares: 10000}).ThenNothingElse()
	s.WhenRepeated().ThenRejected(domain.ErrCompanyExists)
	s.When(philips, domain.AddOrderBook{OrderBookID: "b"}).
		ThenRaised(domain.OrderBookAdded{OrderBookID: "b"}).ThenNothingElse()
	s.WhenRepeated().ThenReply(actor.None{}).ThenNothingElse()
	s.ThenShown(domain.CompanyView{Name: "Philips", Value: 1000, Shares: 10000, OrderBooks: []string{"b"}})
}

func TestUser(t *testing.T) {
	t.Parallel()
	const hash = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA"
	ann := domain.Users.ID("u-1")
	register := domain.RegisterUser{Name: "Ann", Username: "ann", PasswordHash: hash}
	s := actortest.New(t, domain.Users)
	s.When(ann, domain.CompleteRegistration{}).ThenFails(actor.CodeDoesNotExist)
	for _, bad := range []domain.RegisterUser{
		{Username: "ann", PasswordHash: hash},
		{Name: "Ann", PasswordHash: hash},
		{Name: "Ann", Username: "ann", PasswordHash: "secret"},
		{Name: "Ann", Username: "ann"},
	} {
		s.When(ann, bad).ThenRejected(domain.ErrInvalidRegistration)
	}
	s.When(ann, register).
		ThenRaised(domain.UserRegistrationRequested{Name: "Ann", Username: "ann", PasswordHash: hash}).ThenNothingElse()
	s.ThenShown(domain.UserView{Name: "Ann", Username: "ann", Status: domain.UserPending})
	s.WhenRepeated().ThenFails(actor.CodeAlreadyExists)
	s.When(ann, domain.CompleteRegistration{}).ThenRaised(domain.UserRegistered{PortfolioID: "u-1"}).ThenNothingElse()
	s.WhenRepeated().ThenReply(actor.None{}).ThenNothingElse()
	s.When(ann, domain.RejectRegistration{Reason: "late"}).ThenRejected(domain.ErrRegistrationClosed)
	s.ThenShown(domain.UserView{Name: "Ann", Username: "ann", Status: domain.UserActive, PortfolioID: "u-1"})

	bob := domain.Users.ID("u-2")
	s.When(bob, domain.RegisterUser{Name: "Bob", Username: "ann", PasswordHash: "$2b$12$x"}).ThenVersion(1)
	s.When(bob, domain.RejectRegistration{Reason: "username_taken"}).
		ThenRaised(domain.UserRegistrationRejected{Reason: "username_taken"}).ThenNothingElse()
	s.WhenRepeated().ThenReply(actor.None{}).ThenNothingElse()
	s.When(bob, domain.CompleteRegistration{}).ThenRejected(domain.ErrRegistrationClosed)
	s.ThenShown(domain.UserView{Name: "Bob", Username: "ann", Status: domain.UserRejected, Reason: "username_taken"})
}

func TestUsername(t *testing.T) {
	t.Parallel()
	name := domain.Usernames.ID("ann")
	s := actortest.New(t, domain.Usernames)
	claimed := func(user string) reservation.Claimed {
		return reservation.Claimed{Owner: user, Until: s.Now().Add(domain.ClaimWithin)}
	}
	s.When(name, domain.ClaimUsername{}).ThenRejected(reservation.ErrOwner)
	s.When(name, domain.ReleaseUsername{UserID: "u-1"}).ThenReply(actor.None{}).ThenNothingElse()
	s.When(name, domain.ConfirmUsername{UserID: "u-1"}).ThenRejected(reservation.ErrNotHeld)
	s.When(name, domain.ClaimUsername{UserID: "u-1"}).ThenRaised(claimed("u-1")).ThenNothingElse()
	s.WhenRepeated().ThenReply(actor.None{}).ThenNothingElse()
	s.When(name, domain.ClaimUsername{UserID: "u-2"}).ThenRejected(domain.ErrUsernameTaken)
	s.When(name, domain.ReleaseUsername{UserID: "u-2"}).ThenReply(actor.None{}).ThenNothingElse()
	s.When(name, domain.ConfirmUsername{UserID: "u-2"}).ThenRejected(reservation.ErrNotHeld)

	// Nobody confirms: the claim lapses, at its time and not before.
	s.Advance(domain.ClaimWithin - time.Second)
	s.When(name, domain.ClaimUsername{UserID: "u-2"}).ThenRejected(domain.ErrUsernameTaken)
	s.Advance(time.Second).ThenRaised(reservation.Released{Owner: "u-1", Expired: true})
	s.When(name, domain.ConfirmUsername{UserID: "u-1"}).ThenRejected(reservation.ErrNotHeld)

	// Confirmed, it is for good.
	s.When(name, domain.ClaimUsername{UserID: "u-2"}).ThenRaised(claimed("u-2")).ThenNothingElse()
	s.When(name, domain.ConfirmUsername{UserID: "u-2"}).ThenRaised(reservation.Confirmed{Owner: "u-2"}).ThenNoTimer()
	s.Advance(24 * time.Hour)
	s.When(name, domain.ClaimUsername{UserID: "u-1"}).ThenRejected(domain.ErrUsernameTaken)
	s.When(name, domain.ReleaseUsername{UserID: "u-2"}).ThenRaised(reservation.Released{Owner: "u-2"}).ThenNothingElse()
}

func TestNormalizeUsername(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"Ann": "ann", "ann": "ann", "ＡＮＮ": "ann", "Ünal": "ünal"} {
		if got, err := domain.NormalizeUsername(name); err != nil || got != want {
			t.Errorf("%q: got %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "a b", "a\x00", "\u200b"} {
		if got, err := domain.NormalizeUsername(name); err == nil {
			t.Errorf("%q: got %q", name, got)
		}
	}
}
