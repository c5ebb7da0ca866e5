package domain

import (
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// StepWithin is how long a saga may wait for anything but the market. One that has
// waited longer is overdue: it raises [actor.EventOverdue] and goes on waiting.
const StepWithin = time.Minute

// Phase is what a [Trading] waits for.
type Phase string

// The phases of a trading.
const (
	PhaseReserving  Phase = "reserving"  // for the portfolio
	PhaseConfirming Phase = "confirming" // for the transaction
	PhaseOrdering   Phase = "ordering"   // for the book to take the order
	PhaseLive       Phase = "live"       // for the market
	PhaseCancelling Phase = "cancelling" // for the book to give the order back
	PhaseSettling   Phase = "settling"   // for trades to reach the portfolio
	PhaseStuck      Phase = "stuck"      // for people: a trade could not be settled
	PhaseClosed     Phase = "closed"     // for nothing
)

// Trading is the state of the saga that takes a transaction from its start to its
// end: one for each, under the transaction's id, which is also that of its order.
// [Buyings] and [Sellings] differ in what they reserve and settle.
//
// The order book is the only truth about an order. A cancel only asks it: what it
// says remained is given back, and what it has traded is settled, whichever comes
// first. So cancel and trade cannot contradict each other.
type Trading struct {
	Side      string           `json:"side"`
	Terms                      // of the transaction
	Reserved  bool             `json:"reserved"`
	Confirmed bool             `json:"confirmed"`
	Stopped   bool             `json:"stopped"`   // the transaction was cancelled or rejected
	Ordered   bool             `json:"ordered"`   // the order has been sent
	Live      bool             `json:"live"`      // the book has taken it
	Closed    bool             `json:"closed"`    // the book does not have it any more, and never will
	Executed  int64            `json:"executed"`  // traded, as the book says
	Unsettled map[string]int64 `json:"unsettled"` // trades that have not reached the portfolio, by id
	Refusal   string           `json:"refusal,omitempty"`
	Stuck     bool             `json:"stuck,omitempty"` // a trade could not be settled
}

// The events of a trading.
type (
	// TradingStarted begins it.
	TradingStarted struct {
		Side string `json:"side"`
		Terms
	}
	// TradingReserved says that the portfolio has set aside what the order may need.
	TradingReserved struct{}
	// TradingConfirmed says that the transaction is confirmed.
	TradingConfirmed struct{}
	// TradingOrdered says that the order is sent.
	TradingOrdered struct{}
	// TradingLive says that the book has taken it.
	TradingLive struct{}
	// TradingStopped says that nothing more is to be traded.
	TradingStopped struct{}
	// TradeTaken says that the order has traded, and both aggregates are told.
	TradeTaken struct {
		TradeID string `json:"tradeId"`
		Count   int64  `json:"count"`
		Price   int64  `json:"price"`
	}
	// TradeSettled says that the portfolio has what the trade brought.
	TradeSettled struct {
		TradeID string `json:"tradeId"`
	}
	// TradingClosed says that the book has no order, and nothing more will be traded.
	TradingClosed struct {
		Remaining int64 `json:"remaining"`
	}
	// TradingRefused says that a step was refused, and Stuck that it was one that
	// settles a trade.
	TradingRefused struct {
		Target  string `json:"target"`
		Command string `json:"command"`
		Reason  string `json:"reason"`
		Stuck   bool   `json:"stuck,omitempty"`
	}
)

// Buyings defines the sagas of transactions that buy.
var Buyings = actor.DefineSaga("buying", func(d *actor.SagaDefinition[Trading]) {
	defineTrading(d, SideBuy)
	actor.StartsOn(d, Transactions, func(t *Trading, ctx *actor.Context, e BuyTransactionStarted) { t.begin(ctx, SideBuy, e.Terms) },
		func(_ BuyTransactionStarted, r actor.EventRecord) string { return r.Source.ID })
	actor.Reacts(d, Portfolios, (*Trading).cashReserved, func(e CashReserved, _ actor.EventRecord) string { return sagaID(e.TransactionID) })
	actor.Reacts(d, OrderBooks, func(t *Trading, ctx *actor.Context, e BuyOrderPlaced) { t.placed(ctx, e.OrderID) },
		func(e BuyOrderPlaced, _ actor.EventRecord) string { return sagaID(e.OrderID) })
	actor.Reacts(d, OrderBooks, func(t *Trading, ctx *actor.Context, e TradeExecuted) { t.traded(ctx, e.BuyOrderID, e) },
		func(e TradeExecuted, _ actor.EventRecord) string { return sagaID(e.BuyOrderID) })
	actor.Reacts(d, Portfolios, func(t *Trading, ctx *actor.Context, e ItemsAdded) { t.settled(ctx, e.Settlement) },
		func(e ItemsAdded, _ actor.EventRecord) string { return sagaID(e.TransactionID) })
})

// Sellings defines the sagas of transactions that sell.
var Sellings = actor.DefineSaga("selling", func(d *actor.SagaDefinition[Trading]) {
	defineTrading(d, SideSell)
	actor.StartsOn(d, Transactions, func(t *Trading, ctx *actor.Context, e SellTransactionStarted) { t.begin(ctx, SideSell, e.Terms) },
		func(_ SellTransactionStarted, r actor.EventRecord) string { return r.Source.ID })
	actor.Reacts(d, Portfolios, (*Trading).itemsReserved, func(e ItemsReserved, _ actor.EventRecord) string { return sagaID(e.TransactionID) })
	actor.Reacts(d, OrderBooks, func(t *Trading, ctx *actor.Context, e SellOrderPlaced) { t.placed(ctx, e.OrderID) },
		func(e SellOrderPlaced, _ actor.EventRecord) string { return sagaID(e.OrderID) })
	actor.Reacts(d, OrderBooks, func(t *Trading, ctx *actor.Context, e TradeExecuted) { t.traded(ctx, e.SellOrderID, e) },
		func(e TradeExecuted, _ actor.EventRecord) string { return sagaID(e.SellOrderID) })
	actor.Reacts(d, Portfolios, func(t *Trading, ctx *actor.Context, e CashDeposited) { t.settled(ctx, e.Settlement) },
		func(e CashDeposited, _ actor.EventRecord) string { return sagaID(e.TransactionID) })
})

// defineTrading declares what both sides have in common.
func defineTrading(d *actor.SagaDefinition[Trading], side string) {
	ofSide := func(s string, r actor.EventRecord) string {
		if s == side {
			return r.Source.ID
		}
		return ""
	}
	actor.Reacts(d, Transactions, (*Trading).confirmed, func(e TransactionConfirmed, r actor.EventRecord) string { return ofSide(e.Side, r) })
	actor.Reacts(d, Transactions, func(t *Trading, ctx *actor.Context, _ TransactionCancelled) { t.stopped(ctx) },
		func(e TransactionCancelled, r actor.EventRecord) string { return ofSide(e.Side, r) })
	actor.Reacts(d, Transactions, func(t *Trading, ctx *actor.Context, _ TransactionRejected) { t.stopped(ctx) },
		func(e TransactionRejected, r actor.EventRecord) string { return ofSide(e.Side, r) })
	actor.Reacts(d, OrderBooks, (*Trading).orderCancelled, func(e OrderCancelled, _ actor.EventRecord) string {
		if e.Side != side {
			return ""
		}
		return sagaID(e.OrderID)
	})
	actor.On(d, (*Trading).reservationRefused, actor.Internal())
	actor.On(d, (*Trading).orderRefused, actor.Internal())
	actor.On(d, (*Trading).stepRefused, actor.Internal())
	actor.Apply(d, func(t *Trading, e TradingStarted) { t.Side, t.Terms = e.Side, e.Terms })
	actor.Apply(d, func(t *Trading, _ TradingReserved) { t.Reserved = true })
	actor.Apply(d, func(t *Trading, _ TradingConfirmed) { t.Confirmed = true })
	actor.Apply(d, func(t *Trading, _ TradingOrdered) { t.Ordered = true })
	actor.Apply(d, func(t *Trading, _ TradingLive) { t.Live = true })
	actor.Apply(d, func(t *Trading, _ TradingStopped) { t.Stopped = true })
	actor.Apply(d, func(t *Trading, e TradeTaken) {
		t.Executed, t.Unsettled = t.Executed+e.Count, plus(t.Unsettled, e.TradeID, e.Count)
	})
	actor.Apply(d, func(t *Trading, e TradeSettled) { delete(t.Unsettled, e.TradeID) })
	actor.Apply(d, func(t *Trading, _ TradingClosed) { t.Closed = true })
	actor.Apply(d, func(t *Trading, e TradingRefused) { t.Refusal, t.Stuck = e.Command+": "+e.Reason, e.Stuck })
	actor.View(d, (*Trading).view)
	d.PublicEvents()
	actor.SagaDeadline(d, StepWithin)
}

// sagaID returns the id if a saga can have it: anybody may put any text where a
// transaction's id belongs, and that must not hold up the other events.
func sagaID(id string) string {
	if !isID(id) {
		return ""
	}
	return id
}

// TradingView is what a read of a trading shows.
type TradingView struct {
	Phase Phase  `json:"phase"`
	Side  string `json:"side"`
	Terms
	Executed  int64  `json:"executed"`
	Unsettled int    `json:"unsettled"` // trades
	Refusal   string `json:"refusal,omitempty"`
}

func (t *Trading) view() TradingView {
	return TradingView{
		Phase: t.phase(), Side: t.Side, Terms: t.Terms, Executed: t.Executed, Unsettled: len(t.Unsettled), Refusal: t.Refusal,
	}
}

func (t *Trading) phase() Phase {
	switch {
	case t.Stuck:
		return PhaseStuck
	case t.Closed && len(t.Unsettled) > 0:
		return PhaseSettling
	case t.Closed:
		return PhaseClosed
	case !t.Reserved:
		return PhaseReserving
	case t.Stopped:
		return PhaseCancelling
	case t.Live:
		return PhaseLive
	case t.Ordered:
		return PhaseOrdering
	default:
		return PhaseConfirming
	}
}
