package domain_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/internal/testenv"
)

// naive is the order book as one would explain it: two lists that are searched
// from end to end. Lists are in the order in which orders came.
type naive struct {
	buys, sells []domain.LiveOrder
	used        map[string]bool
	lastPrice   int64
	trades      int64
}

// best returns the index of the order that trades first; -1: none.
func best(orders []domain.LiveOrder, better func(a, b int64) bool) int {
	found := -1
	for i, o := range orders {
		if found < 0 || better(o.Price, orders[found].Price) {
			found = i
		}
	}
	return found
}

func higher(a, b int64) bool { return a > b }
func lower(a, b int64) bool  { return a < b }

// place returns the trades that a new order makes.
func (n *naive) place(buying bool, p domain.Placement) []domain.TradeExecuted {
	n.used[p.OrderID] = true
	mine, others, better := &n.buys, &n.sells, lower
	if !buying {
		mine, others, better = &n.sells, &n.buys, higher
	}
	incoming := domain.LiveOrder{OrderID: p.OrderID, Price: p.Price, Remaining: p.Count, TransactionID: p.TransactionID, PortfolioID: p.PortfolioID}
	var trades []domain.TradeExecuted
	for incoming.Remaining > 0 {
		i := best(*others, better)
		if i < 0 || better(incoming.Price, (*others)[i].Price) {
			break
		}
		resting := &(*others)[i]
		count := min(incoming.Remaining, resting.Remaining)
		b, s := incoming, *resting
		if !buying {
			b, s = s, b
		}
		trades = append(trades, domain.TradeExecuted{
			Count: count, Price: resting.Price, BuyOrderID: b.OrderID, SellOrderID: s.OrderID,
			BuyTransactionID: b.TransactionID, SellTransactionID: s.TransactionID,
		})
		n.lastPrice = resting.Price
		n.trades++
		incoming.Remaining -= count
		if resting.Remaining -= count; resting.Remaining == 0 {
			*others = slices.Delete(*others, i, i+1)
		}
	}
	if incoming.Remaining > 0 {
		*mine = append(*mine, incoming)
	}
	return trades
}

func (n *naive) cancel(id string) (remaining int64, ok bool) {
	for _, side := range []*[]domain.LiveOrder{&n.buys, &n.sells} {
		for i, o := range *side {
			if o.OrderID == id {
				*side = slices.Delete(*side, i, i+1)
				return o.Remaining, true
			}
		}
	}
	return 0, false
}

func (n *naive) view() domain.OrderBookView {
	sorted := func(orders []domain.LiveOrder, better func(a, b int64) bool) []domain.LiveOrder {
		out := append([]domain.LiveOrder{}, orders...)
		slices.SortStableFunc(out, func(a, b domain.LiveOrder) int {
			switch {
			case better(a.Price, b.Price):
				return -1
			case better(b.Price, a.Price):
				return 1
			}
			return 0
		})
		return out
	}
	return domain.OrderBookView{
		CompanyID: "c", Buys: sorted(n.buys, higher), Sells: sorted(n.sells, lower), LastPrice: n.lastPrice, Trades: n.trades,
	}
}

// bookUnderTest drives the aggregate beside the naive model.
type bookUnderTest struct {
	t       testing.TB
	model   naive
	live    *actor.Instance
	history []actor.Event
	placed  map[string]int64 // count of every order
	traded  map[string]int64
	gone    map[string]int64 // cancelled
}

func newBookUnderTest(t testing.TB) *bookUnderTest {
	t.Helper()
	u := &bookUnderTest{
		t: t, model: naive{used: map[string]bool{}}, live: domain.OrderBooks.Behavior().New(philips),
		placed: map[string]int64{}, traded: map[string]int64{}, gone: map[string]int64{},
	}
	u.decide(domain.OpenOrderBook{CompanyID: "c"})
	return u
}

func (u *bookUnderTest) decide(payload any) actor.Decision {
	u.t.Helper()
	data, err := json.Marshal(payload)
	if err != nil {
		u.t.Fatal(err)
	}
	name := fmt.Sprintf("%T", payload)[len("domain."):]
	d := u.live.Decide(&actor.Message{Target: philips, ID: "c", Name: name, Data: data})
	if d.Panic != nil || d.Tainted {
		u.t.Fatalf("%s %s: %+v", name, data, d)
	}
	u.history = append(u.history, d.Events...)
	return d
}

func (u *bookUnderTest) place(buying bool, p domain.Placement) {
	u.t.Helper()
	duplicate := u.model.used[p.OrderID]
	var d actor.Decision
	if buying {
		d = u.decide(domain.PlaceBuyOrder{Placement: p})
	} else {
		d = u.decide(domain.PlaceSellOrder{Placement: p})
	}
	if duplicate {
		if d.Outcome.Rejection == nil || d.Outcome.Rejection.Code != "duplicate_order" {
			u.t.Fatalf("%+v was placed twice: %+v", p, d.Outcome)
		}
		return
	}
	if d.Outcome.Code != actor.CodeOK {
		u.t.Fatalf("%+v: %+v", p, d.Outcome)
	}
	u.placed[p.OrderID] = p.Count
	var trades []domain.TradeExecuted
	for _, e := range d.Events[1:] {
		decoded, err := domain.OrderBooks.Behavior().Decode(e)
		if err != nil {
			u.t.Fatal(err)
		}
		trade := decoded.(domain.TradeExecuted)
		u.traded[trade.BuyOrderID] += trade.Count
		u.traded[trade.SellOrderID] += trade.Count
		trades = append(trades, trade)
	}
	if diff := cmp.Diff(u.model.place(buying, p), trades); diff != "" {
		u.t.Fatalf("trades of %+v (-model +got):\n%s", p, diff)
	}
}

func (u *bookUnderTest) cancel(id string) {
	u.t.Helper()
	remaining, ok := u.model.cancel(id)
	d := u.decide(domain.CancelOrder{OrderID: id})
	if ok != (d.Outcome.Code == actor.CodeOK) {
		u.t.Fatalf("cancel %s: %+v", id, d.Outcome)
	}
	if !ok {
		return
	}
	var got domain.Cancelled
	if err := json.Unmarshal(d.Outcome.Reply, &got); err != nil || got.Remaining != remaining {
		u.t.Fatalf("cancel %s: %s, want %d remaining", id, d.Outcome.Reply, remaining)
	}
	u.gone[id] += remaining
}

// check compares all of the book with the model, and its invariants.
func (u *bookUnderTest) check() {
	u.t.Helper()
	var got domain.OrderBookView
	shown := u.live.Decide(&actor.Message{Type: actor.TypeState})
	if err := json.Unmarshal(shown.Outcome.Reply, &got); err != nil {
		u.t.Fatal(err)
	}
	if diff := cmp.Diff(u.model.view(), got); diff != "" {
		u.t.Fatalf("the book (-model +got):\n%s", diff)
	}
	if len(got.Buys) > 0 && len(got.Sells) > 0 && got.Buys[0].Price >= got.Sells[0].Price {
		u.t.Fatalf("the book is crossed: %+v", got)
	}
	resting := map[string]int64{}
	for _, o := range append(got.Buys, got.Sells...) {
		resting[o.OrderID] += o.Remaining
	}
	for id, count := range u.placed {
		if count != resting[id]+u.traded[id]+u.gone[id] {
			u.t.Fatalf("%s was placed with %d: %d rest, %d traded, %d cancelled", id, count, resting[id], u.traded[id], u.gone[id])
		}
	}
}

// reload goes on with an instance restored from a snapshot, or replayed.
func (u *bookUnderTest) reload(fromSnapshot bool) {
	u.t.Helper()
	b := domain.OrderBooks.Behavior()
	if !fromSnapshot {
		u.live = b.New(philips)
		for _, e := range u.history {
			if err := u.live.Replay(e); err != nil {
				u.t.Fatal(err)
			}
		}
		return
	}
	data, err := u.live.Snapshot()
	if err != nil {
		u.t.Fatal(err)
	}
	if u.live, err = b.Restore(philips, u.live.Version(), data); err != nil {
		u.t.Fatal(err)
	}
}

func TestOrderBook_AgreesWithModel(t *testing.T) {
	t.Parallel()
	rnd := testenv.Rand(t)
	for range 60 {
		u := newBookUnderTest(t)
		spread := 1 + rnd.Int64N(12)
		for n := range 150 {
			id := "o-" + strconv.Itoa(rnd.IntN(n+1))
			switch rnd.IntN(10) {
			case 0, 1:
				u.cancel(id)
			case 2:
				u.place(rnd.IntN(2) == 0, placement(id, 1, 1)) // mostly a duplicate
			case 3:
				u.reload(rnd.IntN(2) == 0)
			default:
				u.place(rnd.IntN(2) == 0, placement("n-"+strconv.Itoa(n), 1+rnd.Int64N(50), 1+rnd.Int64N(spread)))
			}
			u.check()
		}
	}
}

func FuzzOrderBook(f *testing.F) {
	f.Add([]byte{0, 10, 5, 1, 10, 7, 2, 0, 0, 3, 0, 0})
	f.Add([]byte("a buy and a sell and a cancel and a reload"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		u := newBookUnderTest(t)
		for n := 0; len(ops) >= 3 && n < 100; n++ {
			op, price, count := ops[0]%5, int64(ops[1]), int64(ops[2])
			ops = ops[3:]
			switch op {
			case 0, 1:
				u.place(op == 0, placement("o-"+strconv.Itoa(n), 1+count, 1+price%16))
			case 2:
				u.cancel("o-" + strconv.FormatInt(count%int64(n+1), 10))
			default:
				u.reload(op == 3)
			}
			u.check()
		}
	})
}

// Placing and cancelling cost O(log n) in the number of price levels.
func BenchmarkOrderBook_PlaceAndCancel(b *testing.B) {
	for _, levels := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprintf("levels=%d", levels), func(b *testing.B) {
			u := newBookUnderTest(b)
			for n := range levels {
				u.decide(bid("o-"+strconv.Itoa(n), 1, int64(n+1)))
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				id := "n-" + strconv.Itoa(n)
				u.decide(bid(id, 1, int64(1+n*7919%levels)))
				u.decide(domain.CancelOrder{OrderID: id})
				u.history = u.history[:0]
			}
		})
	}
}

func BenchmarkOrderBook_Snapshot(b *testing.B) {
	u := newBookUnderTest(b)
	for n := range 10_000 {
		u.decide(bid("o-"+strconv.Itoa(n), 1, int64(1+n%1000)))
	}
	data, err := u.live.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("take", func(b *testing.B) {
		for b.Loop() {
			if _, err := u.live.Snapshot(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(data)), "bytes")
	})
	b.Run("restore", func(b *testing.B) {
		for b.Loop() {
			if _, err := domain.OrderBooks.Behavior().Restore(philips, 1, data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
