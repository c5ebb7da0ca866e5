package domain_test

import (
	"math"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

var (
	tx1   = domain.Transactions.ID("tx-1")
	terms = domain.Terms{PortfolioID: "p-1", OrderBookID: "b", Count: 10, Price: 7}
)

func execution(id string, count, price int64) domain.RecordExecution {
	return domain.RecordExecution{TradeID: id, Count: count, Price: price}
}

// transactionIn returns a transaction for 10 at 7 with a history.
func transactionIn(t *testing.T, events ...any) *actortest.Scenario {
	t.Helper()
	return actortest.New(t, domain.Transactions).
		Given(tx1, domain.BuyTransactionStarted{Terms: terms}).Given(tx1, events...)
}

func TestTransaction_Start(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, domain.Transactions)
	for _, bad := range []domain.Terms{
		{},
		{PortfolioID: "p", OrderBookID: "b", Count: 0, Price: 1},
		{PortfolioID: "p", OrderBookID: "b", Count: 1, Price: 0},
		{PortfolioID: "p", OrderBookID: "b", Count: -1, Price: -1},
		{PortfolioID: "p", OrderBookID: "b", Count: math.MaxInt64/2 + 1, Price: 2},
		{PortfolioID: "p", Count: 1, Price: 1},
		{OrderBookID: "b", Count: 1, Price: 1},
	} {
		s.When(tx1, domain.StartBuyTransaction{Terms: bad}).ThenRejected(domain.ErrInvalidOrder)
		s.When(tx1, domain.StartSellTransaction{Terms: bad}).ThenRejected(domain.ErrInvalidOrder)
	}
	s.When(tx1, domain.ConfirmTransaction{}).ThenFails(actor.CodeDoesNotExist)
	s.When(tx1, domain.CancelTransaction{}).ThenFails(actor.CodeDoesNotExist)
	s.When(tx1, domain.RejectTransaction{}).ThenFails(actor.CodeDoesNotExist)
	s.When(tx1, execution("t", 1, 1)).ThenFails(actor.CodeDoesNotExist)
	s.When(tx1, domain.StartSellTransaction{Terms: terms}).ThenRaised(domain.SellTransactionStarted{Terms: terms}).ThenNothingElse()
	s.ThenShown(domain.TransactionView{
		Status: domain.StatusStarted, Side: domain.SideSell, PortfolioID: "p-1", OrderBookID: "b", Count: 10, Price: 7,
	})
	s.When(tx1, domain.StartBuyTransaction{Terms: terms}).ThenFails(actor.CodeAlreadyExists)
	s.WhenRetried().ThenFails(actor.CodeAlreadyExists)
}

func TestTransaction_Executes(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, domain.Transactions)
	s.When(tx1, domain.StartBuyTransaction{Terms: terms}).ThenRaised(domain.BuyTransactionStarted{Terms: terms}).ThenNothingElse()
	s.When(tx1, execution("t-1", 1, 7)).ThenRejected(domain.ErrInvalidTransition)
	s.When(tx1, domain.ConfirmTransaction{}).ThenRaised(domain.TransactionConfirmed{Side: domain.SideBuy}).ThenNothingElse()
	s.WhenRepeated().ThenReply(actor.None{}).ThenNothingElse()
	for _, bad := range []domain.RecordExecution{
		execution("", 1, 1), execution("t", 0, 1), execution("t", 1, 0), execution("t", -1, 1), execution("t", 11, 1),
		execution("t", 2, math.MaxInt64/2+1),
	} {
		s.When(tx1, bad).ThenRejected(domain.ErrInvalidExecution)
	}
	s.When(tx1, execution("t-1", 3, 5)).ThenReply(domain.Execution{Status: domain.StatusPartiallyExecuted, Executed: 3}).
		ThenRaised(domain.ExecutionRecorded{TradeID: "t-1", Count: 3, Price: 5, Executed: 3}).ThenNothingElse()
	s.WhenRepeated().ThenReply(domain.Execution{Status: domain.StatusPartiallyExecuted, Executed: 3}).ThenNothingElse()
	s.When(tx1, domain.RejectTransaction{}).ThenRejected(domain.ErrInvalidTransition.With("status", "partially_executed"))
	s.When(tx1, domain.ConfirmTransaction{}).ThenReply(actor.None{}).ThenNothingElse()
	s.When(tx1, execution("t-2", 8, 5)).ThenRejected(domain.ErrInvalidExecution)
	s.When(tx1, execution("t-2", 7, 7)).ThenReply(domain.Execution{Status: domain.StatusExecuted, Executed: 10})
	s.ThenShown(domain.TransactionView{
		Status: domain.StatusExecuted, Side: domain.SideBuy, PortfolioID: "p-1", OrderBookID: "b", Count: 10, Price: 7,
		Executed: 10, AveragePrice: 6, // (3*5 + 7*7) / 10, rounded down
	})
	s.When(tx1, domain.CancelTransaction{}).ThenRejected(domain.ErrAlreadyExecuted)
	s.When(tx1, domain.RejectTransaction{}).ThenRejected(domain.ErrAlreadyExecuted)
	s.When(tx1, domain.ConfirmTransaction{}).ThenReply(actor.None{}).ThenNothingElse()
	s.When(tx1, execution("t-1", 3, 5)).ThenReply(domain.Execution{Status: domain.StatusExecuted, Executed: 10}).ThenNothingElse()
	s.When(tx1, execution("t-3", 1, 5)).ThenRejected(domain.ErrInvalidExecution)
}

func TestTransaction_Cancels(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*actortest.Scenario{
		"started":   transactionIn(t),
		"confirmed": transactionIn(t, domain.TransactionConfirmed{}),
		"partially": transactionIn(t, domain.TransactionConfirmed{}, domain.ExecutionRecorded{TradeID: "t", Count: 1, Price: 7, Executed: 1}),
	} {
		t.Log(name)
		s.When(tx1, domain.CancelTransaction{}).ThenRaised(domain.TransactionCancelled{Side: domain.SideBuy}).ThenNothingElse()
		s.WhenRepeated().ThenReply(actor.None{}).ThenNothingElse()
		s.When(tx1, domain.ConfirmTransaction{}).ThenRejected(domain.ErrInvalidTransition)
		s.When(tx1, domain.RejectTransaction{}).ThenRejected(domain.ErrInvalidTransition)
	}
}

// The order book may have traded before the cancel reached it, and what it
// decided stands.
func TestTransaction_TradeRacesWithCancel(t *testing.T) {
	t.Parallel()
	s := transactionIn(t, domain.TransactionConfirmed{}, domain.TransactionCancelled{})
	s.When(tx1, execution("t-1", 4, 7)).ThenReply(domain.Execution{Status: domain.StatusCancelled, Executed: 4})
	s.When(tx1, execution("t-2", 6, 7)).ThenReply(domain.Execution{Status: domain.StatusExecuted, Executed: 10})
	s.When(tx1, domain.CancelTransaction{}).ThenRejected(domain.ErrAlreadyExecuted)

	// One that was cancelled before it was confirmed has no order to trade.
	transactionIn(t, domain.TransactionCancelled{}).
		When(tx1, execution("t-1", 4, 7)).ThenRejected(domain.ErrInvalidTransition)
}

func TestTransaction_Rejects(t *testing.T) {
	t.Parallel()
	for _, s := range []*actortest.Scenario{transactionIn(t), transactionIn(t, domain.TransactionConfirmed{})} {
		s.When(tx1, domain.RejectTransaction{Reason: "insufficient_cash"}).
			ThenRaised(domain.TransactionRejected{Reason: "insufficient_cash", Side: domain.SideBuy}).ThenNothingElse()
		s.WhenRepeated().ThenReply(actor.None{}).ThenNothingElse()
		s.When(tx1, domain.CancelTransaction{}).ThenRejected(domain.ErrInvalidTransition)
		s.When(tx1, domain.ConfirmTransaction{}).ThenRejected(domain.ErrInvalidTransition)
		s.ThenShown(domain.TransactionView{
			Status: domain.StatusRejected, Side: domain.SideBuy, PortfolioID: "p-1", OrderBookID: "b", Count: 10, Price: 7,
			Reason: "insufficient_cash",
		})
	}
}

// A transaction may be rejected while its order is in the book. What the book has
// traded then is recorded like after a cancel.
func TestTransaction_TradeRacesWithReject(t *testing.T) {
	t.Parallel()
	s := transactionIn(t, domain.TransactionConfirmed{}, domain.TransactionRejected{Reason: "r"})
	s.When(tx1, execution("t-1", 4, 7)).ThenReply(domain.Execution{Status: domain.StatusRejected, Executed: 4})
	s.When(tx1, execution("t-2", 6, 7)).ThenReply(domain.Execution{Status: domain.StatusExecuted, Executed: 10})
	transactionIn(t, domain.TransactionRejected{}).
		When(tx1, execution("t-1", 4, 7)).ThenRejected(domain.ErrInvalidTransition)
}

func TestTransaction_ImpossibleIDs(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 257)
	for _, bad := range []domain.Terms{
		{PortfolioID: long, OrderBookID: "b", Count: 1, Price: 1},
		{PortfolioID: "p", OrderBookID: long, Count: 1, Price: 1},
	} {
		actortest.New(t, domain.Transactions).When(tx1, domain.StartBuyTransaction{Terms: bad}).ThenRejected(domain.ErrInvalidOrder)
	}
}
