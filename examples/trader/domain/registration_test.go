package domain_test

import (
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
	"github.com/ganglion-go/ganglion/actor/reservation"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

func TestRegistration(t *testing.T) {
	t.Parallel()
	user, name, saga := domain.Users.ID("u-1"), domain.Usernames.ID("ann"), domain.Registrations.ID("u-1")
	requested := domain.UserRegistrationRequested{Name: "Ann", Username: "Ann", PasswordHash: "$2a$10$x"}
	began := func(t *testing.T) *actortest.Scenario {
		t.Helper()
		return actortest.New(t, domain.Users, domain.Usernames, domain.Registrations).WhenEvent(user, requested)
	}
	t.Run("completed", func(t *testing.T) {
		t.Parallel()
		s := began(t)
		s.ThenSent(name, domain.ClaimUsername{UserID: "u-1"}).ThenOnRefusal(domain.ClaimRefused{}).ThenNothingElseSent()
		s.WhenEvent(domain.Usernames.ID("zoe"), reservation.Claimed{Owner: "u-1"}).ThenNothingElseSent() // another name
		s.WhenEvent(name, reservation.Claimed{Owner: "u-1"}).
			ThenSent(name, domain.ConfirmUsername{UserID: "u-1"}).ThenOnRefusal(domain.ClaimRefused{}).ThenNothingElseSent()
		s.WhenEvent(name, reservation.Confirmed{Owner: "u-1"}).
			ThenSent(user, domain.CompleteRegistration{}).ThenOnRefusal(domain.CompletionRefused{}).ThenNothingElseSent()
		s.WhenEvent(user, domain.UserRegistered{PortfolioID: "u-1"}).ThenEnded().ThenNoTimer()
	})
	t.Run("taken", func(t *testing.T) {
		t.Parallel()
		refusal := actor.Refused{Refusal: actor.Refusal{Code: actor.CodeRejected, Reason: "username_taken"}}
		began(t).When(saga, domain.ClaimRefused{Refused: refusal}).
			ThenSent(user, domain.RejectRegistration{Reason: "username_taken"}).ThenNothingElseSent().ThenEnded()
	})
	t.Run("rejected by others", func(t *testing.T) {
		t.Parallel()
		began(t).WhenEvent(user, domain.UserRegistrationRejected{Reason: "no"}).
			ThenSent(name, domain.ReleaseUsername{UserID: "u-1"}).ThenNothingElseSent().ThenEnded()
		began(t).When(saga, domain.CompletionRefused{}).
			ThenSent(name, domain.ReleaseUsername{UserID: "u-1"}).ThenNothingElseSent().ThenEnded()
	})
	t.Run("a name that nobody can have", func(t *testing.T) {
		t.Parallel()
		actortest.New(t, domain.Users, domain.Usernames, domain.Registrations).
			WhenEvent(user, domain.UserRegistrationRequested{Name: "Ann", Username: "a b"}). // of an earlier build
			ThenSent(user, domain.RejectRegistration{Reason: "invalid_username"}).ThenNothingElseSent().ThenEnded()
	})
	t.Run("unanswered", func(t *testing.T) {
		t.Parallel()
		began(t).Advance(domain.StepWithin).ThenOverdue().ThenNotEnded()
	})
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, domain.Definitions()...)
	company := domain.Companies.ID("acme")
	s.WhenEvent(company, domain.CompanyCreated{Name: "Acme"}).
		ThenSent(domain.OrderBooks.ID("acme"), domain.OpenOrderBook{CompanyID: "acme"}).
		ThenSent(company, domain.AddOrderBook{OrderBookID: "acme"}).ThenNothingElseSent()
	s.WhenEvent(domain.Users.ID("u-1"), domain.UserRegistered{PortfolioID: "u-1"}).
		ThenSent(domain.Portfolios.ID("u-1"), domain.CreatePortfolio{UserID: "u-1"}).ThenNothingElseSent()
}
