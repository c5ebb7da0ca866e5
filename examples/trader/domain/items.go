package domain

import (
	"maps"

	"github.com/ganglion-go/ganglion/actor"
)

// AddItems adds free items of a book: from outside, or what a trade has brought in.
// The latter counts once for each trade.
type AddItems struct {
	actor.Replies[actor.None]
	OrderBookID string `json:"orderBookId"`
	Count       int64  `json:"count"`
	Settlement
}

// ItemsAdded follows from [AddItems].
type ItemsAdded struct {
	OrderBookID string `json:"orderBookId"`
	Count       int64  `json:"count"`
	Settlement
}

func (p *Portfolio) addItems(ctx *actor.Context, m AddItems) (actor.None, error) {
	if err := p.accepts(m.Count); err != nil {
		return actor.None{}, err
	}
	if p.settled(stepDeposit, m.Settlement) {
		return actor.None{}, nil // again
	}
	if m.OrderBookID == "" || !fits(p.Items[m.OrderBookID], p.ReservedItems[m.OrderBookID], m.Count) {
		return actor.None{}, ErrInvalidAmount
	}
	ctx.Raise(ItemsAdded{OrderBookID: m.OrderBookID, Count: m.Count, Settlement: m.Settlement})
	return actor.None{}, nil
}

func (p *Portfolio) itemsAdded(e ItemsAdded) {
	p.Items = plus(p.Items, e.OrderBookID, e.Count)
	p.settle(stepDeposit, e.Settlement)
}

// ReserveItems sets items aside for a transaction. A second reserve for the
// same transaction changes nothing. The reply is what the transaction holds.
type ReserveItems struct {
	actor.Replies[Reservation]
	TransactionID string `json:"transactionId"`
	OrderBookID   string `json:"orderBookId"`
	Count         int64  `json:"count"`
}

// ItemsReserved follows from [ReserveItems].
type ItemsReserved struct {
	TransactionID string `json:"transactionId"`
	OrderBookID   string `json:"orderBookId"`
	Count         int64  `json:"count"`
}

func (p *Portfolio) reserveItems(ctx *actor.Context, m ReserveItems) (Reservation, error) {
	if err := p.accepts(m.Count); err != nil {
		return Reservation{}, err
	}
	switch free := p.Items[m.OrderBookID]; {
	case m.TransactionID == "" || m.OrderBookID == "":
		return Reservation{}, ErrInvalidAmount
	case p.knows(m.TransactionID):
		return p.Reservations[m.TransactionID], nil
	case m.Count > free:
		return Reservation{}, ErrInsufficientItems.With("items", free)
	}
	ctx.Raise(ItemsReserved{TransactionID: m.TransactionID, OrderBookID: m.OrderBookID, Count: m.Count})
	return p.Reservations[m.TransactionID], nil
}

func (p *Portfolio) itemsReserved(e ItemsReserved) {
	p.Items = plus(p.Items, e.OrderBookID, -e.Count)
	p.ReservedItems = plus(p.ReservedItems, e.OrderBookID, e.Count)
	p.hold(e.TransactionID, func(r *Reservation) {
		r.OrderBookID = e.OrderBookID
		r.Items += e.Count
	})
}

// ConfirmItems gives away items that a transaction holds; once for each trade, if it
// names one. The reply is what it then holds.
type ConfirmItems struct {
	actor.Replies[Reservation]
	TransactionID string `json:"transactionId"`
	Count         int64  `json:"count"`
	TradeID       string `json:"tradeId,omitempty"`
}

// ItemsConfirmed follows from [ConfirmItems].
type ItemsConfirmed struct {
	TransactionID string `json:"transactionId"`
	OrderBookID   string `json:"orderBookId"`
	Count         int64  `json:"count"`
	TradeID       string `json:"tradeId,omitempty"`
}

func (p *Portfolio) confirmItems(ctx *actor.Context, m ConfirmItems) (Reservation, error) {
	if p.settled(stepConfirm, Settlement{m.TransactionID, m.TradeID}) {
		return p.Reservations[m.TransactionID], nil // again
	}
	bookID, err := p.holdsItems(m.TransactionID, m.Count)
	if err != nil {
		return Reservation{}, err
	}
	ctx.Raise(ItemsConfirmed{TransactionID: m.TransactionID, OrderBookID: bookID, Count: m.Count, TradeID: m.TradeID})
	return p.Reservations[m.TransactionID], nil
}

func (p *Portfolio) itemsConfirmed(e ItemsConfirmed) {
	p.settle(stepConfirm, Settlement{e.TransactionID, e.TradeID})
	p.ReservedItems = plus(p.ReservedItems, e.OrderBookID, -e.Count)
	p.hold(e.TransactionID, func(r *Reservation) { r.Items -= e.Count })
}

// ReleaseItems frees items that a transaction holds. The reply is what it then holds.
type ReleaseItems struct {
	actor.Replies[Reservation]
	TransactionID string `json:"transactionId"`
	Count         int64  `json:"count"`
}

// ItemsReleased follows from [ReleaseItems].
type ItemsReleased struct {
	TransactionID string `json:"transactionId"`
	OrderBookID   string `json:"orderBookId"`
	Count         int64  `json:"count"`
}

func (p *Portfolio) releaseItems(ctx *actor.Context, m ReleaseItems) (Reservation, error) {
	bookID, err := p.holdsItems(m.TransactionID, m.Count)
	if err != nil {
		return Reservation{}, err
	}
	ctx.Raise(ItemsReleased{TransactionID: m.TransactionID, OrderBookID: bookID, Count: m.Count})
	return p.Reservations[m.TransactionID], nil
}

func (p *Portfolio) itemsReleased(e ItemsReleased) {
	p.ReservedItems = plus(p.ReservedItems, e.OrderBookID, -e.Count)
	p.Items = plus(p.Items, e.OrderBookID, e.Count)
	p.hold(e.TransactionID, func(r *Reservation) { r.Items -= e.Count })
}

// holdsItems refuses to confirm or release more than a transaction still
// holds, and returns whose items they are.
func (p *Portfolio) holdsItems(transactionID string, count int64) (orderBookID string, err error) {
	if err := p.accepts(count); err != nil {
		return "", err
	}
	switch held := p.Reservations[transactionID]; {
	case held.Items == 0:
		return "", ErrUnknownReservation.With("transactionId", transactionID)
	case count > held.Items:
		return "", ErrInsufficientItems.With("held", held.Items)
	default:
		return held.OrderBookID, nil
	}
}

// plus adds to one entry; an entry of 0 is none.
func plus(counts map[string]int64, key string, n int64) map[string]int64 {
	if counts == nil {
		counts = map[string]int64{}
	}
	counts[key] += n
	if counts[key] == 0 {
		delete(counts, key)
	}
	return counts
}

// copied returns a map that is empty rather than nil: {} in JSON.
func copied[V any](m map[string]V) map[string]V {
	out := make(map[string]V, len(m))
	maps.Copy(out, m)
	return out
}
