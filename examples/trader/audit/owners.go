package audit

import "github.com/ganglion-go/ganglion/examples/trader/domain"

// portfolio is what somebody owns.
type portfolio struct {
	created      bool
	cash         int64
	reservedCash int64
	items        map[string]int64
	reserved     map[string]int64 // items, by book
	holds        map[string]hold  // by transaction
}

// hold is what is reserved for a transaction.
type hold struct {
	cash  int64
	book  string
	items int64
}

// settlementKey is one side of a trade.
type settlementKey struct{ portfolio, transaction, trade string }

// settlement is what has been moved for it. Numbers of steps tell doubles apart.
type settlement struct {
	confirmed, released, brought  int64
	confirms, releases, bringings int
	confirmedIn, broughtIn        string // books of items; empty: cash
}

func (l *Ledger) portfolio(id string, e any) {
	p := at(l.portfolios, id)
	if p.items == nil {
		p.items, p.reserved, p.holds = map[string]int64{}, map[string]int64{}, map[string]hold{}
	}
	switch e := e.(type) {
	case domain.PortfolioCreated:
		p.created = true
	case domain.CashDeposited:
		p.cash += e.Amount
		l.brought(id, e.Settlement, "", e.Amount)
	case domain.CashWithdrawn:
		p.cash -= e.Amount
		l.deposited -= e.Amount
	case domain.CashReserved:
		p.cash -= e.Amount
		p.changeCash(e.TransactionID, e.Amount)
	case domain.CashConfirmed:
		p.changeCash(e.TransactionID, -e.Amount)
		l.confirmed(id, e.TransactionID, e.TradeID, "", e.Amount)
	case domain.CashReleased:
		p.cash += e.Amount
		p.changeCash(e.TransactionID, -e.Amount)
		l.released(id, e)
	case domain.ItemsAdded:
		p.items[e.OrderBookID] += e.Count
		l.brought(id, e.Settlement, e.OrderBookID, e.Count)
	case domain.ItemsReserved:
		p.items[e.OrderBookID] -= e.Count
		p.changeItems(e.TransactionID, e.OrderBookID, e.Count)
	case domain.ItemsConfirmed:
		p.changeItems(e.TransactionID, e.OrderBookID, -e.Count)
		l.confirmed(id, e.TransactionID, e.TradeID, e.OrderBookID, e.Count)
	case domain.ItemsReleased:
		p.items[e.OrderBookID] += e.Count
		p.changeItems(e.TransactionID, e.OrderBookID, -e.Count)
	}
	l.notNegative(id, p, e)
}

func (p *portfolio) changeCash(transaction string, n int64) {
	p.reservedCash += n
	h := p.holds[transaction]
	h.cash += n
	p.keep(transaction, h)
}

func (p *portfolio) changeItems(transaction, book string, n int64) {
	p.reserved[book] += n
	h := p.holds[transaction]
	h.book, h.items = book, h.items+n
	p.keep(transaction, h)
}

func (p *portfolio) keep(transaction string, h hold) {
	if h.cash == 0 && h.items == 0 {
		delete(p.holds, transaction)
		return
	}
	p.holds[transaction] = h
}

func (l *Ledger) notNegative(id string, p *portfolio, e any) {
	address := domain.Portfolios.ID(id).String()
	if p.cash < 0 || p.reservedCash < 0 {
		l.found.add(Negative, address, "cash %d, reserved %d after %T", p.cash, p.reservedCash, e)
	}
	for book, n := range p.items {
		if n < 0 || p.reserved[book] < 0 {
			l.found.add(Negative, address, "items of %s %d, reserved %d after %T", book, n, p.reserved[book], e)
		}
	}
	for transaction, h := range p.holds {
		if h.cash < 0 || h.items < 0 {
			l.found.add(Negative, address, "transaction %s holds %d cash and %d items after %T", transaction, h.cash, h.items, e)
		}
	}
}

// brought: cash or items of a book came in, from outside or by a trade.
func (l *Ledger) brought(portfolio string, s domain.Settlement, book string, n int64) {
	if s.TradeID == "" {
		if book == "" {
			l.deposited += n
		} else {
			l.added[book] += n
		}
		return
	}
	of := at(l.settlements, settlementKey{portfolio, s.TransactionID, s.TradeID})
	of.brought, of.bringings, of.broughtIn = of.brought+n, of.bringings+1, book
}

func (l *Ledger) confirmed(portfolio, transaction, trade, book string, n int64) {
	of := at(l.settlements, settlementKey{portfolio, transaction, trade})
	of.confirmed, of.confirms, of.confirmedIn = of.confirmed+n, of.confirms+1, book
}

// released: what is given back without a trade is of no settlement.
func (l *Ledger) released(portfolio string, e domain.CashReleased) {
	if e.TradeID != "" {
		of := at(l.settlements, settlementKey{portfolio, e.TransactionID, e.TradeID})
		of.released, of.releases = of.released+e.Amount, of.releases+1
	}
}
