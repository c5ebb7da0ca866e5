package domain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

var (
	buying    = domain.Buyings.ID("tx-1")
	portfolio = domain.Portfolios.ID("p-1")
	orders    = domain.OrderBooks.ID("b")
	ours      = domain.Placement{OrderID: "tx-1", TransactionID: "tx-1", PortfolioID: "p-1", Count: 10, Price: 7}
	confirmed = domain.TransactionConfirmed{Side: domain.SideBuy}
	cancelled = domain.TransactionCancelled{Side: domain.SideBuy}
	reserved  = domain.CashReserved{TransactionID: "tx-1", Amount: 70}
)

// buyingAfter returns a scenario in which the saga of a buy of 10 at 7 has got events.
func buyingAfter(t *testing.T, events ...any) *actortest.Scenario {
	t.Helper()
	s := actortest.New(t, domain.Definitions()...)
	s.WhenEvent(tx1, domain.BuyTransactionStarted{Terms: terms})
	for _, e := range events {
		happens(s, e)
	}
	return s
}

// happens brings an event of the aggregate that it is of.
func happens(s *actortest.Scenario, e any) *actortest.Scenario {
	switch e.(type) {
	case domain.CashReserved, domain.ItemsReserved, domain.ItemsAdded, domain.CashDeposited:
		return s.WhenEvent(portfolio, e)
	case domain.BuyOrderPlaced, domain.SellOrderPlaced, domain.TradeExecuted, domain.OrderCancelled:
		return s.WhenEvent(orders, e)
	default:
		return s.WhenEvent(tx1, e)
	}
}

func bought(count, price int64) domain.TradeExecuted {
	return domain.TradeExecuted{Count: count, Price: price, BuyOrderID: "tx-1", BuyTransactionID: "tx-1"}
}

func TestBuying(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, domain.Definitions()...)
	s.WhenEvent(tx1, domain.BuyTransactionStarted{Terms: terms}).
		ThenSent(portfolio, domain.ReserveCash{TransactionID: "tx-1", Amount: 70}).
		ThenOnRefusal(domain.ReservationRefused{}).ThenNothingElseSent()
	s.WhenEvent(portfolio, reserved).ThenSent(tx1, domain.ConfirmTransaction{}).ThenNothingElseSent()
	s.WhenEvent(portfolio, reserved).ThenNothingElse().ThenNothingElseSent() // once more
	s.WhenEvent(tx1, confirmed).ThenSent(orders, domain.PlaceBuyOrder{Placement: ours}).
		ThenOnRefusal(domain.OrderRefused{}).ThenNothingElseSent()
	s.WhenEvent(tx1, confirmed).ThenNothingElse().ThenNothingElseSent()
	s.WhenEvent(orders, domain.BuyOrderPlaced{Placement: ours}).ThenNoTimer() // the market may take its time

	s.WhenEvent(orders, bought(4, 5)).
		ThenSent(tx1, domain.RecordExecution{TradeID: "b-2", Count: 4, Price: 5}).ThenOnRefusal(domain.StepRefused{}).
		ThenSent(portfolio, domain.ConfirmCash{TransactionID: "tx-1", Amount: 20, TradeID: "b-2"},
			domain.ReleaseCash{TransactionID: "tx-1", Amount: 8, TradeID: "b-2"},
			domain.AddItems{OrderBookID: "b", Count: 4, Settlement: domain.Settlement{TransactionID: "tx-1", TradeID: "b-2"}}).
		ThenNothingElseSent().ThenNotEnded()
	s.WhenEvent(portfolio, domain.ItemsAdded{OrderBookID: "b", Count: 4, Settlement: domain.Settlement{TransactionID: "tx-1", TradeID: "b-2"}}).ThenNotEnded()
	s.WhenEvent(orders, bought(6, 7)). // at the bid: no difference to release
						ThenSent(tx1, domain.RecordExecution{TradeID: "b-3", Count: 6, Price: 7}).
						ThenSent(portfolio, domain.ConfirmCash{TransactionID: "tx-1", Amount: 42, TradeID: "b-3"},
			domain.AddItems{OrderBookID: "b", Count: 6, Settlement: domain.Settlement{TransactionID: "tx-1", TradeID: "b-3"}}).
		ThenNothingElseSent().ThenNotEnded()
	s.WhenEvent(portfolio, domain.ItemsAdded{OrderBookID: "b", Count: 4, Settlement: domain.Settlement{TransactionID: "tx-1", TradeID: "b-2"}}).ThenNotEnded()
	s.WhenEvent(portfolio, domain.ItemsAdded{OrderBookID: "b", Count: 6, Settlement: domain.Settlement{TransactionID: "tx-1", TradeID: "b-3"}}).
		ThenEnded().ThenNoTimer().ThenNothingElseSent()
	s.WhenEvent(tx1, cancelled).ThenNothingElseSent() // too late for everything
}

func TestSelling(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, domain.Definitions()...)
	s.WhenEvent(tx1, domain.SellTransactionStarted{Terms: terms}).
		ThenSent(portfolio, domain.ReserveItems{TransactionID: "tx-1", OrderBookID: "b", Count: 10}).
		ThenOnRefusal(domain.ReservationRefused{}).ThenNothingElseSent()
	s.WhenEvent(portfolio, domain.ItemsReserved{TransactionID: "tx-1", OrderBookID: "b", Count: 10}).
		ThenSent(tx1, domain.ConfirmTransaction{}).ThenNothingElseSent()
	s.WhenEvent(tx1, domain.TransactionConfirmed{Side: domain.SideSell}).
		ThenSent(orders, domain.PlaceSellOrder{Placement: ours}).ThenNothingElseSent()
	s.WhenEvent(orders, domain.SellOrderPlaced{Placement: ours}).ThenNoTimer()
	s.WhenEvent(orders, domain.TradeExecuted{Count: 3, Price: 9, SellOrderID: "tx-1", SellTransactionID: "tx-1"}).
		ThenSent(tx1, domain.RecordExecution{TradeID: "b-2", Count: 3, Price: 9}).
		ThenSent(portfolio, domain.ConfirmItems{TransactionID: "tx-1", Count: 3, TradeID: "b-2"},
			domain.DepositCash{Amount: 27, Settlement: domain.Settlement{TransactionID: "tx-1", TradeID: "b-2"}}).
		ThenNothingElseSent()
	s.WhenEvent(tx1, domain.TransactionCancelled{Side: domain.SideSell}).
		ThenSent(orders, domain.CancelOrder{OrderID: "tx-1"}).ThenNothingElseSent()
	s.WhenEvent(orders, domain.OrderCancelled{OrderID: "tx-1", Remaining: 7, Side: domain.SideSell}).
		ThenSent(portfolio, domain.ReleaseItems{TransactionID: "tx-1", Count: 7}).
		ThenNothingElseSent().ThenNotEnded() // the trade has not reached the portfolio
	s.WhenEvent(portfolio, domain.CashDeposited{Amount: 27, Settlement: domain.Settlement{TransactionID: "tx-1", TradeID: "b-2"}}).ThenEnded()
}

func TestTrading_Refused(t *testing.T) {
	t.Parallel()
	refusal := actor.Refused{Refusal: actor.Refusal{Target: "portfolio/p-1", Command: "ReserveCash", Code: actor.CodeRejected, Reason: "insufficient_cash"}}
	t.Run("reservation", func(t *testing.T) {
		t.Parallel()
		buyingAfter(t).When(buying, domain.ReservationRefused{Refused: refusal}).
			ThenSent(tx1, domain.RejectTransaction{Reason: "insufficient_cash"}).ThenNothingElseSent().ThenEnded()
	})
	t.Run("reservation of a cancelled one", func(t *testing.T) {
		t.Parallel()
		buyingAfter(t, cancelled).When(buying, domain.ReservationRefused{Refused: refusal}).ThenNothingElseSent().ThenEnded()
	})
	t.Run("order", func(t *testing.T) {
		t.Parallel()
		refusal := actor.Refused{Refusal: actor.Refusal{Target: "orderbook/b", Command: "PlaceBuyOrder", Code: actor.CodeRejected, Reason: "book_not_open"}}
		buyingAfter(t, reserved, confirmed).When(buying, domain.OrderRefused{Refused: refusal}).
			ThenSent(portfolio, domain.ReleaseCash{TransactionID: "tx-1", Amount: 70}).
			ThenSent(tx1, domain.RejectTransaction{Reason: "book_not_open"}).ThenNothingElseSent().ThenEnded()
	})
	t.Run("settlement", func(t *testing.T) {
		t.Parallel()
		s := buyingAfter(t, reserved, confirmed, domain.BuyOrderPlaced{Placement: ours}, bought(10, 7))
		refusal := actor.Refused{Refusal: actor.Refusal{Target: "portfolio/p-1", Command: "ConfirmCash", Code: actor.CodeRejected, Reason: "unknown_reservation"}}
		s.When(buying, domain.StepRefused{Refused: refusal}).ThenNotEnded()
		s.WhenEvent(portfolio, domain.ItemsAdded{OrderBookID: "b", Count: 10, Settlement: domain.Settlement{TransactionID: "tx-1", TradeID: "b-2"}}).ThenNotEnded()
		s.Advance(domain.StepWithin).ThenOverdue()
	})
}

// TestTrading_Cancelled: wherever the cancel meets the saga, what is reserved comes
// back once, and no order stays.
func TestTrading_Cancelled(t *testing.T) {
	t.Parallel()
	release := domain.ReleaseCash{TransactionID: "tx-1", Amount: 70}
	t.Run("before the reservation is known", func(t *testing.T) {
		t.Parallel()
		s := buyingAfter(t, cancelled)
		s.ThenNothingElseSent().ThenNotEnded()
		s.WhenEvent(portfolio, reserved).ThenSent(portfolio, release).ThenNothingElseSent().ThenEnded()
	})
	t.Run("before it is confirmed", func(t *testing.T) {
		t.Parallel()
		buyingAfter(t, reserved, cancelled).ThenSent(portfolio, release).ThenNothingElseSent().ThenEnded()
	})
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		s := buyingAfter(t, reserved, confirmed, cancelled)
		s.ThenSent(orders, domain.CancelOrder{OrderID: "tx-1"}).ThenNothingElseSent()
		s.WhenEvent(tx1, cancelled).ThenNothingElse().ThenNothingElseSent()
	})
	t.Run("the book gives it back", func(t *testing.T) {
		t.Parallel()
		s := buyingAfter(t, reserved, confirmed, domain.BuyOrderPlaced{Placement: ours}, cancelled)
		s.WhenEvent(orders, domain.OrderCancelled{OrderID: "tx-1", Remaining: 10, Side: domain.SideBuy}).
			ThenSent(portfolio, release).ThenNothingElseSent().ThenEnded()
	})
	t.Run("the trade was first", func(t *testing.T) {
		t.Parallel()
		s := buyingAfter(t, reserved, confirmed, cancelled, domain.BuyOrderPlaced{Placement: ours}, bought(10, 7))
		s.ThenSent(tx1, domain.RecordExecution{TradeID: "b-2", Count: 10, Price: 7}).ThenNotEnded()
		s.WhenEvent(portfolio, domain.ItemsAdded{OrderBookID: "b", Count: 10, Settlement: domain.Settlement{TransactionID: "tx-1", TradeID: "b-2"}}).ThenEnded()
	})
	t.Run("at the book alone", func(t *testing.T) {
		t.Parallel()
		s := buyingAfter(t, reserved, confirmed, domain.BuyOrderPlaced{Placement: ours})
		s.WhenEvent(orders, domain.OrderCancelled{OrderID: "tx-1", Remaining: 10, Side: domain.SideBuy}).
			ThenSent(tx1, domain.CancelTransaction{}).ThenSent(portfolio, release).ThenNothingElseSent().ThenEnded()
	})
	t.Run("rejected from outside", func(t *testing.T) {
		t.Parallel()
		buyingAfter(t, reserved, confirmed, domain.TransactionRejected{Side: domain.SideBuy}).
			ThenSent(orders, domain.CancelOrder{OrderID: "tx-1"}).ThenNothingElseSent()
	})
}

// TestTrading_Foreign: what others do in the transaction's name moves nothing.
func TestTrading_Foreign(t *testing.T) {
	t.Parallel()
	other := domain.Portfolios.ID("p-2")
	s := buyingAfter(t)
	s.WhenEvent(other, reserved).ThenNothingElse().ThenNothingElseSent()
	s.WhenEvent(orders, bought(10, 7)).ThenNothingElse().ThenNothingElseSent() // nothing was ordered
	s.WhenEvent(portfolio, domain.CashReserved{TransactionID: strings.Repeat("x", 300), Amount: 1}).ThenNothingElseSent()
	happens(s, reserved)
	happens(s, confirmed)
	s.WhenEvent(domain.OrderBooks.ID("c"), bought(10, 7)).ThenNothingElse().ThenNothingElseSent()
	s.WhenEvent(domain.OrderBooks.ID("c"), domain.OrderCancelled{OrderID: "tx-1", Remaining: 10, Side: domain.SideBuy}).ThenNothingElse().ThenNothingElseSent()
	happens(s, bought(10, 7))
	s.WhenEvent(other, domain.ItemsAdded{OrderBookID: "b", Count: 10, Settlement: domain.Settlement{TransactionID: "tx-1", TradeID: "b-2"}}).ThenNotEnded()

	buyingAfter(t, domain.CashReserved{TransactionID: "tx-1", Amount: 1}). // too little, by somebody else
										ThenSent(portfolio, domain.ReleaseCash{TransactionID: "tx-1", Amount: 1}).
										ThenSent(tx1, domain.RejectTransaction{Reason: "reserved_otherwise"}).ThenNothingElseSent().ThenEnded()
}

// TestTrading_Overdue: a saga that hears nothing is seen, in each of its waits but
// that for the market.
func TestTrading_Overdue(t *testing.T) {
	t.Parallel()
	placed := domain.BuyOrderPlaced{Placement: ours}
	for name, events := range map[string][]any{
		"reserving": {}, "confirming": {reserved}, "ordering": {reserved, confirmed},
		"cancelling": {reserved, confirmed, placed, cancelled}, "settling": {reserved, confirmed, placed, bought(10, 7)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := buyingAfter(t, events...)
			s.ThenShown(domain.TradingView{
				Phase: domain.Phase(name), Side: domain.SideBuy, Terms: terms,
				Executed: map[bool]int64{true: 10}[name == "settling"], Unsettled: map[bool]int{true: 1}[name == "settling"],
			})
			s.Advance(domain.StepWithin).ThenOverdue().ThenNotEnded()
		})
	}
	s := buyingAfter(t, reserved, confirmed, placed)
	s.ThenShown(domain.TradingView{Phase: domain.PhaseLive, Side: domain.SideBuy, Terms: terms})
	s.Advance(1000 * time.Hour)
	s.WhenEvent(tx1, cancelled).ThenSent(orders, domain.CancelOrder{OrderID: "tx-1"})
}
