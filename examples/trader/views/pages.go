package views

import (
	"context"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/projection"
)

// All returns the projections, for a node's Config.Projections.
func All() []*projection.Projection {
	return []*projection.Projection{Portfolios, Transactions, Companies, OrderBooks, Users}
}

// Pages reads the views from where they are kept.
type Pages struct{ portfolios, transactions, companies, books, users *projection.View }

// NewPages returns the pages of a storage. It does no I/O.
func NewPages(s projection.Storage) *Pages {
	return &Pages{
		portfolios: projection.NewView(s, Portfolios), transactions: projection.NewView(s, Transactions),
		companies: projection.NewView(s, Companies), books: projection.NewView(s, OrderBooks), users: projection.NewView(s, Users),
	}
}

// Portfolio returns what a portfolio holds.
func (p *Pages) Portfolio(ctx context.Context, id string) (Portfolio, bool, error) {
	return portfolios.Get(ctx, p.portfolios, id)
}

// Transactions returns the youngest transactions of a portfolio, at most limit.
func (p *Pages) Transactions(ctx context.Context, portfolio string, limit int) ([]Transaction, error) {
	return list(ctx, p.transactions, ofPortfolio, projection.Range{Prefix: projection.KeyPrefix(portfolio), Reverse: true, Limit: limit})
}

// Transaction returns a transaction.
func (p *Pages) Transaction(ctx context.Context, id string) (Transaction, bool, error) {
	return transactions.Get(ctx, p.transactions, id)
}

// Companies returns up to limit companies behind an id, by id.
func (p *Pages) Companies(ctx context.Context, after string, limit int) ([]Company, error) {
	return list(ctx, p.companies, companies, projection.Range{After: after, Limit: limit})
}

// Company returns a company.
func (p *Pages) Company(ctx context.Context, id string) (Company, bool, error) {
	return companies.Get(ctx, p.companies, id)
}

// Books returns up to limit order books behind an id, by id.
func (p *Pages) Books(ctx context.Context, after string, limit int) ([]Book, error) {
	return list(ctx, p.books, books, projection.Range{After: after, Limit: limit})
}

// Market is an order book's page.
type Market struct {
	Book
	Bids   []Order `json:"bids"` // the best first
	Asks   []Order `json:"asks"`
	Recent []Trade `json:"recent"` // the youngest first
}

// Market returns a book with the best orders of both sides and the youngest trades, at
// most depth of each. Its parts are not read at one moment.
func (p *Pages) Market(ctx context.Context, id string, depth int) (m Market, found bool, err error) {
	if m.Book, found, err = books.Get(ctx, p.books, id); err != nil || !found {
		return m, found, err
	}
	if m.Bids, err = list(ctx, p.books, orders, projection.Range{Prefix: projection.KeyPrefix(id, domain.SideBuy), Limit: depth}); err != nil {
		return m, false, err
	}
	if m.Asks, err = list(ctx, p.books, orders, projection.Range{Prefix: projection.KeyPrefix(id, domain.SideSell), Limit: depth}); err != nil {
		return m, false, err
	}
	m.Recent, err = list(ctx, p.books, trades, projection.Range{Prefix: projection.KeyPrefix(id), Reverse: true, Limit: depth})
	return m, err == nil, err
}

// Users returns up to limit users behind an id, by id.
func (p *Pages) Users(ctx context.Context, after string, limit int) ([]User, error) {
	return list(ctx, p.users, users, projection.Range{After: after, Limit: limit})
}

func list[T any](ctx context.Context, v *projection.View, c projection.Collection[T], r projection.Range) ([]T, error) {
	all := []T{}
	for e, err := range c.List(ctx, v, r) {
		if err != nil {
			return nil, err
		}
		all = append(all, e.Value)
	}
	return all, nil
}
