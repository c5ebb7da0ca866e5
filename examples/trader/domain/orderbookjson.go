package domain

import (
	"encoding/json"
	"errors"
	"fmt"
)

// OrderBookView is what a read of an order book shows: the best price first,
// then the earliest order.
type OrderBookView struct {
	CompanyID string      `json:"companyId"`
	Buys      []LiveOrder `json:"buys"`
	Sells     []LiveOrder `json:"sells"`
	LastPrice int64       `json:"lastPrice"`
	Trades    int64       `json:"trades"`
}

func (b *OrderBook) view() OrderBookView {
	return OrderBookView{
		CompanyID: b.companyID,
		Buys:      b.live(buy),
		Sells:     b.live(sell),
		LastPrice: b.lastPrice,
		Trades:    b.trades,
	}
}

func (b *OrderBook) live(s side) []LiveOrder {
	orders := []LiveOrder{}
	b.book.each(s, func(o *order) bool {
		orders = append(orders, o.LiveOrder)
		return true
	})
	return orders
}

// orderBookSnapshot is all of the state: the view, and what it leaves out.
type orderBookSnapshot struct {
	OrderBookView
	Open   bool      `json:"open"`
	Closed recentIDs `json:"closed"`
}

// MarshalJSON encodes all of the state, in one pass over the live orders.
func (b *OrderBook) MarshalJSON() ([]byte, error) {
	return json.Marshal(orderBookSnapshot{OrderBookView: b.view(), Open: b.open, Closed: b.closed})
}

var errOrderBookState = errors.New("order book snapshot contradicts itself")

// UnmarshalJSON is the inverse of MarshalJSON. The orders come in the order of
// the book, so each costs O(1).
func (b *OrderBook) UnmarshalJSON(data []byte) error {
	var s orderBookSnapshot
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	*b = OrderBook{companyID: s.CompanyID, open: s.Open, closed: s.Closed, lastPrice: s.LastPrice, trades: s.Trades}
	if err := b.book.load(buy, s.Buys); err != nil {
		return err
	}
	return b.book.load(sell, s.Sells)
}

// load fills an empty side.
func (b *book) load(s side, orders []LiveOrder) error {
	var last *level
	for _, o := range orders {
		switch {
		case o.Remaining <= 0 || o.Price <= 0 || b.orders[o.OrderID] != nil:
			return fmt.Errorf("order %q: %w", o.OrderID, errOrderBookState)
		case last == nil || s.key(last.price) < s.key(o.Price):
			last = &level{price: o.Price}
			b.sides[s].Load(s.key(o.Price), last)
		case last.price != o.Price:
			return fmt.Errorf("order %q is out of order: %w", o.OrderID, errOrderBookState)
		}
		b.enqueue(last, &order{LiveOrder: o, side: s})
	}
	return nil
}
