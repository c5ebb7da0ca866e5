package domain

import (
	"strconv"

	"github.com/ganglion-go/ganglion/actor"
)

// ReservationRefused comes back when the portfolio does not reserve.
type ReservationRefused struct {
	actor.Replies[actor.None]
	actor.Refused
}

// OrderRefused comes back when the book does not take the order.
type OrderRefused struct {
	actor.Replies[actor.None]
	actor.Refused
}

// StepRefused comes back when a trade cannot be settled, as none can that is the
// book's: somebody else has used the transaction's reservation. The trading does not
// end then, and is overdue at its deadline.
type StepRefused struct {
	actor.Replies[actor.None]
	actor.Refused
}

func (t *Trading) begin(ctx *actor.Context, side string, terms Terms) {
	if t.Side != "" {
		return
	}
	ctx.Raise(TradingStarted{Side: side, Terms: terms})
	ctx.Send(t.portfolio(), t.reserve(ctx.Address().ID), actor.OnRefusal(ReservationRefused{}))
}

func (t *Trading) portfolio() actor.Address { return Portfolios.ID(t.PortfolioID) }
func (t *Trading) book() actor.Address      { return OrderBooks.ID(t.OrderBookID) }

// comesFrom reports whether the event is one of the aggregate that it should be of:
// others may name the transaction, too.
func comesFrom(ctx *actor.Context, source actor.Address) bool {
	e, ok := ctx.Event()
	return ok && e.Source == source
}

func (t *Trading) cashReserved(ctx *actor.Context, e CashReserved) {
	t.reserved(ctx, e.Amount == t.Count*t.Price, ReleaseCash{TransactionID: ctx.Address().ID, Amount: e.Amount})
}

func (t *Trading) itemsReserved(ctx *actor.Context, e ItemsReserved) {
	t.reserved(ctx, e.OrderBookID == t.OrderBookID && e.Count == t.Count, ReleaseItems{TransactionID: ctx.Address().ID, Count: e.Count})
}

// reserved goes on with what the portfolio has set aside. It is as asked, unless
// somebody else has reserved in the transaction's name; then it is given back.
func (t *Trading) reserved(ctx *actor.Context, asAsked bool, release actor.Command) {
	switch id := ctx.Address().ID; {
	case t.Reserved || !comesFrom(ctx, t.portfolio()):
	case !asAsked:
		ctx.Send(t.portfolio(), release)
		t.fail(ctx, TradingRefused{Target: t.portfolio().String(), Command: "Reserve", Reason: "reserved_otherwise"})
	case t.Stopped:
		ctx.Raise(TradingReserved{})
		t.giveBack(ctx, t.Count)
	case t.Confirmed:
		ctx.Raise(TradingReserved{})
		t.order(ctx)
	default:
		ctx.Raise(TradingReserved{})
		// Refused, it was cancelled or rejected before: that event is on its way.
		ctx.Send(Transactions.ID(id), ConfirmTransaction{})
	}
}

func (t *Trading) reservationRefused(ctx *actor.Context, m ReservationRefused) (actor.None, error) {
	if !t.Reserved {
		t.fail(ctx, refusedStep(m.Refusal))
	}
	return actor.None{}, nil
}

// fail ends a trading that has nothing reserved and no order.
func (t *Trading) fail(ctx *actor.Context, why TradingRefused) {
	ctx.Raise(why)
	ctx.Raise(TradingClosed{Remaining: t.Count})
	if !t.Stopped {
		ctx.Send(Transactions.ID(ctx.Address().ID), RejectTransaction{Reason: why.Reason})
	}
	ctx.End()
}

func (t *Trading) confirmed(ctx *actor.Context, _ TransactionConfirmed) {
	if t.Confirmed {
		return
	}
	ctx.Raise(TradingConfirmed{})
	if t.Reserved && !t.Stopped {
		t.order(ctx)
	}
}

func (t *Trading) order(ctx *actor.Context) {
	ctx.Raise(TradingOrdered{})
	ctx.Send(t.book(), t.placement(ctx.Address().ID), actor.OnRefusal(OrderRefused{}))
}

func (t *Trading) orderRefused(ctx *actor.Context, m OrderRefused) (actor.None, error) {
	if !t.Ordered || t.Live || t.Closed {
		return actor.None{}, nil
	}
	ctx.Send(t.portfolio(), t.release(ctx.Address().ID, t.Count))
	t.fail(ctx, refusedStep(m.Refusal))
	return actor.None{}, nil
}

// placed begins the wait for the market, which has no deadline.
func (t *Trading) placed(ctx *actor.Context, orderID string) {
	if t.Live || !t.Ordered || orderID != ctx.Address().ID || !comesFrom(ctx, t.book()) {
		return
	}
	ctx.Raise(TradingLive{})
	if !t.Stopped {
		ctx.Deadline(0)
	}
}

// stopped gives back what is reserved, or asks the book for the order.
func (t *Trading) stopped(ctx *actor.Context) {
	if t.Stopped || t.Closed {
		return
	}
	ctx.Raise(TradingStopped{})
	switch {
	case t.Ordered:
		// Refused, the order was filled or not taken: that event is on its way.
		ctx.Send(t.book(), CancelOrder{OrderID: ctx.Address().ID})
		ctx.Deadline(StepWithin)
	case t.Reserved:
		t.giveBack(ctx, t.Count)
	default: // the answer to the reservation is on its way
	}
}

// orderCancelled: the order is out of the book, whoever wanted that.
func (t *Trading) orderCancelled(ctx *actor.Context, e OrderCancelled) {
	if t.Closed || !t.Ordered || e.OrderID != ctx.Address().ID || !comesFrom(ctx, t.book()) {
		return
	}
	if !t.Stopped {
		ctx.Send(Transactions.ID(ctx.Address().ID), CancelTransaction{})
	}
	t.giveBack(ctx, e.Remaining)
}

// giveBack releases what will not be traded any more.
func (t *Trading) giveBack(ctx *actor.Context, remaining int64) {
	ctx.Raise(TradingClosed{Remaining: remaining})
	ctx.Send(t.portfolio(), t.release(ctx.Address().ID, remaining))
	t.finish(ctx)
}

// traded settles what the book has decided.
func (t *Trading) traded(ctx *actor.Context, orderID string, e TradeExecuted) {
	id := ctx.Address().ID
	if t.Closed || !t.Ordered || orderID != id || !comesFrom(ctx, t.book()) {
		return
	}
	event, _ := ctx.Event()
	trade := TradeTaken{TradeID: TradeID(event.Source, event.Version), Count: e.Count, Price: e.Price}
	ctx.Raise(trade)
	ctx.Send(Transactions.ID(id), RecordExecution{TradeID: trade.TradeID, Count: e.Count, Price: e.Price}, actor.OnRefusal(StepRefused{}))
	for _, step := range t.settlement(id, trade) {
		ctx.Send(t.portfolio(), step, actor.OnRefusal(StepRefused{}))
	}
	if t.Executed == t.Count {
		ctx.Raise(TradingClosed{})
		ctx.Deadline(StepWithin)
	}
}

// TradeID names a trade: the book's event that says it was made.
func TradeID(book actor.Address, v actor.Version) string {
	return book.ID + "-" + strconv.FormatUint(uint64(v), 10)
}

// settled: the last step of a trade's settlement has been made.
func (t *Trading) settled(ctx *actor.Context, s Settlement) {
	if t.Unsettled[s.TradeID] == 0 || !comesFrom(ctx, t.portfolio()) {
		return
	}
	ctx.Raise(TradeSettled{TradeID: s.TradeID})
	t.finish(ctx)
}

func (t *Trading) stepRefused(ctx *actor.Context, m StepRefused) (actor.None, error) {
	why := refusedStep(m.Refusal)
	why.Stuck = true
	ctx.Raise(why)
	ctx.Deadline(StepWithin)
	return actor.None{}, nil
}

// finish ends the trading once nothing is open.
func (t *Trading) finish(ctx *actor.Context) {
	switch {
	case !t.Closed:
	case len(t.Unsettled) == 0 && !t.Stuck:
		ctx.End()
	default:
		ctx.Deadline(StepWithin)
	}
}

func refusedStep(r actor.Refusal) TradingRefused {
	reason := r.Reason
	if reason == "" {
		reason = string(r.Code)
	}
	return TradingRefused{Target: r.Target, Command: r.Command, Reason: reason}
}
