package audit

// Summary counts what a ledger holds.
type Summary struct {
	Portfolios, Transactions, Trades, LiveOrders int
	Ended, Open, Overdue                         int // sagas; those that were ever overdue
}

// Summary returns it.
func (l *Ledger) Summary() Summary {
	s := Summary{Portfolios: len(l.portfolios), Transactions: len(l.transactions)}
	for _, b := range l.books {
		s.Trades += len(b.trades)
		for _, o := range b.orders {
			if o.live {
				s.LiveOrders++
			}
		}
	}
	for _, saga := range l.sagas {
		if saga.ended {
			s.Ended++
		} else {
			s.Open++
		}
		if saga.overdue {
			s.Overdue++
		}
	}
	return s
}
