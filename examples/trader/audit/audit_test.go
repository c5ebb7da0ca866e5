package audit_test

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/reservation"
	"github.com/ganglion-go/ganglion/examples/trader/audit"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/tradertest"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

const book = "company-1"

var (
	buyer, seller     = domain.Portfolios.ID("buyer1"), domain.Portfolios.ID("buyer2")
	orders            = domain.OrderBooks.ID(book)
	buying, selling   = domain.Transactions.ID("b"), domain.Transactions.ID("s")
	resting           = domain.Transactions.ID("r")
	buySaga, sellSaga = domain.Buyings.ID("b"), domain.Sellings.ID("s")
	restingSaga       = domain.Sellings.ID("r")
	ended             = actor.Event{Name: actor.EventEnded, Data: []byte(`{}`)}
	tradedAt          = domain.TradeID(orders, 4)
	ofBuyer, ofSeller = domain.Settlement{TransactionID: "b", TradeID: tradedAt}, domain.Settlement{TransactionID: "s", TradeID: tradedAt}
	name, company     = domain.Usernames.ID("buyer1"), domain.Companies.ID(book)
)

// history is a set of events to be made wrong, by aggregate.
type history struct {
	t         *testing.T
	behaviors map[actor.Kind]*actor.Behavior
	order     []actor.Address
	events    map[actor.Address][]actor.Event
}

// trueHistory is: two users, a company; b has bought 10 at 9 from s, which asked 7,
// and r waits to sell 5 at 12.
func trueHistory(t *testing.T) *history {
	t.Helper()
	w := tradertest.New(t, 1, 0)
	tradertest.Seed(w, 2, 1)
	terms := func(portfolio string, count, price int64) domain.Terms {
		return domain.Terms{PortfolioID: portfolio, OrderBookID: book, Count: count, Price: price}
	}
	w.Must(buying, domain.StartBuyTransaction{Terms: terms("buyer1", 10, 10)})
	w.Settle()
	w.Must(selling, domain.StartSellTransaction{Terms: terms("buyer2", 10, 7)})
	w.Settle()
	w.Must(resting, domain.StartSellTransaction{Terms: terms("buyer2", 5, 12)})
	w.Settle()
	h := &history{t: t, behaviors: map[actor.Kind]*actor.Behavior{}, events: map[actor.Address][]actor.Event{}}
	for _, d := range domain.Definitions() {
		h.behaviors[d.Behavior().Kind()] = d.Behavior()
	}
	for _, c := range w.Commits() {
		source, err := actor.ParseAddress(string(c.Aggregate))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range c.Events {
			h.append(source, actor.Event(e))
		}
	}
	return h
}

func (h *history) append(a actor.Address, e actor.Event) {
	if len(h.events[a]) == 0 {
		h.order = append(h.order, a)
	}
	h.events[a] = append(h.events[a], e)
}

func (h *history) add(a actor.Address, events ...any) {
	h.t.Helper()
	for _, e := range events {
		if stored, ok := e.(actor.Event); ok {
			h.append(a, stored)
			continue
		}
		stored, err := h.behaviors[a.Kind].Encode(e)
		if err != nil {
			h.t.Fatal(err)
		}
		h.append(a, stored)
	}
}

// drop removes the only event of that type and aggregate.
func (h *history) drop(a actor.Address, like any) {
	h.t.Helper()
	h.events[a] = slices.Delete(h.events[a], h.find(a, like), h.find(a, like)+1)
}

// change replaces it.
func (h *history) change(a actor.Address, e any) {
	h.t.Helper()
	h.replace(a, e, e)
}

func (h *history) replace(a actor.Address, like, e any) {
	h.t.Helper()
	stored, err := h.behaviors[a.Kind].Encode(e)
	if err != nil {
		h.t.Fatal(err)
	}
	h.events[a][h.find(a, like)] = stored
}

func (h *history) find(a actor.Address, like any) int {
	h.t.Helper()
	var found []int
	for i, e := range h.events[a] {
		if stored, ok := like.(actor.Event); ok && stored.Name == e.Name {
			found = append(found, i)
			continue
		}
		if actor.Reserved(e.Name) {
			continue
		}
		decoded, err := h.behaviors[a.Kind].Decode(e)
		if err != nil {
			h.t.Fatal(err)
		}
		if reflect.TypeOf(decoded) == reflect.TypeOf(like) {
			found = append(found, i)
		}
	}
	if len(found) != 1 {
		h.t.Fatalf("%d events of %s like %T", len(found), a, like)
	}
	return found[0]
}

func (h *history) commits() []store.Commit {
	var all []store.Commit
	for _, a := range h.order {
		for i, e := range h.events[a] {
			all = append(all, store.Commit{Aggregate: store.Aggregate(a.String()), First: store.Version(i) + 1, Events: []store.Event{store.Event(e)}})
		}
	}
	return all
}

func (h *history) check() []audit.Violation {
	h.t.Helper()
	l := audit.NewLedger()
	for _, c := range h.commits() {
		if err := l.Add(&c); err != nil {
			h.t.Fatal(err)
		}
	}
	return l.Check()
}

func TestCheck_TrueHistory(t *testing.T) {
	t.Parallel()
	h := trueHistory(t)
	if found := h.check(); len(found) != 0 {
		t.Errorf("found %v", found)
	}
	if len(h.events[sellSaga]) == 0 || len(h.events[restingSaga]) == 0 || len(h.events[orders]) < 5 {
		t.Error("the history is not what these tests are about")
	}
}

// TestCheck_Wrong: every rule finds what breaks it, with the aggregate.
func TestCheck_Wrong(t *testing.T) {
	t.Parallel()
	restingOrder := domain.Placement{OrderID: "r", TransactionID: "r", PortfolioID: "buyer2", Count: 5, Price: 12}
	for what, test := range map[string]struct {
		break_    func(h *history)
		invariant audit.Invariant
		aggregate string
		says      string
	}{
		"a deposit doubled by a trade": {func(h *history) { h.add(seller, domain.CashDeposited{Amount: 100, Settlement: ofSeller}) }, audit.Cash, "portfolio/*", "100100 free"},
		"a confirm without a deposit":  {func(h *history) { h.drop(seller, domain.CashDeposited{}) }, audit.Cash, "portfolio/*", "99900 free"},
		"a withdrawal is no loss of others, items are": {
			func(h *history) {
				h.add(buyer, domain.CashWithdrawn{Amount: 1}, domain.ItemsAdded{OrderBookID: book, Count: 10, Settlement: ofBuyer})
			}, audit.Items, "orderbook/company-1", "10005 free and 5 reserved, 10000 were added",
		},
		"items of a sale that stay": {func(h *history) {
			h.change(seller, domain.ItemsConfirmed{TransactionID: "s", OrderBookID: book, Count: 9, TradeID: tradedAt})
		}, audit.Items, "orderbook/company-1", "9995 free and 6 reserved"},
		"a withdrawal unchecked":  {func(h *history) { h.add(seller, domain.CashWithdrawn{Amount: 1000}) }, audit.Negative, "portfolio/buyer2", "cash -900"},
		"items never owned":       {func(h *history) { h.add(buyer, domain.ItemsReserved{TransactionID: "x", OrderBookID: book, Count: 11}) }, audit.Negative, "portfolio/buyer1", "items of company-1 -1"},
		"more released than held": {func(h *history) { h.add(buyer, domain.CashReleased{TransactionID: "b", Amount: 5}) }, audit.Negative, "portfolio/buyer1", "transaction b holds -5"},
		"a cancelled transaction leaves its reservation": {
			func(h *history) {
				h.add(orders, domain.OrderCancelled{OrderID: "r", Remaining: 5})
				h.add(resting, domain.TransactionCancelled{Side: domain.SideSell})
				h.add(restingSaga, ended)
			}, audit.Reservation, "portfolio/buyer2", "5 items for transaction r, which is cancelled",
		},
		"a reservation of nobody":      {func(h *history) { h.add(buyer, domain.CashReserved{TransactionID: "ghost", Amount: 5}) }, audit.Reservation, "portfolio/buyer1", "ghost, which is none"},
		"a live order without":         {func(h *history) { h.add(seller, domain.ItemsReleased{TransactionID: "r", OrderBookID: book, Count: 5}) }, audit.Reservation, "portfolio/buyer2", "needs 0 cash and 5 items, reserved are 0 and 0"},
		"a live order with too little": {func(h *history) { h.add(seller, domain.ItemsReleased{TransactionID: "r", OrderBookID: book, Count: 1}) }, audit.Reservation, "portfolio/buyer2", "reserved are 0 and 4"},
		"a cancelled transaction leaves its order": {
			func(h *history) { h.add(resting, domain.TransactionCancelled{Side: domain.SideSell}) }, audit.Order, "orderbook/company-1", "order r is live for transaction r, which is cancelled",
		},
		"an order that was never confirmed": {func(h *history) { h.drop(resting, domain.TransactionConfirmed{}) }, audit.Order, "orderbook/company-1", "which is started"},
		"an order of no transaction": {
			func(h *history) {
				h.add(orders, domain.SellOrderPlaced{Placement: domain.Placement{OrderID: "z", TransactionID: "z", Count: 1, Price: 99}})
			}, audit.Order, "orderbook/company-1", "which is none",
		},
		"an order that is not the transaction's": {
			func(h *history) {
				h.add(resting, domain.SellTransactionStarted{Terms: domain.Terms{PortfolioID: "buyer2", OrderBookID: book, Count: 6, Price: 12}}, domain.TransactionConfirmed{})
			},
			audit.Order, "orderbook/company-1", "is not what transaction r is about",
		},
		"a second order at a price replaced the first": {func(h *history) { h.add(orders, domain.SellOrderPlaced{Placement: restingOrder}) }, audit.Order, "orderbook/company-1", "placed twice"},
		"more cancelled than there is":                 {func(h *history) { h.add(orders, domain.OrderCancelled{OrderID: "r", Remaining: 6}) }, audit.Order, "orderbook/company-1", "with 6 remaining"},
		"cancelled twice": {
			func(h *history) {
				h.add(orders, domain.OrderCancelled{OrderID: "r", Remaining: 5}, domain.OrderCancelled{OrderID: "r", Remaining: 5})
			}, audit.Order, "orderbook/company-1", "a closed one",
		},
		"a crossed book": {
			func(h *history) {
				h.add(orders, domain.BuyOrderPlaced{Placement: domain.Placement{OrderID: "y", TransactionID: "y", Count: 1, Price: 12}})
			}, audit.Crossed, "orderbook/company-1", "order y bids 12, order r asks 12",
		},
		"a trade of a closed order": {
			func(h *history) {
				h.add(orders, domain.TradeExecuted{Count: 1, Price: 9, BuyOrderID: "b", SellOrderID: "r", BuyTransactionID: "b", SellTransactionID: "r"})
			},
			audit.Trade, "orderbook/company-1", "no live buy order b",
		},
		"a trade beyond a price": {
			func(h *history) {
				h.change(orders, domain.TradeExecuted{Count: 10, Price: 11, BuyOrderID: "b", SellOrderID: "s", BuyTransactionID: "b", SellTransactionID: "s"})
			}, audit.Trade, "orderbook/company-1", "at 11, bid 10, asked 7",
		},
		"a trade of more than there is": {
			func(h *history) {
				h.change(orders, domain.TradeExecuted{Count: 11, Price: 10, BuyOrderID: "b", SellOrderID: "s", BuyTransactionID: "b", SellTransactionID: "s"})
			}, audit.Trade, "orderbook/company-1", "takes 11 of 10",
		},
		"an execution that is missing": {func(h *history) { h.drop(selling, domain.ExecutionRecorded{}) }, audit.Execution, "transaction/s", "executed 0, recorded 0, traded 10"},
		"one twice": {
			func(h *history) {
				h.add(buying, domain.ExecutionRecorded{TradeID: tradedAt, Count: 10, Price: 10, Executed: 20})
			}, audit.Execution, "transaction/b", "executed 20",
		},
		"one of another price": {
			func(h *history) {
				h.change(buying, domain.ExecutionRecorded{TradeID: tradedAt, Count: 10, Price: 8, Executed: 10})
			}, audit.Execution, "transaction/b", "of 10 at 10 is recorded 0 times",
		},
		"one of no trade": {
			func(h *history) {
				h.add(resting, domain.ExecutionRecorded{TradeID: "t", Count: 5, Price: 12, Executed: 5})
			}, audit.Execution, "transaction/r", "recorded trade t",
		},
		"a trade of two buyers": {
			func(h *history) {
				h.replace(selling, domain.SellTransactionStarted{}, domain.BuyTransactionStarted{Terms: domain.Terms{PortfolioID: "buyer2", OrderBookID: book, Count: 10, Price: 7}})
			}, audit.Execution, "orderbook/company-1", "s is no transaction to sell",
		},
		"items of a trade that never came": {func(h *history) { h.dropSettled(buyer, ofBuyer) }, audit.Settlement, "portfolio/buyer1", "received 0"},
		"a difference that was kept": {
			func(h *history) {
				h.change(orders, domain.TradeExecuted{Count: 10, Price: 9, BuyOrderID: "b", SellOrderID: "s", BuyTransactionID: "b", SellTransactionID: "s"})
			}, audit.Settlement, "portfolio/buyer1", "got back 10 in 1",
		},
		"a settlement of no trade": {
			func(h *history) {
				h.add(buyer, domain.CashDeposited{Amount: 1, Settlement: domain.Settlement{TransactionID: "q", TradeID: "t"}})
			}, audit.Settlement, "portfolio/buyer1", "which it did not make",
		},
		"cash spent on nothing": {
			func(h *history) {
				h.add(buyer, domain.CashReserved{TransactionID: "q", Amount: 1}, domain.CashConfirmed{TransactionID: "q", Amount: 1})
			}, audit.Settlement, "portfolio/buyer1", "gave 1 cents",
		},
		"a leaked saga":        {func(h *history) { h.drop(buySaga, ended) }, audit.Saga, "buying/b", "has not ended"},
		"one that ended early": {func(h *history) { h.add(restingSaga, ended) }, audit.Saga, "selling/r", "order r is live"},
		"one that is late": {func(h *history) {
			h.drop(buySaga, ended)
			h.add(buySaga, actor.Event{Name: actor.EventOverdue, Data: []byte(`{}`)})
		}, audit.Saga, "buying/b", "overdue"},
		"one that never began":  {func(h *history) { h.events[buySaga] = nil }, audit.Saga, "transaction/b", "buying/b has never started"},
		"registration unending": {func(h *history) { h.drop(domain.Registrations.ID("buyer1"), ended) }, audit.Saga, "registration/buyer1", "has not ended"},
		"registration unbegun":  {func(h *history) { h.events[domain.Registrations.ID("buyer1")] = nil }, audit.Saga, "user/buyer1", "never started"},
		"a name left claimed": {
			func(h *history) { h.add(domain.Usernames.ID("zoe"), reservation.Claimed{Owner: "nobody"}) }, audit.Username, "username/zoe", "nobody, who is not active",
		},
		"a name that lapsed":   {func(h *history) { h.add(name, reservation.Released{Owner: "buyer1"}) }, audit.Username, "user/buyer1", "not confirmed as its own"},
		"a name not confirmed": {func(h *history) { h.drop(name, reservation.Confirmed{}) }, audit.Username, "user/buyer1", "not confirmed as its own"},
		"a name of two": {
			func(h *history) {
				h.change(domain.Users.ID("buyer2"), domain.UserRegistrationRequested{Name: "n", Username: "BUYER1"})
			}, audit.Username, "user/", "so has",
		},
		"a user without a portfolio": {func(h *history) { h.drop(buyer, domain.PortfolioCreated{}) }, audit.Listing, "user/buyer1", "no portfolio"},
		"a company without its book": {func(h *history) { h.drop(company, domain.OrderBookAdded{}) }, audit.Listing, "company/company-1", "no open order book"},
		"a book not open":            {func(h *history) { h.add(domain.Companies.ID("c-2"), domain.CompanyCreated{Name: "n"}) }, audit.Listing, "company/c-2", "no open order book"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := trueHistory(t)
			test.break_(h)
			found := h.check()
			if !slices.ContainsFunc(found, func(v audit.Violation) bool {
				return v.Invariant == test.invariant && strings.HasPrefix(v.Aggregate, test.aggregate) && strings.Contains(v.Detail, test.says)
			}) {
				t.Errorf("want %s of %s, %q; found %d:", test.invariant, test.aggregate, test.says, len(found))
				for _, v := range found {
					t.Log(v)
				}
			}
		})
	}
}

// dropSettled removes what a trade brought to a portfolio.
func (h *history) dropSettled(a actor.Address, s domain.Settlement) {
	h.t.Helper()
	n := len(h.events[a])
	h.events[a] = slices.DeleteFunc(h.events[a], func(e actor.Event) bool {
		decoded, err := h.behaviors[a.Kind].Decode(e)
		added, ok := decoded.(domain.ItemsAdded)
		return err == nil && ok && added.Settlement == s
	})
	if len(h.events[a]) != n-1 {
		h.t.Fatalf("%d events were removed", n-len(h.events[a]))
	}
}

func TestLedger_Gap(t *testing.T) {
	t.Parallel()
	l := audit.NewLedger()
	commits := trueHistory(t).commits()
	for i, c := range commits {
		if i == 0 {
			continue
		}
		if err := l.Add(&c); err != nil {
			t.Fatal(err)
		}
	}
	if found := l.Check(); len(found) == 0 || !slices.ContainsFunc(found, func(v audit.Violation) bool { return v.Invariant == audit.History }) {
		t.Errorf("found %v", found)
	}
}

func TestLedger_Undecodable(t *testing.T) {
	t.Parallel()
	c := store.Commit{Aggregate: "portfolio/p", First: 1, Events: []store.Event{{Name: "unheard.v1", Data: []byte(`{}`)}}}
	if err := audit.NewLedger().Add(&c); !errors.Is(err, actor.ErrUndecodable) {
		t.Errorf("got %v", err)
	}
	other := store.Commit{Aggregate: "account/a", First: 1, Events: []store.Event{{Name: "unheard.v1", Data: []byte(`{}`)}}}
	if err := audit.NewLedger().Add(&other); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	s := memory.New()
	h := trueHistory(t)
	commits := h.commits()
	for _, c := range commits { // one at a time: there are several of an aggregate
		if errs := s.Append(t.Context(), []store.Commit{c}); errs[0] != nil {
			t.Fatal(errs[0])
		}
	}
	reported := 0
	l, err := audit.Read(t.Context(), s, 200*time.Millisecond, func(*store.Commit) { reported++ })
	if err != nil || l.Commits != len(commits) || reported != l.Commits || len(l.Check()) != 0 {
		t.Errorf("%d of %d commits, %d reported, %v: %v", l.Commits, len(commits), reported, err, l.Check())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := audit.Read(ctx, s, time.Hour, nil); !errors.Is(err, audit.ErrBusy) {
		t.Errorf("got %v", err)
	}
}

// damagedFeed is a feed of which one commit cannot be read.
type damagedFeed struct {
	store.Feed
	at int
}

func (f damagedFeed) Follow(ctx context.Context, after store.Token) iter.Seq2[store.FeedItem, error] {
	return func(yield func(store.FeedItem, error) bool) {
		n := 0
		for item, err := range f.Feed.Follow(ctx, after) {
			if n++; n == f.at && err == nil {
				c := item.Commit
				item = store.FeedItem{Commit: store.Commit{Aggregate: c.Aggregate, First: c.First}, Last: c.Last(), Token: item.Token, Unreadable: store.ErrCorrupt}
			}
			if !yield(item, err) {
				return
			}
		}
	}
}

// TestRead_Unreadable: a commit that cannot be read is a violation that says where it is, and
// all others are read.
func TestRead_Unreadable(t *testing.T) {
	t.Parallel()
	s := memory.New()
	commits := trueHistory(t).commits()
	for _, c := range commits {
		if errs := s.Append(t.Context(), []store.Commit{c}); errs[0] != nil {
			t.Fatal(errs[0])
		}
	}
	l, err := audit.Read(t.Context(), damagedFeed{s, 3}, 200*time.Millisecond, nil)
	if err != nil || l.Commits != len(commits)-1 {
		t.Fatalf("%d of %d commits, %v", l.Commits, len(commits), err)
	}
	var history []string
	for _, v := range l.Check() {
		if v.Invariant == audit.History {
			history = append(history, v.String())
		}
	}
	if len(history) != 1 || !strings.Contains(history[0], string(commits[2].Aggregate)) || !strings.Contains(history[0], "cannot be read") {
		t.Errorf("found %q", history)
	}
}
