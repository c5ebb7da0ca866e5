package domain_test

import (
	"math"
	"testing"

	"github.com/ganglion-go/ganglion/actor/actortest"
	"github.com/ganglion-go/ganglion/actor/reservation"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

// The defects of the original, over the whole application: users and a company by
// their policies, and transactions that are only started and cancelled.

var (
	ann, bob = domain.Portfolios.ID("ann"), domain.Portfolios.ID("bob")
	acme     = domain.OrderBooks.ID("acme")
)

// exchange returns the application with ann, who has cash, bob, who has items, and a
// company.
func exchange(t *testing.T) *actortest.Scenario {
	t.Helper()
	s := actortest.New(t, domain.Definitions()...)
	s.When(domain.Companies.ID("acme"), domain.CreateCompany{Name: "Acme", Value: 1, Shares: 1})
	for _, user := range []string{"ann", "bob"} {
		s.When(domain.Users.ID(user), domain.RegisterUser{Name: user, Username: user, PasswordHash: "$2a$10$x"})
	}
	s.Deliver().ThenNothingElseSent()
	s.When(ann, domain.DepositCash{Amount: 1000})
	s.When(bob, domain.AddItems{OrderBookID: "acme", Count: 100})
	return s
}

func acmeTerms(portfolio string, count, price int64) domain.Terms {
	return domain.Terms{PortfolioID: portfolio, OrderBookID: "acme", Count: count, Price: price}
}

func buys(s *actortest.Scenario, id string, count, price int64) *actortest.Scenario {
	return s.When(domain.Transactions.ID(id), domain.StartBuyTransaction{Terms: acmeTerms("ann", count, price)}).Deliver()
}

func sells(s *actortest.Scenario, id string, count, price int64) *actortest.Scenario {
	return s.When(domain.Transactions.ID(id), domain.StartSellTransaction{Terms: acmeTerms("bob", count, price)}).Deliver()
}

func cancels(s *actortest.Scenario, id string) *actortest.Scenario {
	return s.When(domain.Transactions.ID(id), domain.CancelTransaction{}).Deliver()
}

// owns requires what a portfolio has.
func owns(t *testing.T, s *actortest.Scenario, p domain.PortfolioView, whose string) {
	t.Helper()
	s.ThenStateOf(domain.Portfolios.ID(whose), func(got *domain.Portfolio) {
		if got.Cash != p.Cash || got.ReservedCash != p.ReservedCash || got.Items["acme"] != p.Items["acme"] ||
			got.ReservedItems["acme"] != p.ReservedItems["acme"] || len(got.Reservations) != len(p.Reservations) {
			t.Errorf("%s has %+v, want %+v", whose, got, p)
		}
	})
}

func acmeItems(n int64) map[string]int64 { return map[string]int64{"acme": n} }

func status(t *testing.T, s *actortest.Scenario, id string, want domain.Status, reason string) {
	t.Helper()
	s.ThenStateOf(domain.Transactions.ID(id), func(got *domain.Transaction) {
		if got.Status != want || got.Reason != reason {
			t.Errorf("%s is %s %q, want %s %q", id, got.Status, got.Reason, want, reason)
		}
	})
}

func TestExchange_Trade(t *testing.T) {
	t.Parallel()
	s := buys(exchange(t), "b", 10, 9)
	owns(t, s, domain.PortfolioView{Cash: 910, ReservedCash: 90, Reservations: map[string]domain.Reservation{"b": {}}}, "ann")
	sells(s, "s", 4, 7)
	owns(t, s, domain.PortfolioView{Cash: 910, ReservedCash: 54, Items: acmeItems(4), Reservations: map[string]domain.Reservation{"b": {}}}, "ann")
	owns(t, s, domain.PortfolioView{Cash: 36, Items: acmeItems(96)}, "bob")
	status(t, s, "b", domain.StatusPartiallyExecuted, "")
	status(t, s, "s", domain.StatusExecuted, "")
	s.When(domain.Sellings.ID("s"), domain.StepRefused{}).ThenFails("ended")
}

func TestDefect_SecondOrderAtAPriceReplacesTheFirst(t *testing.T) {
	t.Parallel()
	s := exchange(t)
	buys(s, "b-1", 3, 9)
	buys(s, "b-2", 4, 9)
	sells(s, "s", 7, 9)
	status(t, s, "b-1", domain.StatusExecuted, "")
	status(t, s, "b-2", domain.StatusExecuted, "")
	owns(t, s, domain.PortfolioView{Cash: 937, Items: acmeItems(7)}, "ann")
}

func TestDefect_CancelledTransactionLeavesItsOrderLive(t *testing.T) {
	t.Parallel()
	s := buys(exchange(t), "b", 10, 9)
	cancels(s, "b")
	sells(s, "s", 10, 1)
	status(t, s, "b", domain.StatusCancelled, "")
	status(t, s, "s", domain.StatusConfirmed, "") // nobody to trade with
	owns(t, s, domain.PortfolioView{Cash: 1000}, "ann")
	s.When(acme, domain.CancelOrder{OrderID: "b"}).ThenRejected(domain.ErrUnknownOrder)
	s.ThenShown(domain.OrderBookView{
		CompanyID: "acme", Buys: []domain.LiveOrder{},
		Sells: []domain.LiveOrder{{OrderID: "s", Price: 1, Remaining: 10, TransactionID: "s", PortfolioID: "bob"}},
	})
}

func TestDefect_SagaLeaks(t *testing.T) {
	t.Parallel()
	t.Run("on a cancelled buy", func(t *testing.T) {
		t.Parallel()
		s := cancels(buys(exchange(t), "b", 10, 9), "b")
		s.When(domain.Buyings.ID("b"), domain.StepRefused{}).ThenFails("ended")
	})
	t.Run("on one that is cancelled at once", func(t *testing.T) {
		t.Parallel()
		s := exchange(t)
		s.When(domain.Transactions.ID("b"), domain.StartBuyTransaction{Terms: acmeTerms("ann", 10, 9)})
		cancels(s, "b")
		status(t, s, "b", domain.StatusCancelled, "")
		owns(t, s, domain.PortfolioView{Cash: 1000}, "ann")
		s.When(domain.Buyings.ID("b"), domain.StepRefused{}).ThenFails("ended")
	})
	t.Run("on items never owned", func(t *testing.T) {
		t.Parallel()
		s := sells(exchange(t), "s", 101, 9)
		status(t, s, "s", domain.StatusRejected, "insufficient_items")
		owns(t, s, domain.PortfolioView{Items: acmeItems(100)}, "bob")
		s.When(domain.Sellings.ID("s"), domain.StepRefused{}).ThenFails("ended")
	})
	t.Run("on cash never owned", func(t *testing.T) {
		t.Parallel()
		s := buys(exchange(t), "b", 112, 9)
		status(t, s, "b", domain.StatusRejected, "insufficient_cash")
		s.When(domain.Buyings.ID("b"), domain.StepRefused{}).ThenFails("ended")
	})
	t.Run("on a portfolio or a book that is none", func(t *testing.T) {
		t.Parallel()
		s := exchange(t)
		s.When(domain.Transactions.ID("x"), domain.StartBuyTransaction{Terms: domain.Terms{PortfolioID: "zoe", OrderBookID: "acme", Count: 1, Price: 1}}).Deliver()
		status(t, s, "x", domain.StatusRejected, "portfolio_not_found")
		s.When(domain.Transactions.ID("y"), domain.StartBuyTransaction{Terms: domain.Terms{PortfolioID: "ann", OrderBookID: "none", Count: 1, Price: 1}}).Deliver()
		status(t, s, "y", domain.StatusRejected, "book_not_open")
		owns(t, s, domain.PortfolioView{Cash: 1000}, "ann")
	})
}

func TestDefect_DuplicatesCreditTwice(t *testing.T) {
	t.Parallel()
	s := cancels(buys(exchange(t), "b", 10, 9), "b")
	s.When(domain.Transactions.ID("b"), domain.CancelTransaction{}).Deliver()
	owns(t, s, domain.PortfolioView{Cash: 1000}, "ann")
	s.When(ann, domain.ReleaseCash{TransactionID: "b", Amount: 90}).ThenRejected(domain.ErrUnknownReservation)
	s.When(ann, domain.ConfirmCash{TransactionID: "b", Amount: 90}).ThenRejected(domain.ErrUnknownReservation)
	s.When(acme, domain.CancelOrder{OrderID: "b"}).ThenRejected(domain.ErrUnknownOrder)
	sells(buys(s, "b-2", 1, 9), "s", 1, 9)
	s.When(domain.Transactions.ID("b-2"), domain.CancelTransaction{}).ThenRejected(domain.ErrAlreadyExecuted)
	s.When(domain.Transactions.ID("b-2"), domain.ConfirmTransaction{}).Deliver()
	owns(t, s, domain.PortfolioView{Cash: 991, Items: acmeItems(1)}, "ann")
}

func TestDefect_WithdrawalIsNotChecked(t *testing.T) {
	t.Parallel()
	s := buys(exchange(t), "b", 10, 9)
	s.When(ann, domain.WithdrawCash{Amount: 911}).ThenRejected(domain.ErrInsufficientCash)
	s.When(ann, domain.WithdrawCash{Amount: -1}).ThenRejected(domain.ErrInvalidAmount)
	s.When(ann, domain.WithdrawCash{Amount: 910}).ThenRaised(domain.CashWithdrawn{Amount: 910})
}

func TestDefect_Overflow(t *testing.T) {
	t.Parallel()
	s := exchange(t)
	s.When(domain.Transactions.ID("b"), domain.StartBuyTransaction{Terms: acmeTerms("ann", math.MaxInt64/2, 3)}).ThenRejected(domain.ErrInvalidOrder)
	s.When(domain.Transactions.ID("s"), domain.StartSellTransaction{Terms: acmeTerms("bob", math.MaxInt64, 2)}).ThenRejected(domain.ErrInvalidOrder)
	s.When(acme, domain.PlaceBuyOrder{Placement: domain.Placement{OrderID: "o", TransactionID: "o", PortfolioID: "ann", Count: math.MaxInt64, Price: 2}}).
		ThenRejected(domain.ErrInvalidOrder)
	s.When(ann, domain.DepositCash{Amount: math.MaxInt64}).ThenRejected(domain.ErrInvalidAmount)
}

func TestDefect_UserNamesAreNotUnique(t *testing.T) {
	t.Parallel()
	s := exchange(t)
	s.When(domain.Users.ID("other"), domain.RegisterUser{Name: "Ann", Username: "ANN", PasswordHash: "$2a$10$x"}).Deliver()
	s.ThenStateOf(domain.Users.ID("other"), func(u *domain.User) {
		if u.Status != domain.UserRejected || u.Reason != "username_taken" {
			t.Errorf("the other is %+v", u)
		}
	})
	s.When(domain.Portfolios.ID("other"), domain.DepositCash{Amount: 1}).ThenRejected(domain.ErrPortfolioNotFound)
	s.When(domain.Registrations.ID("other"), domain.ClaimRefused{}).ThenFails("ended")
	s.When(domain.Users.ID("bad"), domain.RegisterUser{Name: "n", Username: "a b", PasswordHash: "$2a$10$x"}).ThenRejected(domain.ErrInvalidRegistration)
}

// TestRegistration_ClaimLapses: a saga that is late does not complete a registration
// whose name has lapsed, and which may be another's by now.
func TestRegistration_ClaimLapses(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, domain.Registrations, domain.Usernames, domain.Users)
	name := domain.Usernames.ID("ann")
	s.When(name, domain.ClaimUsername{UserID: "u-1"})
	s.Advance(domain.ClaimWithin)
	s.When(name, domain.ClaimUsername{UserID: "u-2"})
	s.When(name, domain.ConfirmUsername{UserID: "u-1"}).ThenRejected(reservation.ErrNotHeld)
	s.When(name, domain.ConfirmUsername{UserID: "u-2"}).ThenVersion(4)
}
