package domain

import "github.com/ganglion-go/ganglion/actor"

// What follows is all in which buying and selling differ.

// reserve sets aside what the order may need at worst.
func (t *Trading) reserve(id string) actor.Command {
	if t.Side == SideBuy {
		return ReserveCash{TransactionID: id, Amount: t.Count * t.Price}
	}
	return ReserveItems{TransactionID: id, OrderBookID: t.OrderBookID, Count: t.Count}
}

// release gives back what is set aside for so many items.
func (t *Trading) release(id string, count int64) actor.Command {
	if t.Side == SideBuy {
		return ReleaseCash{TransactionID: id, Amount: count * t.Price}
	}
	return ReleaseItems{TransactionID: id, Count: count}
}

func (t *Trading) placement(id string) actor.Command {
	p := Placement{OrderID: id, TransactionID: id, PortfolioID: t.PortfolioID, Count: t.Count, Price: t.Price}
	if t.Side == SideBuy {
		return PlaceBuyOrder{Placement: p}
	}
	return PlaceSellOrder{Placement: p}
}

// settlement returns the steps by which a trade reaches the portfolio. The last one
// brings in what the trade is worth, and ends the settlement. No product overflows:
// a trade is not larger than the order, nor dearer than the bid, and that product
// was checked when the transaction started.
func (t *Trading) settlement(id string, trade TradeTaken) []actor.Command {
	s := Settlement{TransactionID: id, TradeID: trade.TradeID}
	if t.Side == SideSell {
		return []actor.Command{
			ConfirmItems{TransactionID: id, Count: trade.Count, TradeID: trade.TradeID},
			DepositCash{Amount: trade.Count * trade.Price, Settlement: s},
		}
	}
	steps := []actor.Command{ConfirmCash{TransactionID: id, Amount: trade.Count * trade.Price, TradeID: trade.TradeID}}
	if better := t.Price - trade.Price; better > 0 {
		steps = append(steps, ReleaseCash{TransactionID: id, Amount: trade.Count * better, TradeID: trade.TradeID})
	}
	return append(steps, AddItems{OrderBookID: t.OrderBookID, Count: trade.Count, Settlement: s})
}
