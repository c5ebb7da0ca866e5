package domain_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

var p1 = domain.Portfolios.ID("p-1")

// portfolioWith returns a portfolio with free cash and free items of book "b".
func portfolioWith(t *testing.T, cash, items int64) *actortest.Scenario {
	t.Helper()
	s := actortest.New(t, domain.Portfolios).Given(p1, domain.PortfolioCreated{UserID: "u-1"})
	if cash > 0 {
		s.Given(p1, domain.CashDeposited{Amount: cash})
	}
	if items > 0 {
		s.Given(p1, domain.ItemsAdded{OrderBookID: "b", Count: items})
	}
	return s
}

func TestPortfolio_NotFound(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, domain.Portfolios)
	for _, command := range []any{
		domain.DepositCash{Amount: 1},
		domain.DepositCash{Amount: -1}, // that there is none comes first
		domain.WithdrawCash{Amount: 1},
		domain.ReserveCash{TransactionID: "tx", Amount: 1},
		domain.ConfirmCash{TransactionID: "tx", Amount: 1},
		domain.ReleaseCash{TransactionID: "tx", Amount: 1},
		domain.AddItems{OrderBookID: "b", Count: 1},
		domain.ReserveItems{TransactionID: "tx", OrderBookID: "b", Count: 1},
		domain.ConfirmItems{TransactionID: "tx", Count: 1},
		domain.ReleaseItems{TransactionID: "tx", Count: 1},
	} {
		s.When(p1, command).ThenRejected(domain.ErrPortfolioNotFound).ThenNothingElse()
	}
	s.When(p1, domain.CreatePortfolio{UserID: "u-1"}).
		ThenRaised(domain.PortfolioCreated{UserID: "u-1"}).ThenNothingElse()
	s.WhenRepeated().ThenFails(actor.CodeAlreadyExists)
}

func TestPortfolio_InvalidAmount(t *testing.T) {
	t.Parallel()
	s := portfolioWith(t, 10, 10)
	s.When(p1, domain.ReserveCash{TransactionID: "cash", Amount: 5}).ThenVersion(4)
	s.When(p1, domain.ReserveItems{TransactionID: "items", OrderBookID: "b", Count: 5}).ThenVersion(5)
	for _, n := range []int64{0, -1, math.MinInt64} {
		for _, command := range []any{
			domain.DepositCash{Amount: n},
			domain.WithdrawCash{Amount: n},
			domain.ReserveCash{TransactionID: "tx", Amount: n},
			domain.ConfirmCash{TransactionID: "cash", Amount: n},
			domain.ReleaseCash{TransactionID: "cash", Amount: n},
			domain.AddItems{OrderBookID: "b", Count: n},
			domain.ReserveItems{TransactionID: "tx", OrderBookID: "b", Count: n},
			domain.ConfirmItems{TransactionID: "items", Count: n},
			domain.ReleaseItems{TransactionID: "items", Count: n},
		} {
			s.When(p1, command).ThenRejected(domain.ErrInvalidAmount).ThenNothingElse()
		}
	}
	for _, command := range []any{
		domain.ReserveCash{Amount: 1},
		domain.ReserveItems{OrderBookID: "b", Count: 1},
		domain.ReserveItems{TransactionID: "tx", Count: 1},
		domain.AddItems{Count: 1},
	} {
		s.When(p1, command).ThenRejected(domain.ErrInvalidAmount)
	}
}

// Free and reserved together stay below 2^63, so that no release overflows.
func TestPortfolio_Overflow(t *testing.T) {
	t.Parallel()
	s := portfolioWith(t, math.MaxInt64-1, math.MaxInt64-1)
	s.When(p1, domain.ReserveCash{TransactionID: "cash", Amount: math.MaxInt64 - 1}).ThenVersion(4)
	s.When(p1, domain.ReserveItems{TransactionID: "items", OrderBookID: "b", Count: math.MaxInt64 - 1}).ThenVersion(5)
	s.When(p1, domain.DepositCash{Amount: 2}).ThenRejected(domain.ErrInvalidAmount)
	s.When(p1, domain.AddItems{OrderBookID: "b", Count: 2}).ThenRejected(domain.ErrInvalidAmount)
	s.When(p1, domain.DepositCash{Amount: 1}).ThenReply(actor.None{})
	s.When(p1, domain.AddItems{OrderBookID: "b", Count: 1}).ThenReply(actor.None{})
	s.When(p1, domain.AddItems{OrderBookID: "another", Count: math.MaxInt64}).ThenReply(actor.None{})
	s.When(p1, domain.ReleaseCash{TransactionID: "cash", Amount: math.MaxInt64 - 1}).ThenReply(domain.Reservation{})
	s.When(p1, domain.ReleaseItems{TransactionID: "items", Count: math.MaxInt64 - 1}).ThenReply(domain.Reservation{})
	s.ThenShown(domain.PortfolioView{
		UserID: "u-1", Cash: math.MaxInt64,
		Items:         map[string]int64{"b": math.MaxInt64, "another": math.MaxInt64},
		ReservedItems: map[string]int64{}, Reservations: map[string]domain.Reservation{},
	})
}

func TestPortfolio_Cash(t *testing.T) {
	t.Parallel()
	s := portfolioWith(t, 0, 0)
	s.When(p1, domain.DepositCash{Amount: 100}).ThenRaised(domain.CashDeposited{Amount: 100}).ThenNothingElse()
	s.When(p1, domain.WithdrawCash{Amount: 101}).ThenRejected(domain.ErrInsufficientCash.With("cash", 100))
	s.When(p1, domain.WithdrawCash{Amount: 10}).ThenRaised(domain.CashWithdrawn{Amount: 10}).ThenNothingElse()
	s.When(p1, domain.ReserveCash{TransactionID: "tx", Amount: 91}).ThenRejected(domain.ErrInsufficientCash)
	s.When(p1, domain.ReserveCash{TransactionID: "tx", Amount: 60}).ThenReply(domain.Reservation{Cash: 60}).
		ThenRaised(domain.CashReserved{TransactionID: "tx", Amount: 60}).ThenNothingElse()
	s.WhenRepeated().ThenReply(domain.Reservation{Cash: 60}).ThenNothingElse()
	s.When(p1, domain.WithdrawCash{Amount: 31}).ThenRejected(domain.ErrInsufficientCash.With("cash", 30))
	s.When(p1, domain.ConfirmCash{TransactionID: "other", Amount: 1}).ThenRejected(domain.ErrUnknownReservation)
	s.When(p1, domain.ConfirmItems{TransactionID: "tx", Count: 1}).ThenRejected(domain.ErrUnknownReservation)
	s.When(p1, domain.ConfirmCash{TransactionID: "tx", Amount: 61}).ThenRejected(domain.ErrInsufficientCash.With("held", 60))
	s.When(p1, domain.ConfirmCash{TransactionID: "tx", Amount: 20}).ThenReply(domain.Reservation{Cash: 40}).
		ThenRaised(domain.CashConfirmed{TransactionID: "tx", Amount: 20}).ThenNothingElse()
	s.When(p1, domain.ReleaseCash{TransactionID: "tx", Amount: 41}).ThenRejected(domain.ErrInsufficientCash.With("held", 40))
	s.When(p1, domain.ReleaseCash{TransactionID: "tx", Amount: 15}).ThenReply(domain.Reservation{Cash: 25}).
		ThenRaised(domain.CashReleased{TransactionID: "tx", Amount: 15}).ThenNothingElse()
	s.ThenShown(domain.PortfolioView{
		UserID: "u-1", Cash: 45, ReservedCash: 25, Items: map[string]int64{}, ReservedItems: map[string]int64{},
		Reservations: map[string]domain.Reservation{"tx": {Cash: 25}},
	})
	s.When(p1, domain.ConfirmCash{TransactionID: "tx", Amount: 25}).ThenReply(domain.Reservation{})
	// Closed: nothing is confirmed, released or reserved for it again.
	s.When(p1, domain.ConfirmCash{TransactionID: "tx", Amount: 1}).ThenRejected(domain.ErrUnknownReservation)
	s.When(p1, domain.ReleaseCash{TransactionID: "tx", Amount: 1}).ThenRejected(domain.ErrUnknownReservation)
	s.When(p1, domain.ReserveCash{TransactionID: "tx", Amount: 1}).ThenReply(domain.Reservation{}).ThenNothingElse()
	s.When(p1, domain.ReserveItems{TransactionID: "tx", OrderBookID: "b", Count: 1}).ThenReply(domain.Reservation{}).ThenNothingElse()
	s.ThenShown(domain.PortfolioView{
		UserID: "u-1", Cash: 45, Items: map[string]int64{}, ReservedItems: map[string]int64{},
		Reservations: map[string]domain.Reservation{},
	})
}

func TestPortfolio_Items(t *testing.T) {
	t.Parallel()
	s := portfolioWith(t, 0, 0)
	s.When(p1, domain.AddItems{OrderBookID: "b", Count: 100}).
		ThenRaised(domain.ItemsAdded{OrderBookID: "b", Count: 100}).ThenNothingElse()
	s.When(p1, domain.ReserveItems{TransactionID: "tx", OrderBookID: "b", Count: 101}).
		ThenRejected(domain.ErrInsufficientItems.With("items", 100))
	s.When(p1, domain.ReserveItems{TransactionID: "tx", OrderBookID: "never", Count: 1}).
		ThenRejected(domain.ErrInsufficientItems.With("items", 0))
	s.When(p1, domain.ReserveItems{TransactionID: "tx", OrderBookID: "b", Count: 60}).
		ThenReply(domain.Reservation{OrderBookID: "b", Items: 60}).
		ThenRaised(domain.ItemsReserved{TransactionID: "tx", OrderBookID: "b", Count: 60}).ThenNothingElse()
	s.WhenRepeated().ThenReply(domain.Reservation{OrderBookID: "b", Items: 60}).ThenNothingElse()
	s.When(p1, domain.ConfirmCash{TransactionID: "tx", Amount: 1}).ThenRejected(domain.ErrUnknownReservation)
	s.When(p1, domain.ConfirmItems{TransactionID: "other", Count: 1}).ThenRejected(domain.ErrUnknownReservation)
	s.When(p1, domain.ConfirmItems{TransactionID: "tx", Count: 61}).ThenRejected(domain.ErrInsufficientItems.With("held", 60))
	s.When(p1, domain.ConfirmItems{TransactionID: "tx", Count: 20}).
		ThenReply(domain.Reservation{OrderBookID: "b", Items: 40}).
		ThenRaised(domain.ItemsConfirmed{TransactionID: "tx", OrderBookID: "b", Count: 20}).ThenNothingElse()
	s.When(p1, domain.ReleaseItems{TransactionID: "tx", Count: 41}).ThenRejected(domain.ErrInsufficientItems.With("held", 40))
	s.When(p1, domain.ReleaseItems{TransactionID: "tx", Count: 40}).ThenReply(domain.Reservation{}).
		ThenRaised(domain.ItemsReleased{TransactionID: "tx", OrderBookID: "b", Count: 40}).ThenNothingElse()
	s.When(p1, domain.ReleaseItems{TransactionID: "tx", Count: 1}).ThenRejected(domain.ErrUnknownReservation)
	s.ThenShown(domain.PortfolioView{
		UserID: "u-1", Items: map[string]int64{"b": 80}, ReservedItems: map[string]int64{},
		Reservations: map[string]domain.Reservation{},
	})
}

// A closed reservation is remembered for as long as the bound says, and the
// state that remembers it stays small.
func TestPortfolio_ClosedReservations(t *testing.T) {
	t.Parallel()
	i := domain.Portfolios.Behavior().New(p1)
	ask := func(name, data string) actor.Decision {
		t.Helper()
		d := i.Decide(&actor.Message{Target: p1, ID: "c", Name: name, Data: []byte(data)})
		if d.Outcome.Code != actor.CodeOK {
			t.Fatalf("%s %s: %+v", name, data, d.Outcome)
		}
		return d
	}
	ask("CreatePortfolio", `{}`)
	ask("DepositCash", `{"amount":1}`)
	for n := range domain.ClosedReservationsMax + 1 {
		ask("ReserveCash", fmt.Sprintf(`{"transactionId":"tx-%d","amount":1}`, n))
		ask("ReleaseCash", fmt.Sprintf(`{"transactionId":"tx-%d","amount":1}`, n))
	}
	if d := ask("ReserveCash", `{"transactionId":"tx-1","amount":1}`); len(d.Events) != 0 {
		t.Errorf("the oldest within the bound is forgotten: %v", d.Events)
	}
	snapshot, err := i.Snapshot()
	if err != nil || len(snapshot) > 24<<10 {
		t.Errorf("a snapshot of %d bytes, %v", len(snapshot), err)
	}
	if d := ask("ReserveCash", `{"transactionId":"tx-0","amount":1}`); len(d.Events) != 1 {
		t.Errorf("beyond the bound nothing is kept: %v", d.Events)
	}
}

// TestPortfolio_SettlesATradeOnce: every step of a settlement counts once for its trade
// and transaction, whoever sends it again and under whatever id.
func TestPortfolio_SettlesATradeOnce(t *testing.T) {
	t.Parallel()
	id := domain.Portfolios.ID("p-1")
	trade := domain.Settlement{TransactionID: "tx-1", TradeID: "b-7"}
	s := actortest.New(t, domain.Portfolios).Given(id,
		domain.PortfolioCreated{UserID: "u-1"}, domain.CashDeposited{Amount: 100}, domain.CashReserved{TransactionID: "tx-1", Amount: 100},
		domain.ItemsAdded{OrderBookID: "b", Count: 10}, domain.ItemsReserved{TransactionID: "tx-2", OrderBookID: "b", Count: 10})
	for _, step := range []struct{ command, raises any }{
		{domain.ConfirmCash{TransactionID: "tx-1", Amount: 30, TradeID: "b-7"}, domain.CashConfirmed{TransactionID: "tx-1", Amount: 30, TradeID: "b-7"}},
		{domain.ReleaseCash{TransactionID: "tx-1", Amount: 5, TradeID: "b-7"}, domain.CashReleased{TransactionID: "tx-1", Amount: 5, TradeID: "b-7"}},
		{domain.AddItems{OrderBookID: "b", Count: 5, Settlement: trade}, domain.ItemsAdded{OrderBookID: "b", Count: 5, Settlement: trade}},
		{domain.ConfirmItems{TransactionID: "tx-2", Count: 5, TradeID: "b-7"}, domain.ItemsConfirmed{TransactionID: "tx-2", OrderBookID: "b", Count: 5, TradeID: "b-7"}},
		{
			domain.DepositCash{Amount: 30, Settlement: domain.Settlement{TransactionID: "tx-2", TradeID: "b-7"}},
			domain.CashDeposited{Amount: 30, Settlement: domain.Settlement{TransactionID: "tx-2", TradeID: "b-7"}},
		},
	} {
		s.When(id, step.command).ThenRaised(step.raises).ThenNothingElse()
		s.WhenRepeated().ThenNothingElse()
	}
	s.When(id, domain.ConfirmCash{TransactionID: "tx-1", Amount: 30, TradeID: "b-8"}).ThenVersion(11) // another trade
	s.When(id, domain.DepositCash{Amount: 1}).ThenVersion(12)                                         // from outside, as often as one likes
	s.WhenRepeated().ThenVersion(13)
}
