package audit

import (
	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

// book is an order book.
type book struct {
	open   bool
	orders map[string]*order // all that ever were
	trades []trade
}

// order is one that a book has taken.
type order struct {
	domain.Placement
	side      string
	remaining int64
	live      bool
}

// trade is one that a book has made.
type trade struct {
	domain.TradeExecuted
	id        string
	bid       int64 // of the buying order; 0: there was none
	buyer     string
	seller    string
	bookID    string
	bookWhere string
}

func (l *Ledger) book(source actor.Address, v actor.Version, e any) {
	b := at(l.books, source.ID)
	if b.orders == nil {
		b.orders = map[string]*order{}
	}
	switch e := e.(type) {
	case domain.OrderBookOpened:
		b.open = true
	case domain.BuyOrderPlaced:
		b.place(l, source, domain.SideBuy, e.Placement)
	case domain.SellOrderPlaced:
		b.place(l, source, domain.SideSell, e.Placement)
	case domain.TradeExecuted:
		b.trade(l, source, v, e)
	case domain.OrderCancelled:
		o := b.orders[e.OrderID]
		if o == nil || !o.live || o.remaining != e.Remaining {
			l.found.add(Order, source.String(), "cancelled order %s with %d remaining, and has %s", e.OrderID, e.Remaining, o.describe())
		}
		if o != nil {
			o.live = false
		}
	}
}

func (o *order) describe() string {
	switch {
	case o == nil:
		return "no such order"
	case !o.live:
		return "a closed one"
	default:
		return "one with another number"
	}
}

func (b *book) place(l *Ledger, source actor.Address, side string, p domain.Placement) {
	if b.orders[p.OrderID] != nil {
		l.found.add(Order, source.String(), "order %s was placed twice", p.OrderID)
	}
	b.orders[p.OrderID] = &order{Placement: p, side: side, remaining: p.Count, live: true}
}

func (b *book) trade(l *Ledger, source actor.Address, v actor.Version, e domain.TradeExecuted) {
	t := trade{TradeExecuted: e, id: domain.TradeID(source, v), bookID: source.ID, bookWhere: source.String()}
	if e.Count <= 0 || e.Price <= 0 {
		l.found.add(Trade, source.String(), "trade %s of %d at %d", t.id, e.Count, e.Price)
	}
	buying, selling := b.orders[e.BuyOrderID], b.orders[e.SellOrderID]
	for _, s := range []struct {
		o           *order
		id, tx, say string
	}{{buying, e.BuyOrderID, e.BuyTransactionID, domain.SideBuy}, {selling, e.SellOrderID, e.SellTransactionID, domain.SideSell}} {
		switch {
		case s.o == nil || !s.o.live || s.o.side != s.say || s.o.TransactionID != s.tx:
			l.found.add(Trade, source.String(), "trade %s: the book has no live %s order %s of transaction %s", t.id, s.say, s.id, s.tx)
			continue
		case e.Count > s.o.remaining:
			l.found.add(Trade, source.String(), "trade %s takes %d of %d that remain of order %s", t.id, e.Count, s.o.remaining, s.id)
		}
		s.o.remaining -= e.Count
		s.o.live = s.o.remaining > 0
	}
	if buying != nil && selling != nil {
		t.bid, t.buyer, t.seller = buying.Price, buying.PortfolioID, selling.PortfolioID
		if e.Price > buying.Price || e.Price < selling.Price {
			l.found.add(Trade, source.String(), "trade %s at %d, bid %d, asked %d", t.id, e.Price, buying.Price, selling.Price)
		}
	}
	b.trades = append(b.trades, t)
}

// transaction is a wish to trade.
type transaction struct {
	started    bool
	side       string
	status     domain.Status
	terms      domain.Terms
	executed   int64
	executions []domain.ExecutionRecorded
}

func (l *Ledger) transaction(id string, e any) {
	x := at(l.transactions, id)
	switch e := e.(type) {
	case domain.BuyTransactionStarted:
		x.started, x.side, x.status, x.terms = true, domain.SideBuy, domain.StatusStarted, e.Terms
	case domain.SellTransactionStarted:
		x.started, x.side, x.status, x.terms = true, domain.SideSell, domain.StatusStarted, e.Terms
	case domain.TransactionConfirmed:
		x.status = domain.StatusConfirmed
	case domain.TransactionCancelled:
		x.status = domain.StatusCancelled
	case domain.TransactionRejected:
		x.status = domain.StatusRejected
	case domain.ExecutionRecorded:
		x.executed = e.Executed
		x.executions = append(x.executions, e)
		switch {
		case x.executed >= x.terms.Count:
			x.status = domain.StatusExecuted
		case x.status == domain.StatusConfirmed:
			x.status = domain.StatusPartiallyExecuted
		}
	}
}
