package domain

import "github.com/tidwall/btree"

// side is the side of an order.
type side uint8

const (
	buy side = iota
	sell
)

// String is how events name a side.
func (s side) String() string {
	if s == buy {
		return SideBuy
	}
	return SideSell
}

func (s side) opposite() side { return 1 - s }

// key orders the prices of a side: the best first.
func (s side) key(price int64) int64 {
	if s == buy {
		return -price
	}
	return price
}

// LiveOrder is an order in the book, with what of it has not been traded.
type LiveOrder struct {
	OrderID       string `json:"orderId"`
	Price         int64  `json:"price"`
	Remaining     int64  `json:"remaining"`
	TransactionID string `json:"transactionId"`
	PortfolioID   string `json:"portfolioId"`
}

// order is a live order as a link of its level's queue.
type order struct {
	LiveOrder
	side       side
	level      *level
	prev, next *order
}

// level is the queue of all orders at one price, the earliest first.
type level struct {
	price       int64
	first, last *order
}

func (l *level) push(o *order) {
	o.level, o.prev = l, l.last
	if l.last == nil {
		l.first = o
	} else {
		l.last.next = o
	}
	l.last = o
}

func (l *level) remove(o *order) {
	if o.prev == nil {
		l.first = o.next
	} else {
		o.prev.next = o.next
	}
	if o.next == nil {
		l.last = o.prev
	} else {
		o.next.prev = o.prev
	}
	o.prev, o.next, o.level = nil, nil, nil
}

// book is the live orders of both sides. Adding and removing cost O(log n) in
// the number of price levels, finding an order by its id O(1).
type book struct {
	sides  [2]btree.Map[int64, *level]
	orders map[string]*order
}

// add puts an order behind all others of its price.
func (b *book) add(s side, o LiveOrder) {
	levels := &b.sides[s]
	l, ok := levels.Get(s.key(o.Price))
	if !ok {
		l = &level{price: o.Price}
		levels.Set(s.key(o.Price), l)
	}
	b.enqueue(l, &order{LiveOrder: o, side: s})
}

func (b *book) enqueue(l *level, o *order) {
	if b.orders == nil {
		b.orders = map[string]*order{}
	}
	l.push(o)
	b.orders[o.OrderID] = o
}

// remove takes an order out of the book.
func (b *book) remove(o *order) {
	l := o.level
	l.remove(o)
	if l.first == nil {
		b.sides[o.side].Delete(o.side.key(l.price))
	}
	delete(b.orders, o.OrderID)
}

// fill takes a trade off an order, which keeps its place, and reports whether
// it is filled, and so removed.
func (b *book) fill(o *order, count int64) (filled bool) {
	o.Remaining -= count
	if o.Remaining > 0 {
		return false
	}
	b.remove(o)
	return true
}

// each calls visit for every order of a side, in the order of their priority,
// until it returns false.
func (b *book) each(s side, visit func(*order) bool) {
	b.sides[s].Scan(func(_ int64, l *level) bool {
		for o := l.first; o != nil; o = o.next {
			if !visit(o) {
				return false
			}
		}
		return true
	})
}

// match is what one resting order gives to an incoming one.
type match struct {
	resting *order
	count   int64
}

// matches returns what an incoming order of side s trades: against the best
// opposite price first, the earliest order first within a price, until it is
// filled or no price crosses. It changes nothing.
func (b *book) matches(s side, price, count int64) []match {
	var found []match
	against := s.opposite()
	b.each(against, func(o *order) bool {
		if count == 0 || against.key(o.Price) > against.key(price) {
			return false
		}
		m := match{resting: o, count: min(count, o.Remaining)}
		found = append(found, m)
		count -= m.count
		return true
	})
	return found
}
