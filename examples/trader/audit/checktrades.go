package audit

import (
	"fmt"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

// checkExecutions: what transactions have recorded is what books have traded.
func (l *Ledger) checkExecutions(f *findings) {
	traded := map[string]int64{}
	made := map[string]trade{}
	for _, b := range l.books {
		for _, t := range b.trades {
			made[t.id] = t
			traded[t.BuyTransactionID] += t.Count
			traded[t.SellTransactionID] += t.Count
			l.checkSide(f, &t, t.BuyTransactionID, domain.SideBuy)
			l.checkSide(f, &t, t.SellTransactionID, domain.SideSell)
		}
	}
	for id, x := range l.transactions {
		address := domain.Transactions.ID(id).String()
		var sum int64
		for _, e := range x.executions {
			sum += e.Count
			t, ok := made[e.TradeID]
			if !ok || t.BuyTransactionID != id && t.SellTransactionID != id {
				f.add(Execution, address, "recorded trade %s, which it did not make", e.TradeID)
			}
		}
		if x.executed != traded[id] || sum != traded[id] {
			f.add(Execution, address, "executed %d, recorded %d, traded %d", x.executed, sum, traded[id])
		}
		if x.executed > x.terms.Count {
			f.add(Execution, address, "executed %d of %d", x.executed, x.terms.Count)
		}
	}
}

// checkSide: the transaction is of that side, and has recorded the trade once.
func (l *Ledger) checkSide(f *findings, t *trade, id, side string) {
	x := l.transactions[id]
	if x == nil || x.side != side {
		f.add(Execution, t.bookWhere, "trade %s: %s is no transaction to %s", t.id, id, side)
		return
	}
	times := 0
	for _, e := range x.executions {
		if e.TradeID == t.id && e.Count == t.Count && e.Price == t.Price {
			times++
		}
	}
	if times != 1 {
		f.add(Execution, domain.Transactions.ID(id).String(), "trade %s of %d at %d is recorded %d times", t.id, t.Count, t.Price, times)
	}
}

// checkSettlements: every trade has moved what it says, once, on both sides, and
// nothing else was moved as if by a trade.
func (l *Ledger) checkSettlements(f *findings) {
	seen := map[settlementKey]bool{}
	for _, b := range l.books {
		for _, t := range b.trades {
			buying := settlementKey{t.buyer, t.BuyTransactionID, t.id}
			selling := settlementKey{t.seller, t.SellTransactionID, t.id}
			seen[buying], seen[selling] = true, true
			value := t.Count * t.Price
			better := t.Count * (t.bid - t.Price)
			want := settlement{confirmed: value, confirms: 1, released: better, brought: t.Count, bringings: 1, broughtIn: t.bookID}
			if better > 0 {
				want.releases = 1
			}
			l.checkSettlement(f, buying, want)
			l.checkSettlement(f, selling, settlement{confirmed: t.Count, confirms: 1, confirmedIn: t.bookID, brought: value, bringings: 1})
		}
	}
	for key, s := range l.settlements {
		if !seen[key] {
			f.add(Settlement, domain.Portfolios.ID(key.portfolio).String(), "for transaction %s, trade %q, which it did not make: %s", key.transaction, key.trade, s)
		}
	}
}

func (l *Ledger) checkSettlement(f *findings, key settlementKey, want settlement) {
	got := settlement{}
	if s := l.settlements[key]; s != nil {
		got = *s
	}
	if got != want {
		f.add(Settlement, domain.Portfolios.ID(key.portfolio).String(), "for transaction %s, trade %s: %s; it should be: %s", key.transaction, key.trade, &got, &want)
	}
}

// String tells what was moved.
func (s *settlement) String() string {
	return fmt.Sprintf("gave %d %sin %d steps, got back %d in %d, received %d %sin %d",
		s.confirmed, unit(s.confirmedIn), s.confirms, s.released, s.releases, s.brought, unit(s.broughtIn), s.bringings)
}

func unit(book string) string {
	if book == "" {
		return "cents "
	}
	return "items of " + book + " "
}
