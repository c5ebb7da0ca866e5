package domain

import "github.com/ganglion-go/ganglion/actor"

// ClosedOrdersMax is the number of filled and cancelled orders whose ids an
// order book still refuses: at least the latest that many. At 16 bytes each
// they cost a book 0.5 MB at most, and its snapshot 0.2 MB.
const ClosedOrdersMax = 8192

// orderBookSnapshotEvery is large because the snapshot is: it holds every live order.
const orderBookSnapshotEvery = 2000

// OrderBook is the state of one book: price-time priority as on real exchanges.
type OrderBook struct {
	companyID string
	open      bool
	book      book
	closed    recentIDs
	lastPrice int64
	trades    int64
}

// OpenOrderBook opens a book for a company's shares.
type OpenOrderBook struct {
	actor.Replies[actor.None]
	CompanyID string `json:"companyId"`
}

// OrderBookOpened follows from [OpenOrderBook].
type OrderBookOpened struct {
	CompanyID string `json:"companyId"`
}

// Placement is an order as it is placed.
type Placement struct {
	OrderID       string `json:"orderId"`
	TransactionID string `json:"transactionId"`
	PortfolioID   string `json:"portfolioId"`
	Count         int64  `json:"count"`
	Price         int64  `json:"price"`
}

// Placed replies what became of an order at once.
type Placed struct {
	Executed  int64 `json:"executed"`
	Remaining int64 `json:"remaining"`
}

// PlaceBuyOrder bids a price; what cannot be traded at once stays in the book.
type PlaceBuyOrder struct {
	actor.Replies[Placed]
	Placement
}

// BuyOrderPlaced follows from [PlaceBuyOrder].
type BuyOrderPlaced struct{ Placement }

// PlaceSellOrder asks a price; what cannot be traded at once stays in the book.
type PlaceSellOrder struct {
	actor.Replies[Placed]
	Placement
}

// SellOrderPlaced follows from [PlaceSellOrder].
type SellOrderPlaced struct{ Placement }

// TradeExecuted follows from an order that met another. The price is the
// resting order's.
type TradeExecuted struct {
	Count             int64  `json:"count"`
	Price             int64  `json:"price"`
	BuyOrderID        string `json:"buyOrderId"`
	SellOrderID       string `json:"sellOrderId"`
	BuyTransactionID  string `json:"buyTransactionId"`
	SellTransactionID string `json:"sellTransactionId"`
}

// CancelOrder takes an order out of the book.
type CancelOrder struct {
	actor.Replies[Cancelled]
	OrderID string `json:"orderId"`
}

// Cancelled replies how much of a cancelled order had not been traded.
type Cancelled struct {
	Remaining int64 `json:"remaining"`
}

// OrderCancelled follows from [CancelOrder].
type OrderCancelled struct {
	OrderID   string `json:"orderId"`
	Remaining int64  `json:"remaining"`
	Side      string `json:"side,omitempty"`
}

// The rejections of an order book.
var (
	ErrInvalidOrder   = actor.Reject("invalid_order", "ids must be given, count and price positive, and their product below 2^63")
	ErrDuplicateOrder = actor.Reject("duplicate_order", "the order id has been used")
	ErrUnknownOrder   = actor.Reject("unknown_order", "the book holds no such order")
	ErrBookNotOpen    = actor.Reject("book_not_open", "the order book has not been opened")
)

// OrderBooks defines kind orderbook.
var OrderBooks = actor.Define("orderbook", func(d *actor.Definition[OrderBook]) {
	actor.On(d, (*OrderBook).openBook, actor.NewOnly(), actor.Internal())
	actor.On(d, (*OrderBook).placeBuy, actor.Internal())
	actor.On(d, (*OrderBook).placeSell, actor.Internal())
	actor.On(d, (*OrderBook).cancel, actor.Internal())
	actor.Apply(d, (*OrderBook).opened)
	actor.Apply(d, (*OrderBook).buyPlaced)
	actor.Apply(d, (*OrderBook).sellPlaced)
	actor.Apply(d, (*OrderBook).traded)
	actor.Apply(d, (*OrderBook).cancelled)
	actor.View(d, (*OrderBook).view)
	d.PublicEvents()
	d.Rejections(ErrInvalidOrder, ErrDuplicateOrder, ErrUnknownOrder, ErrBookNotOpen)
	d.SnapshotEvery(orderBookSnapshotEvery)
})

func (b *OrderBook) openBook(ctx *actor.Context, m OpenOrderBook) (actor.None, error) {
	ctx.Raise(OrderBookOpened{CompanyID: m.CompanyID})
	return actor.None{}, nil
}

func (b *OrderBook) placeBuy(ctx *actor.Context, m PlaceBuyOrder) (Placed, error) {
	return b.place(ctx, buy, m.Placement)
}

func (b *OrderBook) placeSell(ctx *actor.Context, m PlaceSellOrder) (Placed, error) {
	return b.place(ctx, sell, m.Placement)
}

func (b *OrderBook) place(ctx *actor.Context, s side, p Placement) (Placed, error) {
	if err := b.accepts(p); err != nil {
		return Placed{}, err
	}
	trades := tradesOf(s, p, b.book.matches(s, p.Price, p.Count)) // before the first Raise changes the book
	if s == buy {
		ctx.Raise(BuyOrderPlaced{p})
	} else {
		ctx.Raise(SellOrderPlaced{p})
	}
	reply := Placed{Remaining: p.Count}
	for _, trade := range trades {
		ctx.Raise(trade)
		reply.Executed += trade.Count
		reply.Remaining -= trade.Count
	}
	return reply, nil
}

func (b *OrderBook) accepts(p Placement) error {
	if !b.open {
		return ErrBookNotOpen
	}
	if !isID(p.OrderID) || !isID(p.TransactionID) || !isID(p.PortfolioID) || p.Count <= 0 || p.Price <= 0 {
		return ErrInvalidOrder
	}
	if _, ok := product(p.Count, p.Price); !ok {
		return ErrInvalidOrder
	}
	if b.book.orders[p.OrderID] != nil || b.closed.contains(p.OrderID) {
		return ErrDuplicateOrder.With("orderId", p.OrderID)
	}
	return nil
}

// live returns the order as it enters the book.
func (p Placement) live() LiveOrder {
	return LiveOrder{OrderID: p.OrderID, Price: p.Price, Remaining: p.Count, TransactionID: p.TransactionID, PortfolioID: p.PortfolioID}
}

// tradesOf words matches as events.
func tradesOf(s side, incoming Placement, matches []match) []TradeExecuted {
	trades := make([]TradeExecuted, 0, len(matches))
	for _, m := range matches {
		buying, selling := incoming.live(), m.resting.LiveOrder
		if s == sell {
			buying, selling = selling, buying
		}
		trades = append(trades, TradeExecuted{
			Count: m.count, Price: m.resting.Price,
			BuyOrderID: buying.OrderID, SellOrderID: selling.OrderID,
			BuyTransactionID: buying.TransactionID, SellTransactionID: selling.TransactionID,
		})
	}
	return trades
}

func (b *OrderBook) cancel(ctx *actor.Context, m CancelOrder) (Cancelled, error) {
	if !b.open {
		return Cancelled{}, ErrBookNotOpen
	}
	o := b.book.orders[m.OrderID]
	if o == nil {
		return Cancelled{}, ErrUnknownOrder.With("orderId", m.OrderID)
	}
	reply := Cancelled{Remaining: o.Remaining}
	ctx.Raise(OrderCancelled{OrderID: m.OrderID, Remaining: o.Remaining, Side: o.side.String()})
	return reply, nil
}

func (b *OrderBook) opened(e OrderBookOpened)     { b.companyID, b.open = e.CompanyID, true }
func (b *OrderBook) buyPlaced(e BuyOrderPlaced)   { b.book.add(buy, e.live()) }
func (b *OrderBook) sellPlaced(e SellOrderPlaced) { b.book.add(sell, e.live()) }

func (b *OrderBook) traded(e TradeExecuted) {
	for _, id := range []string{e.BuyOrderID, e.SellOrderID} {
		if b.book.fill(b.book.orders[id], e.Count) {
			b.closed.add(id, ClosedOrdersMax)
		}
	}
	b.lastPrice = e.Price
	b.trades++
}

func (b *OrderBook) cancelled(e OrderCancelled) {
	b.book.remove(b.book.orders[e.OrderID])
	b.closed.add(e.OrderID, ClosedOrdersMax)
}
