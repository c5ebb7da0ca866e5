package load

import (
	"context"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

// Outcomes of a turn, beside "wrong". What becomes of a transaction later is the
// application's concern, and looked at by [Driver.Settle].
const (
	outcomeStarted   = "started"
	outcomeCancelled = "started, and one cancelled"
	outcomeTooLate   = "started, and a cancel came too late"
	outcomeNo        = "nothing to sell"
)

// wish is what one transaction is about.
type wish struct {
	id        string
	side      string
	portfolio actor.Address
	book      actor.Address
	count     int64
	price     int64
	cancel    string // id of a transaction to cancel afterwards; empty: none
}

func (w wish) address() actor.Address { return domain.Transactions.ID(w.id) }

// walk starts a transaction, and cancels one, this or an earlier one.
func (d *Driver) walk(ctx context.Context, n int64, w wish) (outcome string, err error) {
	s := d.steps(w.id)
	d.note(n, w.side) // before: if the answer stays unknown, it may have started
	if err := s.all(ctx, step{to: w.address(), name: "start", command: w.start()}); err != nil {
		return "", err
	}
	if w.cancel == "" {
		return outcomeStarted, nil
	}
	refused, err := s.do(ctx, step{
		to: domain.Transactions.ID(w.cancel), name: "cancel", command: domain.CancelTransaction{},
		// Executed, rejected, or of a turn that has not come to it yet.
		allowed: []string{domain.ErrAlreadyExecuted.Code, domain.ErrInvalidTransition.Code, string(actor.CodeDoesNotExist)},
	})
	if err != nil || refused != "" {
		return outcomeTooLate, err
	}
	return outcomeCancelled, nil
}

func (w wish) start() any {
	terms := domain.Terms{PortfolioID: w.portfolio.ID, OrderBookID: w.book.ID, Count: w.count, Price: w.price}
	if w.side == domain.SideBuy {
		return domain.StartBuyTransaction{Terms: terms}
	}
	return domain.StartSellTransaction{Terms: terms}
}
