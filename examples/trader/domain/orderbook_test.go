package domain_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/actortest"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

var philips = domain.OrderBooks.ID("philips")

func placement(id string, count, price int64) domain.Placement {
	return domain.Placement{OrderID: id, TransactionID: "tx-" + id, PortfolioID: "p-" + id, Count: count, Price: price}
}

func bid(id string, count, price int64) domain.PlaceBuyOrder {
	return domain.PlaceBuyOrder{Placement: placement(id, count, price)}
}

func ask(id string, count, price int64) domain.PlaceSellOrder {
	return domain.PlaceSellOrder{Placement: placement(id, count, price)}
}

func live(id string, remaining, price int64) domain.LiveOrder {
	return domain.LiveOrder{OrderID: id, Price: price, Remaining: remaining, TransactionID: "tx-" + id, PortfolioID: "p-" + id}
}

func trade(count, price int64, buyID, sellID string) domain.TradeExecuted {
	return domain.TradeExecuted{
		Count: count, Price: price, BuyOrderID: buyID, SellOrderID: sellID,
		BuyTransactionID: "tx-" + buyID, SellTransactionID: "tx-" + sellID,
	}
}

func openBook(t *testing.T) *actortest.Scenario {
	t.Helper()
	return actortest.New(t, domain.OrderBooks).Given(philips, domain.OrderBookOpened{CompanyID: "c"})
}

func TestOrderBook_NotOpen(t *testing.T) {
	t.Parallel()
	s := actortest.New(t, domain.OrderBooks)
	s.When(philips, bid("b", 1, 1)).ThenRejected(domain.ErrBookNotOpen)
	s.When(philips, ask("s", 0, 0)).ThenRejected(domain.ErrBookNotOpen)
	s.When(philips, domain.CancelOrder{OrderID: "b"}).ThenRejected(domain.ErrBookNotOpen)
	s.When(philips, domain.OpenOrderBook{CompanyID: "c"}).ThenRaised(domain.OrderBookOpened{CompanyID: "c"}).ThenNothingElse()
	s.WhenRepeated().ThenFails(actor.CodeAlreadyExists)
	s.ThenShown(json.RawMessage(`{"companyId":"c","buys":[],"sells":[],"lastPrice":0,"trades":0}`))
}

func TestOrderBook_InvalidOrder(t *testing.T) {
	t.Parallel()
	s := openBook(t)
	for _, bad := range []domain.Placement{
		placement("x", 0, 1), placement("x", 1, 0), placement("x", -1, 1), placement("x", 1, -1), placement("x", -1, -1),
		placement("x", math.MaxInt64, 2), placement("x", 1<<32, 1<<31),
		{TransactionID: "t", PortfolioID: "p", Count: 1, Price: 1},
		{OrderID: "o", PortfolioID: "p", Count: 1, Price: 1},
		{OrderID: "o", TransactionID: "t", Count: 1, Price: 1},
	} {
		s.When(philips, domain.PlaceBuyOrder{Placement: bad}).ThenRejected(domain.ErrInvalidOrder).ThenNothingElse()
		s.When(philips, domain.PlaceSellOrder{Placement: bad}).ThenRejected(domain.ErrInvalidOrder).ThenNothingElse()
	}
	s.When(philips, bid("largest", math.MaxInt64, 1)).ThenReply(domain.Placed{Remaining: math.MaxInt64})
}

// The original let a second order at an existing price replace the first one.
func TestOrderBook_TwoOrdersAtOnePrice(t *testing.T) {
	t.Parallel()
	s := openBook(t)
	s.When(philips, bid("b-1", 5, 10)).ThenReply(domain.Placed{Remaining: 5}).
		ThenRaised(domain.BuyOrderPlaced{Placement: placement("b-1", 5, 10)}).ThenNothingElse()
	s.When(philips, bid("b-2", 7, 10)).ThenReply(domain.Placed{Remaining: 7})
	s.ThenShown(domain.OrderBookView{
		CompanyID: "c", Buys: []domain.LiveOrder{live("b-1", 5, 10), live("b-2", 7, 10)}, Sells: []domain.LiveOrder{},
	})
}

func TestOrderBook_PriceTimePriority(t *testing.T) {
	t.Parallel()
	s := openBook(t)
	s.When(philips, ask("s-1", 5, 12)).ThenReply(domain.Placed{Remaining: 5})
	s.When(philips, ask("s-2", 5, 11)).ThenReply(domain.Placed{Remaining: 5})
	s.When(philips, ask("s-3", 5, 11)).ThenReply(domain.Placed{Remaining: 5})
	s.When(philips, ask("s-4", 5, 14)).ThenReply(domain.Placed{Remaining: 5})
	s.When(philips, bid("b-1", 5, 10)).ThenReply(domain.Placed{Remaining: 5})
	s.ThenShown(domain.OrderBookView{
		CompanyID: "c", Buys: []domain.LiveOrder{live("b-1", 5, 10)},
		Sells: []domain.LiveOrder{live("s-2", 5, 11), live("s-3", 5, 11), live("s-1", 5, 12), live("s-4", 5, 14)},
	})
	// The best price first, the earliest first within it, at the resting price.
	s.When(philips, bid("b-2", 13, 13)).ThenReply(domain.Placed{Executed: 13}).
		ThenRaised(domain.BuyOrderPlaced{Placement: placement("b-2", 13, 13)},
			trade(5, 11, "b-2", "s-2"), trade(5, 11, "b-2", "s-3"), trade(3, 12, "b-2", "s-1")).ThenNothingElse()
	// What is left of s-1 keeps its place before a later order at its price.
	s.When(philips, ask("s-5", 1, 12)).ThenReply(domain.Placed{Remaining: 1})
	s.When(philips, bid("b-3", 4, 13)).ThenReply(domain.Placed{Executed: 3, Remaining: 1}).
		ThenRaised(domain.BuyOrderPlaced{Placement: placement("b-3", 4, 13)},
			trade(2, 12, "b-3", "s-1"), trade(1, 12, "b-3", "s-5")).ThenNothingElse()
	// A seller takes the best bids, and the rest of it stays.
	s.When(philips, ask("s-6", 9, 10)).ThenReply(domain.Placed{Executed: 6, Remaining: 3}).
		ThenRaised(domain.SellOrderPlaced{Placement: placement("s-6", 9, 10)},
			trade(1, 13, "b-3", "s-6"), trade(5, 10, "b-1", "s-6")).ThenNothingElse()
	s.ThenShown(domain.OrderBookView{
		CompanyID: "c", Buys: []domain.LiveOrder{},
		Sells: []domain.LiveOrder{live("s-6", 3, 10), live("s-4", 5, 14)}, LastPrice: 10, Trades: 7,
	})
}

func TestOrderBook_Cancel(t *testing.T) {
	t.Parallel()
	s := openBook(t)
	for i, price := range []int64{10, 10, 10, 9} {
		s.When(philips, bid(fmt.Sprintf("b-%d", i), 5, price)).ThenReply(domain.Placed{Remaining: 5})
	}
	s.When(philips, domain.CancelOrder{OrderID: "never"}).ThenRejected(domain.ErrUnknownOrder.With("orderId", "never"))
	s.When(philips, ask("s", 7, 10)).ThenReply(domain.Placed{Executed: 7})
	s.When(philips, domain.CancelOrder{OrderID: "b-0"}).ThenRejected(domain.ErrUnknownOrder) // filled
	s.When(philips, domain.CancelOrder{OrderID: "b-1"}).ThenReply(domain.Cancelled{Remaining: 3}).
		ThenRaised(domain.OrderCancelled{OrderID: "b-1", Remaining: 3, Side: domain.SideBuy}).ThenNothingElse()
	s.WhenRepeated().ThenRejected(domain.ErrUnknownOrder)
	s.When(philips, domain.CancelOrder{OrderID: "b-2"}).ThenReply(domain.Cancelled{Remaining: 5}) // the last of its level
	s.ThenShown(domain.OrderBookView{
		CompanyID: "c", Buys: []domain.LiveOrder{live("b-3", 5, 9)}, Sells: []domain.LiveOrder{}, LastPrice: 10, Trades: 2,
	})
	// A cancelled order does not trade.
	s.When(philips, ask("s-2", 20, 1)).ThenReply(domain.Placed{Executed: 5, Remaining: 15})
}

func TestOrderBook_DuplicateOrder(t *testing.T) {
	t.Parallel()
	s := openBook(t)
	s.When(philips, bid("live", 5, 5)).ThenReply(domain.Placed{Remaining: 5})
	s.When(philips, bid("cancelled", 5, 5)).ThenReply(domain.Placed{Remaining: 5})
	s.When(philips, domain.CancelOrder{OrderID: "cancelled"}).ThenReply(domain.Cancelled{Remaining: 5})
	s.When(philips, bid("filled", 1, 6)).ThenReply(domain.Placed{Remaining: 1})
	s.When(philips, ask("filled at once", 1, 6)).ThenReply(domain.Placed{Executed: 1})
	for _, id := range []string{"live", "cancelled", "filled", "filled at once"} {
		s.When(philips, bid(id, 1, 1)).ThenRejected(domain.ErrDuplicateOrder.With("orderId", id)).ThenNothingElse()
		s.When(philips, ask(id, 1, 9)).ThenRejected(domain.ErrDuplicateOrder)
	}
}

// Closed orders are remembered for as long as the bound says, across a
// snapshot as well, and in no more memory than it says.
func TestOrderBook_ClosedOrders(t *testing.T) {
	t.Parallel()
	b := domain.OrderBooks.Behavior()
	i := b.New(philips)
	decide := func(name, data string) actor.Outcome {
		return i.Decide(&actor.Message{Target: philips, ID: "c", Name: name, Data: []byte(data)}).Outcome
	}
	place := func(n int) actor.Outcome {
		return decide("PlaceBuyOrder", fmt.Sprintf(`{"orderId":"o-%d","transactionId":"t","portfolioId":"p","count":1,"price":1}`, n))
	}
	decide("OpenOrderBook", `{}`)
	for n := range domain.ClosedOrdersMax + 1 {
		if o := place(n); o.Code != actor.CodeOK {
			t.Fatal(o)
		}
		if o := decide("CancelOrder", fmt.Sprintf(`{"orderId":"o-%d"}`, n)); o.Code != actor.CodeOK {
			t.Fatal(o)
		}
	}
	snapshot, err := i.Snapshot()
	if err != nil || len(snapshot) > 200<<10 {
		t.Fatalf("a snapshot of %d bytes, %v", len(snapshot), err)
	}
	for range 2 {
		for _, n := range []int{1, domain.ClosedOrdersMax} {
			if o := place(n); o.Rejection == nil || o.Rejection.Code != "duplicate_order" {
				t.Errorf("o-%d within the bound: %+v", n, o)
			}
		}
		if i, err = b.Restore(philips, i.Version(), snapshot); err != nil {
			t.Fatal(err)
		}
	}
	if o := place(0); o.Code != actor.CodeOK {
		t.Errorf("beyond the bound: %+v", o)
	}
}

func TestOrderBook_Snapshot_Contradictory(t *testing.T) {
	t.Parallel()
	order := func(id string, remaining, price int) string {
		return fmt.Sprintf(`{"orderId":%q,"remaining":%d,"price":%d}`, id, remaining, price)
	}
	for name, sells := range map[string][]string{
		"twice":         {order("a", 1, 1), order("a", 1, 2)},
		"out of order":  {order("a", 1, 2), order("b", 1, 1)},
		"nothing left":  {order("a", 0, 1)},
		"without price": {order("a", 1, 0)},
	} {
		data := `{"open":true,"buys":[],"sells":[` + strings.Join(sells, ",") + `],"closed":""}`
		if i, err := domain.OrderBooks.Behavior().Restore(philips, 3, []byte(data)); err == nil {
			t.Errorf("%s: restored as %v", name, i.State())
		}
	}
	if _, err := domain.OrderBooks.Behavior().Restore(philips, 3, []byte(`{"closed":"AAAA"}`)); err == nil {
		t.Error("half a digest was restored")
	}
}
