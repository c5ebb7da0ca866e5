package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

// Settle waits for as long as its last look took before it looks again, within these
// bounds: what it waits for needs the nodes, too.
const (
	settlePauseMin = 100 * time.Millisecond
	settlePauseMax = 2 * time.Second
	// settleMost is how many times as long it waits if things move on and on.
	settleMost = 5
)

// Settled is what the transactions of a run have come to.
type Settled struct {
	Closed int // executed, cancelled or rejected, with everything settled
	Live   int // waiting for the market
}

// Settle waits until every transaction of the run, and every order that was in the
// books before it, is at rest: its saga is closed, or waits for an order of which the
// book has just as much as the saga believes. What is not at rest counts as a wrong
// answer each, once none of it has moved for the configured time: a slow cluster is no
// wrong one. It gives up after settleMost times that time in any case.
func (d *Driver) Settle(ctx context.Context) (Settled, error) {
	within, cancel := context.WithTimeoutCause(ctx, settleMost*d.cfg.SettleWithin, errUnsettled)
	defer cancel()
	var done Settled
	pending := d.all()
	var seen map[actor.Address]domain.TradingView
	moved := time.Now()
	for {
		began := time.Now()
		look, err := d.look(within, pending)
		if err == nil {
			done.Closed += look.closed
			done.Live, pending = len(look.live), slices.Concat(look.moving, look.live)
			if seen == nil || look.closed > 0 || !maps.Equal(look.views, seen) {
				moved = time.Now()
			}
			seen = look.views
		}
		switch {
		case ctx.Err() != nil:
			return done, ctx.Err()
		case err == nil && len(look.moving) == 0:
			return done, nil
		case err == nil && (within.Err() != nil || time.Since(moved) >= d.cfg.SettleWithin):
			return done, d.unsettled(look.moving)
		case within.Err() != nil:
			return done, d.unsettled(pending)
		case err != nil:
			d.recorder.fault(err.Error())
			return done, err
		}
		pause := time.NewTimer(min(max(time.Since(began), settlePauseMin), settlePauseMax))
		select {
		case <-pause.C:
		case <-within.Done():
			pause.Stop()
		}
	}
}

func (d *Driver) unsettled(moving []actor.Address) error {
	for _, saga := range moving {
		d.recorder.fault(fmt.Sprintf("%s has not come to rest, and nothing has moved for %v", saga, d.cfg.SettleWithin))
	}
	return errUnsettled
}

var errUnsettled = errors.New("not everything came to rest")

// all returns the sagas of the run, and of the orders that were there before.
func (d *Driver) all() []actor.Address {
	d.mu.Lock()
	defer d.mu.Unlock()
	sagas := slices.Clone(d.before)
	for n, side := range d.sides {
		switch side {
		case startedBuy:
			sagas = append(sagas, domain.Buyings.ID(d.id(int64(n))))
		case startedSell:
			sagas = append(sagas, domain.Sellings.ID(d.id(int64(n))))
		case startedNothing:
		}
	}
	return sagas
}

// glance is one look at sagas.
type glance struct {
	mu     sync.Mutex
	moving []actor.Address
	live   []actor.Address
	closed int
	views  map[actor.Address]domain.TradingView // of what is not closed, as far as it could be read

	waiting map[string]domain.TradingView // of sagas that say that they wait for the market, by order
	sagas   map[string]actor.Address
}

// look looks at sagas first and at the books after them: an order of which the book
// has as much as its saga believed before has not traded in between.
func (d *Driver) look(ctx context.Context, pending []actor.Address) (*glance, error) {
	g := &glance{waiting: map[string]domain.TradingView{}, sagas: map[string]actor.Address{}, views: map[actor.Address]domain.TradingView{}}
	next := make(chan actor.Address)
	var readers sync.WaitGroup
	for range d.cfg.Clients {
		readers.Go(func() {
			for saga := range next {
				g.take(saga, d.trading(ctx, saga))
			}
		})
	}
	for _, saga := range pending {
		next <- saga
	}
	close(next)
	readers.Wait()
	orders, err := d.orders(ctx)
	if err != nil {
		return nil, err
	}
	for id, view := range g.waiting {
		if orders[id].Remaining == view.Count-view.Executed {
			g.live = append(g.live, g.sagas[id])
		} else {
			g.moving = append(g.moving, g.sagas[id])
		}
	}
	return g, nil
}

// trading reads a saga; nil: there is none yet, or it could not be read.
func (d *Driver) trading(ctx context.Context, saga actor.Address) *domain.TradingView {
	var view domain.TradingView
	if err := d.client.State(ctx, saga, &view); err != nil {
		if missing, ok := missingFrom(err); ok { // what has not begun by now is moving, and is looked at again
			d.recorder.early(saga.Kind, missing)
		}
		return nil
	}
	return &view
}

func (g *glance) take(saga actor.Address, view *domain.TradingView) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if view != nil && view.Phase != domain.PhaseClosed {
		g.views[saga] = *view
	}
	switch {
	case view != nil && view.Phase == domain.PhaseClosed:
		g.closed++
	case view != nil && view.Phase == domain.PhaseLive && view.Unsettled == 0:
		g.waiting[saga.ID], g.sagas[saga.ID] = *view, saga
	default:
		g.moving = append(g.moving, saga)
	}
}

// orders reads all live orders.
func (d *Driver) orders(ctx context.Context) (map[string]domain.LiveOrder, error) {
	all := map[string]domain.LiveOrder{}
	for book := range d.cfg.Books {
		var view domain.OrderBookView
		if err := d.client.State(ctx, bookID(book), &view); err != nil {
			return nil, fmt.Errorf("read %s: %w", bookID(book), err)
		}
		for _, o := range slices.Concat(view.Buys, view.Sells) {
			all[o.OrderID] = o
		}
	}
	return all, nil
}

// remember notes the sagas of the orders that are in the books before the run: they
// may trade in it.
func (d *Driver) remember(ctx context.Context) error {
	var before []actor.Address
	for book := range d.cfg.Books {
		var view domain.OrderBookView
		if err := d.steps("remember").read(ctx, bookID(book), &view); err != nil {
			return err
		}
		for _, o := range view.Buys {
			before = append(before, domain.Buyings.ID(o.OrderID))
		}
		for _, o := range view.Sells {
			before = append(before, domain.Sellings.ID(o.OrderID))
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before = before
	return nil
}
