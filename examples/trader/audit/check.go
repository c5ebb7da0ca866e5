package audit

import (
	"maps"
	"slices"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

// Check returns what does not hold, sorted. It may be called once all commits are in.
func (l *Ledger) Check() []Violation {
	f := slices.Clone(l.found)
	l.checkSums(&f)
	live := l.live()
	l.checkReservations(&f, live)
	l.checkOrders(&f, live)
	for _, id := range slices.Sorted(maps.Keys(l.books)) {
		checkCrossed(&f, id, l.books[id])
	}
	l.checkExecutions(&f)
	l.checkSettlements(&f)
	l.checkSagas(&f, live)
	l.checkUsers(&f)
	l.checkCompanies(&f)
	return f.sorted()
}

// liveOrder is an order in a book.
type liveOrder struct {
	*order
	bookID string
}

// live returns the live orders by transaction.
func (l *Ledger) live() map[string][]liveOrder {
	all := map[string][]liveOrder{}
	for id, b := range l.books {
		for _, o := range b.orders {
			if o.live {
				all[o.TransactionID] = append(all[o.TransactionID], liveOrder{o, id})
			}
		}
	}
	return all
}

func (l *Ledger) checkSums(f *findings) {
	var free, reserved int64
	items, held := map[string]int64{}, map[string]int64{}
	for _, p := range l.portfolios {
		free += p.cash
		reserved += p.reservedCash
		for book, n := range p.items {
			items[book] += n
		}
		for book, n := range p.reserved {
			held[book] += n
		}
	}
	if free+reserved != l.deposited {
		f.add(Cash, "portfolio/*", "%d free and %d reserved, %d were deposited and not withdrawn", free, reserved, l.deposited)
	}
	books := map[string]bool{}
	for _, m := range []map[string]int64{items, held, l.added} {
		for book := range m {
			books[book] = true
		}
	}
	for book := range books {
		if items[book]+held[book] != l.added[book] {
			f.add(Items, domain.OrderBooks.ID(book).String(), "%d free and %d reserved, %d were added", items[book], held[book], l.added[book])
		}
	}
}

// checkReservations: both ways, with the numbers.
func (l *Ledger) checkReservations(f *findings, live map[string][]liveOrder) {
	for id, p := range l.portfolios {
		address := domain.Portfolios.ID(id).String()
		for tx, h := range p.holds {
			switch x := l.transactions[tx]; {
			case len(live[tx]) > 0: // looked at below
			case x == nil:
				f.add(Reservation, address, "%d cash and %d items for transaction %s, which is none", h.cash, h.items, tx)
			case x.status != domain.StatusStarted:
				f.add(Reservation, address, "%d cash and %d items for transaction %s, which is %s and has no live order", h.cash, h.items, tx, x.status)
			}
		}
	}
	for tx, orders := range live {
		for _, o := range orders {
			var h hold
			if p := l.portfolios[o.PortfolioID]; p != nil {
				h = p.holds[tx]
			}
			want := hold{cash: o.remaining * o.Price}
			if o.side == domain.SideSell {
				want = hold{book: o.bookID, items: o.remaining}
			}
			if h != want {
				f.add(Reservation, domain.Portfolios.ID(o.PortfolioID).String(), "order %s needs %d cash and %d items, reserved are %d and %d",
					o.OrderID, want.cash, want.items, h.cash, h.items)
			}
		}
	}
}

func (l *Ledger) checkOrders(f *findings, live map[string][]liveOrder) {
	for tx, orders := range live {
		for i, o := range orders {
			address := domain.OrderBooks.ID(o.bookID).String()
			x := l.transactions[tx]
			switch {
			case x == nil:
				f.add(Order, address, "order %s is live for transaction %s, which is none", o.OrderID, tx)
			case x.status != domain.StatusConfirmed && x.status != domain.StatusPartiallyExecuted:
				f.add(Order, address, "order %s is live for transaction %s, which is %s", o.OrderID, tx, x.status)
			case x.side != o.side || x.terms != (domain.Terms{PortfolioID: o.PortfolioID, OrderBookID: o.bookID, Count: o.Count, Price: o.Price}):
				f.add(Order, address, "order %s to %s %d at %d is not what transaction %s is about: %s %d at %d",
					o.OrderID, o.side, o.Count, o.Price, tx, x.side, x.terms.Count, x.terms.Price)
			case i > 0:
				f.add(Order, address, "transaction %s has %d live orders", tx, len(orders))
			}
		}
	}
}

func checkCrossed(f *findings, id string, b *book) {
	var bid, ask *order
	for _, o := range b.orders {
		switch {
		case !o.live:
		case o.side == domain.SideBuy && (bid == nil || o.Price > bid.Price):
			bid = o
		case o.side == domain.SideSell && (ask == nil || o.Price < ask.Price):
			ask = o
		}
	}
	if bid != nil && ask != nil && bid.Price >= ask.Price {
		f.add(Crossed, domain.OrderBooks.ID(id).String(), "order %s bids %d, order %s asks %d", bid.OrderID, bid.Price, ask.OrderID, ask.Price)
	}
}

// checkSagas: every saga has ended, or waits for its live order.
func (l *Ledger) checkSagas(f *findings, live map[string][]liveOrder) {
	for a, s := range l.sagas {
		late := ""
		if s.overdue {
			late = ", and is overdue"
		}
		waits := a.Kind != domain.Registrations.Behavior().Kind() && len(live[a.ID]) > 0
		switch {
		case !s.ended && !waits:
			f.add(Saga, a.String(), "has not ended, and has no live order to wait for%s", late)
		case s.ended && waits:
			f.add(Saga, a.String(), "has ended, and order %s is live", live[a.ID][0].OrderID)
		}
	}
	for id, x := range l.transactions {
		a := domain.Buyings.ID(id)
		if x.side == domain.SideSell {
			a = domain.Sellings.ID(id)
		}
		l.hasSaga(f, domain.Transactions.ID(id), a)
	}
	for id := range l.users {
		l.hasSaga(f, domain.Users.ID(id), domain.Registrations.ID(id))
	}
}

func (l *Ledger) hasSaga(f *findings, of, saga actor.Address) {
	if l.sagas[saga] == nil {
		f.add(Saga, of.String(), "%s has never started", saga)
	}
}
