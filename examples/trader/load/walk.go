package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

// Outcomes of a walk, beside "wrong".
const (
	outcomePlaced    = "placed"
	outcomeRejected  = "rejected"
	outcomeCancelled = "cancelled"
	outcomeFilled    = "cancel came too late"
)

// wish is what one transaction is about.
type wish struct {
	id        string
	side      string
	portfolio actor.Address
	book      actor.Address
	count     int64
	price     int64
	cancel    bool
}

func (w wish) address() actor.Address { return domain.Transactions.ID(w.id) }

// walk takes one transaction through all its steps.
func (d *Driver) walk(ctx context.Context, w wish) (outcome string, err error) {
	s := d.steps(w.id)
	if err := s.all(ctx, step{to: w.address(), name: "start", command: w.start()}); err != nil {
		return "", err
	}
	_, refused, err := s.do(ctx, w.reserve())
	if err != nil {
		return "", err
	}
	if refused != "" {
		return outcomeRejected, s.all(ctx, step{to: w.address(), name: "reject", command: domain.RejectTransaction{Reason: refused}})
	}
	if err := s.all(ctx, step{to: w.address(), name: "confirm", command: domain.ConfirmTransaction{}}); err != nil {
		return "", err
	}
	d.register(w)
	if err := d.place(ctx, s, w); err != nil {
		return "", err
	}
	if !w.cancel {
		return outcomePlaced, nil
	}
	return d.cancel(ctx, s, w)
}

func (w wish) start() any {
	terms := domain.Terms{PortfolioID: w.portfolio.ID, OrderBookID: w.book.ID, Count: w.count, Price: w.price}
	if w.side == domain.SideBuy {
		return domain.StartBuyTransaction{Terms: terms}
	}
	return domain.StartSellTransaction{Terms: terms}
}

func (w wish) reserve() step {
	if w.side == domain.SideBuy {
		return step{
			to: w.portfolio, name: "reserve", allowed: []string{domain.ErrInsufficientCash.Code},
			command: domain.ReserveCash{TransactionID: w.id, Amount: w.count * w.price},
		}
	}
	return step{
		to: w.portfolio, name: "reserve", allowed: []string{domain.ErrInsufficientItems.Code},
		command: domain.ReserveItems{TransactionID: w.id, OrderBookID: w.book.ID, Count: w.count},
	}
}

func (w wish) order() any {
	p := domain.Placement{OrderID: w.id, TransactionID: w.id, PortfolioID: w.portfolio.ID, Count: w.count, Price: w.price}
	if w.side == domain.SideBuy {
		return domain.PlaceBuyOrder{Placement: p}
	}
	return domain.PlaceSellOrder{Placement: p}
}

// place places the order and settles the trades that it made at once.
func (d *Driver) place(ctx context.Context, s *stepper, w wish) error {
	result, _, err := s.do(ctx, step{to: w.book, name: "place", command: w.order()})
	if err != nil {
		return err
	}
	var placed domain.Placed
	if err := s.reply(result, &placed); err != nil || placed.Executed == 0 {
		return err
	}
	trades, err := d.trades(ctx, s, w, result.Version, placed.Executed)
	if err != nil {
		return err
	}
	for _, t := range trades {
		if err := d.settle(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// trade is a trade with the id that makes its settlement idempotent.
type trade struct {
	domain.TradeExecuted
	id string
}

// trades reads the trades that the order made from the book's history, up to
// the version that its reply told.
func (d *Driver) trades(ctx context.Context, s *stepper, w wish, version actor.Version, executed int64) ([]trade, error) {
	first := version - min(version, actor.Version(executed)) // every trade is at least of one item
	events, err := s.client.Events(ctx, w.book, first, executed)
	if err != nil {
		return nil, d.wrong("events of %s: %w", w.book, err)
	}
	var found []trade
	var sum int64
	for _, e := range events {
		if e.CommandID != s.keys("place") || !strings.HasPrefix(e.Type, "tradeExecuted.") {
			continue
		}
		t := trade{id: fmt.Sprintf("%s-%d", w.book.ID, e.Version)}
		if err := json.Unmarshal(e.Data, &t.TradeExecuted); err != nil {
			return nil, d.wrong("event %d of %s: %w", e.Version, w.book, err)
		}
		sum += t.Count
		found = append(found, t)
	}
	if sum != executed {
		return nil, d.wrong("%s executed %d, and the history of %s has %d: %w", w.id, executed, w.book, sum, errWrong)
	}
	return found, nil
}

// settle brings a trade to both transactions and both portfolios.
func (d *Driver) settle(ctx context.Context, t trade) error {
	buyer, err := d.lookup(ctx, t.BuyTransactionID)
	if err != nil {
		return err
	}
	seller, err := d.lookup(ctx, t.SellTransactionID)
	if err != nil {
		return err
	}
	record := domain.RecordExecution{TradeID: t.id, Count: t.Count, Price: t.Price}
	steps := []step{
		{to: buyer.address(), name: "record-buy", command: record},
		{to: seller.address(), name: "record-sell", command: record},
		{to: buyer.portfolio, name: "confirm-cash", command: domain.ConfirmCash{TransactionID: buyer.id, Amount: t.Count * t.Price}},
		{to: buyer.portfolio, name: "add-items", command: domain.AddItems{OrderBookID: buyer.book.ID, Count: t.Count}},
		{to: seller.portfolio, name: "confirm-items", command: domain.ConfirmItems{TransactionID: seller.id, Count: t.Count}},
		{to: seller.portfolio, name: "deposit", command: domain.DepositCash{Amount: t.Count * t.Price}},
	}
	if better := buyer.price - t.Price; better > 0 {
		steps = append(steps, step{
			to: buyer.portfolio, name: "release-difference",
			command: domain.ReleaseCash{TransactionID: buyer.id, Amount: t.Count * better},
		})
	}
	if err := d.steps(t.id).all(ctx, steps...); err != nil {
		return err
	}
	d.settled(buyer.id, t.Count)
	d.settled(seller.id, t.Count)
	return nil
}

// cancel takes back what of the order is still in the book. The book decides:
// an order that it does not hold any more has been filled.
func (d *Driver) cancel(ctx context.Context, s *stepper, w wish) (outcome string, err error) {
	_, refused, err := s.do(ctx, step{
		to: w.address(), name: "cancel", command: domain.CancelTransaction{},
		allowed: []string{domain.ErrAlreadyExecuted.Code},
	})
	if err != nil || refused != "" {
		return outcomeFilled, err
	}
	result, refused, err := s.do(ctx, step{
		to: w.book, name: "cancel-order", command: domain.CancelOrder{OrderID: w.id},
		allowed: []string{domain.ErrUnknownOrder.Code},
	})
	if err != nil || refused != "" {
		return outcomeFilled, err
	}
	d.forget(w.id)
	var cancelled domain.Cancelled
	if err := s.reply(result, &cancelled); err != nil {
		return "", err
	}
	release := step{to: w.portfolio, name: "release"}
	if w.side == domain.SideBuy {
		release.command = domain.ReleaseCash{TransactionID: w.id, Amount: cancelled.Remaining * w.price}
	} else {
		release.command = domain.ReleaseItems{TransactionID: w.id, Count: cancelled.Remaining}
	}
	return outcomeCancelled, s.all(ctx, release)
}

// wrong counts a wrong answer and returns it as an error.
func (d *Driver) wrong(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	d.recorder.fault(err.Error())
	return errors.Join(errWrong, err)
}
