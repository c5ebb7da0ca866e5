package views

import (
	"context"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/projection"
)

// Portfolio is what somebody owns.
type Portfolio struct {
	ID            string           `json:"id"`
	UserID        string           `json:"userId"`
	Cash          int64            `json:"cash"`
	ReservedCash  int64            `json:"reservedCash"`
	Items         map[string]int64 `json:"items"` // free, by book
	ReservedItems map[string]int64 `json:"reservedItems"`
}

var portfolios = projection.NewCollection[Portfolio]("portfolios")

// Portfolios is the projection of what everybody owns.
var Portfolios = projection.Define("portfolios", func(d *projection.Definition) {
	d.Collections(portfolios)
	onPortfolio(d, func(p *Portfolio, e domain.PortfolioCreated) { p.UserID = e.UserID })
	onPortfolio(d, func(p *Portfolio, e domain.CashDeposited) { p.Cash += e.Amount })
	onPortfolio(d, func(p *Portfolio, e domain.CashWithdrawn) { p.Cash -= e.Amount })
	onPortfolio(d, func(p *Portfolio, e domain.CashReserved) {
		p.Cash, p.ReservedCash = p.Cash-e.Amount, p.ReservedCash+e.Amount
	})
	onPortfolio(d, func(p *Portfolio, e domain.CashConfirmed) { p.ReservedCash -= e.Amount })
	onPortfolio(d, func(p *Portfolio, e domain.CashReleased) {
		p.Cash, p.ReservedCash = p.Cash+e.Amount, p.ReservedCash-e.Amount
	})
	onPortfolio(d, func(p *Portfolio, e domain.ItemsAdded) { change(&p.Items, e.OrderBookID, e.Count) })
	onPortfolio(d, func(p *Portfolio, e domain.ItemsReserved) {
		change(&p.Items, e.OrderBookID, -e.Count)
		change(&p.ReservedItems, e.OrderBookID, e.Count)
	})
	onPortfolio(d, func(p *Portfolio, e domain.ItemsConfirmed) { change(&p.ReservedItems, e.OrderBookID, -e.Count) })
	onPortfolio(d, func(p *Portfolio, e domain.ItemsReleased) {
		change(&p.Items, e.OrderBookID, e.Count)
		change(&p.ReservedItems, e.OrderBookID, -e.Count)
	})
})

func onPortfolio[E any](d *projection.Definition, apply func(*Portfolio, E)) {
	projection.On(d, domain.Portfolios, func(ctx context.Context, tx *projection.Tx, e projection.Event[E]) error {
		return portfolios.Update(ctx, tx, e.Source.ID, func(p *Portfolio) error {
			p.ID = e.Source.ID
			apply(p, e.Data)
			return nil
		})
	})
}

// change adds to one entry; an entry of 0 is none.
func change(counts *map[string]int64, key string, n int64) {
	if *counts == nil {
		*counts = map[string]int64{}
	}
	(*counts)[key] += n
	if (*counts)[key] == 0 {
		delete(*counts, key)
	}
}

// Transaction is a line of a dashboard.
type Transaction struct {
	ID           string        `json:"id"`
	PortfolioID  string        `json:"portfolioId"`
	OrderBookID  string        `json:"orderBookId"`
	Side         string        `json:"side"`
	Count        int64         `json:"count"`
	Price        int64         `json:"price"`
	Executed     int64         `json:"executed"`
	AveragePrice int64         `json:"averagePrice"` // rounded down; 0 before the first execution
	Status       domain.Status `json:"status"`
	Reason       string        `json:"reason,omitempty"`
	Started      time.Time     `json:"started"`

	Total int64 `json:"total"` // count*price of all executions
}

var (
	transactions = projection.NewCollection[Transaction]("transactions")
	ofPortfolio  = projection.NewCollection[Transaction]("ofPortfolio") // the same by portfolio and time
)

// Transactions is the projection of everybody's transactions. It was "transactions" while
// its keys had another form, see [OrderBooks].
var Transactions = projection.Define("dashboards", func(d *projection.Definition) {
	d.Collections(transactions, ofPortfolio)
	onTransaction(d, func(x *Transaction, e domain.BuyTransactionStarted) { x.start(domain.SideBuy, e.Terms) })
	onTransaction(d, func(x *Transaction, e domain.SellTransactionStarted) { x.start(domain.SideSell, e.Terms) })
	onTransaction(d, func(x *Transaction, _ domain.TransactionConfirmed) { x.Status = domain.StatusConfirmed })
	onTransaction(d, func(x *Transaction, _ domain.TransactionCancelled) { x.Status = domain.StatusCancelled })
	onTransaction(d, func(x *Transaction, e domain.TransactionRejected) {
		x.Status, x.Reason = domain.StatusRejected, e.Reason
	})
	onTransaction(d, (*Transaction).executed)
})

func (x *Transaction) start(side string, t domain.Terms) {
	x.Side, x.PortfolioID, x.OrderBookID, x.Count, x.Price = side, t.PortfolioID, t.OrderBookID, t.Count, t.Price
	x.Status = domain.StatusStarted
}

func (x *Transaction) executed(e domain.ExecutionRecorded) {
	x.Executed = e.Executed
	x.Total += e.Count * e.Price
	x.AveragePrice = x.Total / x.Executed
	switch {
	case x.Executed == x.Count:
		x.Status = domain.StatusExecuted
	case x.Status == domain.StatusConfirmed:
		x.Status = domain.StatusPartiallyExecuted
	}
}

func onTransaction[E any](d *projection.Definition, apply func(*Transaction, E)) {
	projection.On(d, domain.Transactions, func(ctx context.Context, tx *projection.Tx, e projection.Event[E]) error {
		x, found, err := transactions.Get(ctx, tx, e.Source.ID)
		if err != nil {
			return err
		}
		if !found {
			// The time is in a key, so it is what every storage gives back: MongoDB kept
			// milliseconds once, and a later event would be at another key.
			x.ID, x.Started = e.Source.ID, e.Time.Truncate(time.Millisecond)
		}
		apply(&x, e.Data)
		if err := transactions.Put(tx, x.ID, x); err != nil {
			return err
		}
		return ofPortfolio.Put(tx, projection.Key(x.PortfolioID, x.Started, x.ID), x)
	})
}
