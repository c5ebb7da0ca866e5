package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

const (
	rawChain = "raw chain of 7 insertOne, each after a change stream has brought the one before, 1 in flight"
	ourSaga  = "ours, a saga from the start of a transaction until its order is placed, 1 in flight"

	// sagaCommits is how many commits follow one from the other until the order is
	// placed: of transaction, saga, portfolio, saga, transaction, saga and order book.
	sagaCommits = 7

	sagaMarkets  = 10 // portfolios and order books
	sagaCash     = 1 << 50
	sagaDeadline = 30 * time.Second
	placedMax    = 64 // orders that nobody has asked for yet
)

// sagaScenarios measure how long a saga takes for all its steps.
func sagaScenarios(e *environment) []scenario {
	raw, ours := &echo{e: e, steps: sagaCommits}, &purchases{e: e}
	return []scenario{
		{name: rawChain, inFlight: 1, begin: raw.begin, timed: raw.once},
		{name: ourSaga, inFlight: 1, begin: ours.begin, timed: ours.once},
	}
}

// purchases starts transactions that buy, on one node with the definitions of the
// trading application and without its views.
type purchases struct {
	e       *environment
	client  actor.Client
	started int
	placed  chan string // ids of orders, as the event stream brings them
}

func (p *purchases) begin(ctx context.Context) (end func(), err error) {
	t, err := p.e.startTrader(ctx, 1, nil)
	if err != nil {
		return nil, err
	}
	p.client = t.nodes[0].Client()
	stop := func() {}
	if err = p.open(ctx); err == nil {
		stop, err = p.follow(ctx, t)
	}
	if err != nil {
		return nil, errors.Join(err, t.Close(ctx))
	}
	return func() {
		stop()
		_ = t.Close(ctx) // what was measured is over
	}, nil
}

// open makes books and portfolios, and gives cash.
func (p *purchases) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sagaDeadline)
	defer cancel()
	for n := range sagaMarkets {
		_, err := actor.Ask(ctx, p.client, domain.OrderBooks.ID(marketID(n)), domain.OpenOrderBook{CompanyID: marketID(n)})
		if err == nil {
			_, err = actor.Ask(ctx, p.client, domain.Portfolios.ID(marketID(n)), domain.CreatePortfolio{UserID: marketID(n)})
		}
		if err == nil {
			_, err = actor.Ask(ctx, p.client, domain.Portfolios.ID(marketID(n)), domain.DepositCash{Amount: sagaCash})
		}
		if err != nil {
			return fmt.Errorf("open market %d: %w", n, err)
		}
	}
	return nil
}

func marketID(n int) string { return fmt.Sprintf("market-%d", n) }

// follow reads the events of order books until it is stopped.
func (p *purchases) follow(ctx context.Context, t *trader) (stop func(), err error) {
	stream, last, err := t.bus.EventsHead(ctx)
	if err != nil {
		return func() {}, err
	}
	p.placed = make(chan string, placedMax)
	reading, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(p.placed)
		for event, err := range t.bus.Events(reading, actor.EventFilter{Stream: stream, Kinds: []actor.Kind{domain.OrderBooks.Behavior().Kind()}}, last) {
			var order domain.BuyOrderPlaced
			if err != nil || event.Name == "buyOrderPlaced.v1" && json.Unmarshal(event.Data, &order) != nil {
				return
			}
			if order.OrderID == "" {
				continue
			}
			select {
			case p.placed <- order.OrderID:
			case <-reading.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}, nil
}

// once returns the time from the start of the command that starts a transaction, on the
// durable lane, until the event stream has brought that its order is in the book.
func (p *purchases) once(ctx context.Context, _ int) (time.Duration, error) {
	p.started++
	id, market := fmt.Sprintf("tx-%d", p.started), marketID(p.started%sagaMarkets)
	start := domain.StartBuyTransaction{Terms: domain.Terms{PortfolioID: market, OrderBookID: market, Count: 1, Price: 1}}
	started := time.Now()
	if _, err := actor.Ask(ctx, p.client, domain.Transactions.ID(id), start); err != nil {
		return 0, err
	}
	select {
	case order, ok := <-p.placed:
		if !ok {
			return 0, errors.New("the reader of events has ended")
		}
		if order != id {
			return 0, fmt.Errorf("order %s was placed, not %s", order, id)
		}
		return time.Since(started), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("order %s was not placed: %w", id, context.Cause(ctx))
	}
}
