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
	return projection.Get[Portfolio](ctx, p.portfolios, portfolioDocs, id)
}

// Transactions returns the youngest transactions of a portfolio, at most limit.
func (p *Pages) Transactions(ctx context.Context, portfolio string, limit int) ([]Transaction, error) {
	return list[Transaction](ctx, p.transactions, ofPortfolioDocs, projection.Range{Prefix: scope(portfolio), Limit: limit})
}

// Transaction returns a transaction.
func (p *Pages) Transaction(ctx context.Context, id string) (Transaction, bool, error) {
	return projection.Get[Transaction](ctx, p.transactions, transactionDocs, id)
}

// Companies returns up to limit companies behind an id, by id.
func (p *Pages) Companies(ctx context.Context, after string, limit int) ([]Company, error) {
	return list[Company](ctx, p.companies, companyDocs, projection.Range{After: after, Limit: limit})
}

// Company returns a company.
func (p *Pages) Company(ctx context.Context, id string) (Company, bool, error) {
	return projection.Get[Company](ctx, p.companies, companyDocs, id)
}

// Books returns up to limit order books behind an id, by id.
func (p *Pages) Books(ctx context.Context, after string, limit int) ([]Book, error) {
	return list[Book](ctx, p.books, bookDocs, projection.Range{After: after, Limit: limit})
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
	if m.Book, found, err = projection.Get[Book](ctx, p.books, bookDocs, id); err != nil || !found {
		return m, found, err
	}
	if m.Bids, err = list[Order](ctx, p.books, orderDocs, projection.Range{Prefix: sideOf(id, domain.SideBuy), Limit: depth}); err != nil {
		return m, false, err
	}
	if m.Asks, err = list[Order](ctx, p.books, orderDocs, projection.Range{Prefix: sideOf(id, domain.SideSell), Limit: depth}); err != nil {
		return m, false, err
	}
	m.Recent, err = list[Trade](ctx, p.books, tradeDocs, projection.Range{Prefix: scope(id), Limit: depth})
	return m, err == nil, err
}

// Users returns up to limit users behind an id, by id.
func (p *Pages) Users(ctx context.Context, after string, limit int) ([]User, error) {
	return list[User](ctx, p.users, userDocs, projection.Range{After: after, Limit: limit})
}

func list[T any](ctx context.Context, v *projection.View, collection string, r projection.Range) ([]T, error) {
	all := []T{}
	for e, err := range projection.List[T](ctx, v, collection, r) {
		if err != nil {
			return nil, err
		}
		all = append(all, e.Value)
	}
	return all, nil
}
