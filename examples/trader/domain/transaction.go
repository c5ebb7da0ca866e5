package domain

import "github.com/ganglion-go/ganglion/actor"

// TradesMax is the number of trades whose ids a transaction remembers, so that
// none counts twice: at least the latest that many. At 16 bytes each they cost
// a transaction 256 kB at most, and nothing before it has traded.
const TradesMax = 4096

// Status is where a transaction stands.
type Status string

// The states of a transaction; "" is one that was never started.
const (
	StatusStarted           Status = "started"
	StatusConfirmed         Status = "confirmed"
	StatusPartiallyExecuted Status = "partially_executed"
	StatusExecuted          Status = "executed"
	StatusCancelled         Status = "cancelled"
	StatusRejected          Status = "rejected"
)

// Sides of a transaction.
const (
	SideBuy  = "buy"
	SideSell = "sell"
)

// Transaction is the state of one wish to buy or sell.
type Transaction struct {
	Status      Status    `json:"status"`
	Side        string    `json:"side"`
	PortfolioID string    `json:"portfolioId"`
	OrderBookID string    `json:"orderBookId"`
	Count       int64     `json:"count"`
	Price       int64     `json:"price"`
	Executed    int64     `json:"executed"`
	Total       int64     `json:"total"` // sum of count*price of all executions
	Confirmed   bool      `json:"confirmed"`
	Reason      string    `json:"reason,omitempty"`
	Trades      recentIDs `json:"trades"`
}

// Terms say what is to be traded, at which price at worst.
type Terms struct {
	PortfolioID string `json:"portfolioId"`
	OrderBookID string `json:"orderBookId"`
	Count       int64  `json:"count"`
	Price       int64  `json:"price"`
}

// StartBuyTransaction starts a transaction that buys.
type StartBuyTransaction struct {
	actor.Replies[actor.None]
	Terms
}

// BuyTransactionStarted follows from [StartBuyTransaction].
type BuyTransactionStarted struct{ Terms }

// StartSellTransaction starts a transaction that sells.
type StartSellTransaction struct {
	actor.Replies[actor.None]
	Terms
}

// SellTransactionStarted follows from [StartSellTransaction].
type SellTransactionStarted struct{ Terms }

// ConfirmTransaction says that cash or items are reserved.
type ConfirmTransaction struct{ actor.Replies[actor.None] }

// TransactionConfirmed follows from [ConfirmTransaction].
type TransactionConfirmed struct {
	Side string `json:"side,omitempty"`
}

// CancelTransaction gives up what is not yet executed.
type CancelTransaction struct{ actor.Replies[actor.None] }

// TransactionCancelled follows from [CancelTransaction].
type TransactionCancelled struct {
	Side string `json:"side,omitempty"`
}

// RejectTransaction ends a transaction before anything was traded.
type RejectTransaction struct {
	actor.Replies[actor.None]
	Reason string `json:"reason"`
}

// TransactionRejected follows from [RejectTransaction].
type TransactionRejected struct {
	Reason string `json:"reason"`
	Side   string `json:"side,omitempty"`
}

// RecordExecution records a trade that the order book has made. It is taken
// after a cancel or a reject as well: the order book decides about an order, and a
// trade may have been made before either reached it.
type RecordExecution struct {
	actor.Replies[Execution]
	TradeID string `json:"tradeId"`
	Count   int64  `json:"count"`
	Price   int64  `json:"price"`
}

// Execution replies where a transaction stands after an execution.
type Execution struct {
	Status   Status `json:"status"`
	Executed int64  `json:"executed"`
}

// ExecutionRecorded follows from [RecordExecution]. Executed is the sum so far.
type ExecutionRecorded struct {
	TradeID  string `json:"tradeId"`
	Count    int64  `json:"count"`
	Price    int64  `json:"price"`
	Executed int64  `json:"executed"`
}

// The rejections of a transaction, beside [ErrInvalidOrder] at its start.
var (
	ErrAlreadyExecuted   = actor.Reject("already_executed", "the transaction is fully executed")
	ErrInvalidTransition = actor.Reject("invalid_transition", "the transaction's status does not allow that")
	ErrInvalidExecution  = actor.Reject("invalid_execution", "a trade must have an id, and a count and price that the transaction has room for")
)

// Transactions defines kind transaction.
var Transactions = actor.Define("transaction", func(d *actor.Definition[Transaction]) {
	actor.On(d, (*Transaction).startBuy, actor.NewOnly())
	actor.On(d, (*Transaction).startSell, actor.NewOnly())
	actor.On(d, (*Transaction).confirm, actor.ExistingOnly(), actor.Internal())
	actor.On(d, (*Transaction).cancel, actor.ExistingOnly())
	actor.On(d, (*Transaction).reject, actor.ExistingOnly(), actor.Internal())
	actor.On(d, (*Transaction).record, actor.ExistingOnly(), actor.Internal())
	actor.Apply(d, (*Transaction).buyStarted)
	actor.Apply(d, (*Transaction).sellStarted)
	actor.Apply(d, (*Transaction).confirmed)
	actor.Apply(d, (*Transaction).cancelled)
	actor.Apply(d, (*Transaction).rejected)
	actor.Apply(d, (*Transaction).recorded)
	actor.View(d, (*Transaction).view)
	d.PublicEvents()
	d.Rejections(ErrInvalidOrder, ErrAlreadyExecuted, ErrInvalidTransition, ErrInvalidExecution)
})

func (x *Transaction) startBuy(ctx *actor.Context, m StartBuyTransaction) (actor.None, error) {
	if !m.valid() {
		return actor.None{}, ErrInvalidOrder
	}
	ctx.Raise(BuyTransactionStarted{m.Terms})
	return actor.None{}, nil
}

func (x *Transaction) startSell(ctx *actor.Context, m StartSellTransaction) (actor.None, error) {
	if !m.valid() {
		return actor.None{}, ErrInvalidOrder
	}
	ctx.Raise(SellTransactionStarted{m.Terms})
	return actor.None{}, nil
}

func (t Terms) valid() bool {
	if !isID(t.PortfolioID) || !isID(t.OrderBookID) || t.Count <= 0 || t.Price <= 0 {
		return false
	}
	_, ok := product(t.Count, t.Price)
	return ok
}

// isID reports whether an aggregate can have the id, so that commands can be sent to it.
func isID(id string) bool { return actor.Address{Kind: "any", ID: id}.Validate() == nil }

func (x *Transaction) refuse() error { return ErrInvalidTransition.With("status", x.Status) }

func (x *Transaction) confirm(ctx *actor.Context, _ ConfirmTransaction) (actor.None, error) {
	switch x.Status {
	case StatusStarted:
		ctx.Raise(TransactionConfirmed{Side: x.Side})
		return actor.None{}, nil
	case StatusConfirmed, StatusPartiallyExecuted, StatusExecuted:
		return actor.None{}, nil // again
	default:
		return actor.None{}, x.refuse()
	}
}

func (x *Transaction) cancel(ctx *actor.Context, _ CancelTransaction) (actor.None, error) {
	switch x.Status {
	case StatusStarted, StatusConfirmed, StatusPartiallyExecuted:
		ctx.Raise(TransactionCancelled{Side: x.Side})
		return actor.None{}, nil
	case StatusCancelled:
		return actor.None{}, nil // again
	case StatusExecuted:
		return actor.None{}, ErrAlreadyExecuted
	default:
		return actor.None{}, x.refuse()
	}
}

func (x *Transaction) reject(ctx *actor.Context, m RejectTransaction) (actor.None, error) {
	switch x.Status {
	case StatusStarted, StatusConfirmed:
		ctx.Raise(TransactionRejected{Reason: m.Reason, Side: x.Side})
		return actor.None{}, nil
	case StatusRejected:
		return actor.None{}, nil // again
	case StatusExecuted:
		return actor.None{}, ErrAlreadyExecuted
	default:
		return actor.None{}, x.refuse()
	}
}

func (x *Transaction) record(ctx *actor.Context, m RecordExecution) (Execution, error) {
	if x.Trades.contains(m.TradeID) {
		return Execution{Status: x.Status, Executed: x.Executed}, nil
	}
	if !x.Confirmed {
		return Execution{}, x.refuse()
	}
	if m.TradeID == "" || m.Count <= 0 || m.Price <= 0 || m.Count > x.Count-x.Executed {
		return Execution{}, ErrInvalidExecution
	}
	if value, ok := product(m.Count, m.Price); !ok || !fits(x.Total, value) {
		return Execution{}, ErrInvalidExecution
	}
	ctx.Raise(ExecutionRecorded{TradeID: m.TradeID, Count: m.Count, Price: m.Price, Executed: x.Executed + m.Count})
	return Execution{Status: x.Status, Executed: x.Executed}, nil
}

func (x *Transaction) buyStarted(e BuyTransactionStarted)   { x.start(SideBuy, e.Terms) }
func (x *Transaction) sellStarted(e SellTransactionStarted) { x.start(SideSell, e.Terms) }

func (x *Transaction) start(side string, t Terms) {
	x.Status, x.Side = StatusStarted, side
	x.PortfolioID, x.OrderBookID, x.Count, x.Price = t.PortfolioID, t.OrderBookID, t.Count, t.Price
}

func (x *Transaction) confirmed(TransactionConfirmed) { x.Status, x.Confirmed = StatusConfirmed, true }
func (x *Transaction) cancelled(TransactionCancelled) { x.Status = StatusCancelled }
func (x *Transaction) rejected(e TransactionRejected) { x.Status, x.Reason = StatusRejected, e.Reason }

func (x *Transaction) recorded(e ExecutionRecorded) {
	x.Executed = e.Executed
	x.Total += e.Count * e.Price
	x.Trades.add(e.TradeID, TradesMax)
	switch {
	case x.Executed == x.Count:
		x.Status = StatusExecuted // also after a cancel: there was nothing left to cancel
	case x.Status != StatusCancelled && x.Status != StatusRejected:
		x.Status = StatusPartiallyExecuted
	}
}

// TransactionView is what a read of a transaction shows.
type TransactionView struct {
	Status       Status `json:"status"`
	Side         string `json:"side"`
	PortfolioID  string `json:"portfolioId"`
	OrderBookID  string `json:"orderBookId"`
	Count        int64  `json:"count"`
	Price        int64  `json:"price"`
	Executed     int64  `json:"executed"`
	AveragePrice int64  `json:"averagePrice"` // in cents, rounded down; 0 before the first execution
	Reason       string `json:"reason,omitempty"`
}

func (x *Transaction) view() TransactionView {
	v := TransactionView{
		Status: x.Status, Side: x.Side, PortfolioID: x.PortfolioID, OrderBookID: x.OrderBookID,
		Count: x.Count, Price: x.Price, Executed: x.Executed, Reason: x.Reason,
	}
	if x.Executed > 0 {
		v.AveragePrice = x.Total / x.Executed
	}
	return v
}
