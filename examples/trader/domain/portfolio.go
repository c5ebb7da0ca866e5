package domain

import "github.com/ganglion-go/ganglion/actor"

// ClosedReservationsMax is the number of closed reservations for whose
// transactions a portfolio still ignores a second reserve: at least the latest
// that many. At 16 bytes each they cost a portfolio 64 kB at most.
const ClosedReservationsMax = 1024

// Portfolio is the state of what a user owns. Cash and Items are what is free;
// what is reserved is in ReservedCash and ReservedItems, by transaction in
// Reservations.
type Portfolio struct {
	UserID        string                 `json:"userId"`
	Created       bool                   `json:"created"`
	Cash          int64                  `json:"cash"`
	ReservedCash  int64                  `json:"reservedCash"`
	Items         map[string]int64       `json:"items"`
	ReservedItems map[string]int64       `json:"reservedItems"`
	Reservations  map[string]Reservation `json:"reservations"`
	Closed        recentIDs              `json:"closed"`
	Settled       recentIDs              `json:"settled"`
}

// Reservation is what a transaction holds: cash, or items of a book.
type Reservation struct {
	Cash        int64  `json:"cash,omitempty"`
	OrderBookID string `json:"orderBookId,omitempty"`
	Items       int64  `json:"items,omitempty"`
}

// The rejections of a portfolio.
var (
	ErrInvalidAmount      = actor.Reject("invalid_amount", "ids must be given, amounts and counts positive, and sums below 2^63")
	ErrInsufficientCash   = actor.Reject("insufficient_cash", "there is not that much cash")
	ErrInsufficientItems  = actor.Reject("insufficient_items", "there are not that many items")
	ErrUnknownReservation = actor.Reject("unknown_reservation", "the transaction holds no such reservation")
	ErrPortfolioNotFound  = actor.Reject("portfolio_not_found", "the portfolio has not been created")
)

// Portfolios defines kind portfolio.
var Portfolios = actor.Define("portfolio", func(d *actor.Definition[Portfolio]) {
	actor.On(d, (*Portfolio).create, actor.NewOnly())
	actor.On(d, (*Portfolio).deposit)
	actor.On(d, (*Portfolio).withdraw)
	actor.On(d, (*Portfolio).reserveCash, actor.Internal())
	actor.On(d, (*Portfolio).confirmCash, actor.Internal())
	actor.On(d, (*Portfolio).releaseCash, actor.Internal())
	actor.On(d, (*Portfolio).addItems)
	actor.On(d, (*Portfolio).reserveItems, actor.Internal())
	actor.On(d, (*Portfolio).confirmItems, actor.Internal())
	actor.On(d, (*Portfolio).releaseItems, actor.Internal())
	actor.Apply(d, (*Portfolio).created)
	actor.Apply(d, (*Portfolio).deposited)
	actor.Apply(d, (*Portfolio).withdrawn)
	actor.Apply(d, (*Portfolio).cashReserved)
	actor.Apply(d, (*Portfolio).cashConfirmed)
	actor.Apply(d, (*Portfolio).cashReleased)
	actor.Apply(d, (*Portfolio).itemsAdded)
	actor.Apply(d, (*Portfolio).itemsReserved)
	actor.Apply(d, (*Portfolio).itemsConfirmed)
	actor.Apply(d, (*Portfolio).itemsReleased)
	actor.View(d, (*Portfolio).view)
	d.PublicEvents()
	d.Rejections(ErrInvalidAmount, ErrInsufficientCash, ErrInsufficientItems, ErrUnknownReservation, ErrPortfolioNotFound)
})

// CreatePortfolio creates a user's portfolio.
type CreatePortfolio struct {
	actor.Replies[actor.None]
	UserID string `json:"userId"`
}

// PortfolioCreated follows from [CreatePortfolio].
type PortfolioCreated struct {
	UserID string `json:"userId"`
}

func (p *Portfolio) create(ctx *actor.Context, m CreatePortfolio) (actor.None, error) {
	ctx.Raise(PortfolioCreated{UserID: m.UserID})
	return actor.None{}, nil
}

func (p *Portfolio) created(e PortfolioCreated) { p.UserID, p.Created = e.UserID, true }

// accepts makes the checks that all later commands share.
func (p *Portfolio) accepts(amount int64) error {
	switch {
	case !p.Created:
		return ErrPortfolioNotFound
	case amount <= 0:
		return ErrInvalidAmount
	default:
		return nil
	}
}

// knows reports whether a transaction has reserved before: a second reserve
// changes nothing, also when the first is closed.
func (p *Portfolio) knows(transactionID string) bool {
	_, open := p.Reservations[transactionID]
	return open || p.Closed.contains(transactionID)
}

// hold changes what a transaction holds, and closes it when that is nothing.
func (p *Portfolio) hold(transactionID string, change func(*Reservation)) {
	r := p.Reservations[transactionID]
	change(&r)
	if r.Cash == 0 && r.Items == 0 {
		delete(p.Reservations, transactionID)
		p.Closed.add(transactionID, ClosedReservationsMax)
		return
	}
	if p.Reservations == nil {
		p.Reservations = map[string]Reservation{}
	}
	p.Reservations[transactionID] = r
}

// PortfolioView is what a read of a portfolio shows.
type PortfolioView struct {
	UserID        string                 `json:"userId"`
	Cash          int64                  `json:"cash"`
	ReservedCash  int64                  `json:"reservedCash"`
	Items         map[string]int64       `json:"items"`
	ReservedItems map[string]int64       `json:"reservedItems"`
	Reservations  map[string]Reservation `json:"reservations"`
}

func (p *Portfolio) view() PortfolioView {
	return PortfolioView{
		UserID: p.UserID, Cash: p.Cash, ReservedCash: p.ReservedCash,
		Items: copied(p.Items), ReservedItems: copied(p.ReservedItems), Reservations: copied(p.Reservations),
	}
}
