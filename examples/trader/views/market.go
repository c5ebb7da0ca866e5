package views

import (
	"context"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/projection"
)

// TradesKept is how many of a book's trades its page can show: the latest.
const TradesKept = 1000

// Company is a company whose shares are traded.
type Company struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Value      int64    `json:"value"`
	Shares     int64    `json:"shares"`
	OrderBooks []string `json:"orderBooks"`
}

var companies = projection.NewCollection[Company]("companies")

// Companies is the projection of all companies.
var Companies = projection.Define("companies", func(d *projection.Definition) {
	d.Collections(companies)
	onCompany(d, func(c *Company, e domain.CompanyCreated) { c.Name, c.Value, c.Shares = e.Name, e.Value, e.Shares })
	onCompany(d, func(c *Company, e domain.OrderBookAdded) {
		if !slices.Contains(c.OrderBooks, e.OrderBookID) {
			c.OrderBooks = append(c.OrderBooks, e.OrderBookID)
		}
	})
})

func onCompany[E any](d *projection.Definition, apply func(*Company, E)) {
	projection.On(d, domain.Companies, func(ctx context.Context, tx *projection.Tx, e projection.Event[E]) error {
		return companies.Update(ctx, tx, e.Source.ID, func(c *Company) error {
			c.ID = e.Source.ID
			apply(c, e.Data)
			return nil
		})
	})
}

// Book is an order book, without its orders.
type Book struct {
	ID        string `json:"id"`
	CompanyID string `json:"companyId"`
	LastPrice int64  `json:"lastPrice"`
	Trades    int64  `json:"trades"`
	Buys      int64  `json:"buys"` // live orders
	Sells     int64  `json:"sells"`
}

// Order is a live order.
type Order struct {
	ID            string    `json:"id"`
	Side          string    `json:"side"`
	TransactionID string    `json:"transactionId"`
	PortfolioID   string    `json:"portfolioId"`
	Price         int64     `json:"price"`
	Count         int64     `json:"count"`
	Remaining     int64     `json:"remaining"`
	Placed        time.Time `json:"placed"`
}

// Trade is a trade that a book has made.
type Trade struct {
	ID                string    `json:"id"`
	Count             int64     `json:"count"`
	Price             int64     `json:"price"`
	BuyTransactionID  string    `json:"buyTransactionId"`
	SellTransactionID string    `json:"sellTransactionId"`
	Time              time.Time `json:"time"`
}

// place says where a live order is.
type place struct {
	Key string `json:"key"` // in orders
}

var (
	books  = projection.NewCollection[Book]("books")
	orders = projection.NewCollection[Order]("orders") // by book, side and priority
	places = projection.NewCollection[place]("places") // by book and order id
	trades = projection.NewCollection[Trade]("trades") // by book and number
)

// OrderBooks is the projection of order books, their live orders and their trades. It was
// "orderbooks" while its keys had another form: a view whose keys change gets another
// name, and is filled from the beginning beside the one of builds that still run.
var OrderBooks = projection.Define("market", func(d *projection.Definition) {
	d.Collections(books, orders, places, trades)
	projection.On(d, domain.OrderBooks, func(ctx context.Context, tx *projection.Tx, e projection.Event[domain.OrderBookOpened]) error {
		return changeBook(ctx, tx, e.Source.ID, func(b *Book) { b.CompanyID = e.Data.CompanyID })
	})
	projection.On(d, domain.OrderBooks, func(ctx context.Context, tx *projection.Tx, e projection.Event[domain.BuyOrderPlaced]) error {
		return placed(ctx, tx, domain.SideBuy, projection.Event[domain.Placement]{EventRecord: e.EventRecord, Data: e.Data.Placement})
	})
	projection.On(d, domain.OrderBooks, func(ctx context.Context, tx *projection.Tx, e projection.Event[domain.SellOrderPlaced]) error {
		return placed(ctx, tx, domain.SideSell, projection.Event[domain.Placement]{EventRecord: e.EventRecord, Data: e.Data.Placement})
	})
	projection.On(d, domain.OrderBooks, traded)
	projection.On(d, domain.OrderBooks, func(ctx context.Context, tx *projection.Tx, e projection.Event[domain.OrderCancelled]) error {
		return fill(ctx, tx, e.Source.ID, e.Data.OrderID, e.Data.Remaining)
	})
})

func changeBook(ctx context.Context, tx *projection.Tx, id string, apply func(*Book)) error {
	return books.Update(ctx, tx, id, func(b *Book) error {
		b.ID = id
		apply(b)
		return nil
	})
}

// live counts the live orders of a side.
func (b *Book) live(side string, n int64) {
	if side == domain.SideBuy {
		b.Buys += n
	} else {
		b.Sells += n
	}
}

func placed(ctx context.Context, tx *projection.Tx, side string, e projection.Event[domain.Placement]) error {
	book, p := e.Source.ID, e.Data
	key := priority(book, side, p.Price, e.Version)
	o := Order{
		ID: p.OrderID, Side: side, TransactionID: p.TransactionID, PortfolioID: p.PortfolioID,
		Price: p.Price, Count: p.Count, Remaining: p.Count, Placed: e.Time,
	}
	if err := orders.Put(tx, key, o); err != nil {
		return err
	}
	if err := places.Put(tx, projection.Key(book, p.OrderID), place{key}); err != nil {
		return err
	}
	return changeBook(ctx, tx, book, func(b *Book) { b.live(side, 1) })
}

// fill takes from a live order, and the order away once nothing of it is left.
func fill(ctx context.Context, tx *projection.Tx, book, order string, count int64) error {
	at := projection.Key(book, order)
	p, found, err := places.Get(ctx, tx, at)
	if err != nil || !found {
		return err
	}
	o, _, err := orders.Get(ctx, tx, p.Key)
	if err != nil {
		return err
	}
	if o.Remaining -= count; o.Remaining > 0 {
		return orders.Put(tx, p.Key, o)
	}
	if err := orders.Delete(tx, p.Key); err != nil {
		return err
	}
	if err := places.Delete(tx, at); err != nil {
		return err
	}
	return changeBook(ctx, tx, book, func(b *Book) { b.live(o.Side, -1) })
}

func traded(ctx context.Context, tx *projection.Tx, e projection.Event[domain.TradeExecuted]) error {
	book, t := e.Source.ID, e.Data
	for _, order := range []string{t.BuyOrderID, t.SellOrderID} {
		if err := fill(ctx, tx, book, order, t.Count); err != nil {
			return err
		}
	}
	number := int64(0)
	if err := changeBook(ctx, tx, book, func(b *Book) {
		b.LastPrice = t.Price
		b.Trades++
		number = b.Trades
	}); err != nil {
		return err
	}
	if number > TradesKept {
		if err := trades.Delete(tx, projection.Key(book, number-TradesKept)); err != nil {
			return err
		}
	}
	return trades.Put(tx, projection.Key(book, number), Trade{
		ID: domain.TradeID(e.Source, e.Version), Count: t.Count, Price: t.Price,
		BuyTransactionID: t.BuyTransactionID, SellTransactionID: t.SellTransactionID, Time: e.Time,
	})
}
