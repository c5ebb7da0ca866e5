package tradertest_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/audit"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/tradertest"
	"github.com/ganglion-go/ganglion/internal/testenv"
)

// TestWorld_AnyOrder is section 6 of the specification under every order in which a
// network may bring things: random trading with cancels, also of what has not been
// reserved yet, and whatever is in the way comes twice and overtakes everything but
// its own predecessors. GANGLION_ORDERS sets how many orders are tried.
func TestWorld_AnyOrder(t *testing.T) {
	t.Parallel()
	seed := testenv.Seed(t)
	for run := range uint64(testenv.Times(t, "GANGLION_ORDERS", 12)) { //nolint:gosec // not negative
		random := rand.New(rand.NewPCG(seed, run))
		w := tradertest.New(t, seed+run, 0.2)
		const users, books = 4, 2
		tradertest.Seed(w, users, books)
		for n := range 120 {
			trade(w, random, n, users, books)
			w.Deliver(random.IntN(30))
		}
		w.Settle()
		check(t, w, run)
		if t.Failed() {
			t.Fatalf("seed %d, run %d", seed, run)
		}
	}
}

func check(t *testing.T, w *tradertest.World, run uint64) {
	t.Helper()
	l := audit.NewLedger()
	trades := 0
	for _, c := range w.Commits() {
		if err := l.Add(&c); err != nil {
			t.Fatal(err)
		}
		for _, e := range c.Events {
			if e.Name == "tradeExecuted.v1" {
				trades++
			}
		}
	}
	for _, v := range l.Check() {
		t.Errorf("run %d: %s", run, v)
	}
	if trades < 10 {
		t.Errorf("run %d: only %d trades", run, trades)
	}
	w.Advance(24 * time.Hour)
	for _, c := range w.Commits() {
		for _, e := range c.Events {
			if e.Name == actor.EventOverdue {
				t.Errorf("run %d: %s is overdue, and all is settled", run, c.Aggregate)
			}
		}
	}
}

// trade starts a transaction, and now and then cancels one, whatever it has come to.
func trade(w *tradertest.World, random *rand.Rand, n, users, books int) {
	id := fmt.Sprintf("tx-%d", n)
	terms := domain.Terms{
		PortfolioID: tradertest.User(random.IntN(users)), OrderBookID: tradertest.Company(random.IntN(books)),
		Count: 1 + random.Int64N(50), Price: 1 + random.Int64N(10),
	}
	if random.IntN(20) == 0 {
		terms.OrderBookID = "nobody's"
	}
	if random.IntN(10) == 0 {
		terms.Count = 1_000_000 // nobody has that
	}
	if random.IntN(2) == 0 {
		w.Must(domain.Transactions.ID(id), domain.StartBuyTransaction{Terms: terms})
	} else {
		w.Must(domain.Transactions.ID(id), domain.StartSellTransaction{Terms: terms})
	}
	if random.IntN(3) == 0 {
		w.Ask(domain.Transactions.ID(fmt.Sprintf("tx-%d", max(0, n-random.IntN(10)))), domain.CancelTransaction{})
	}
}

// TestWorld_Trade: a buy and a sell that meet, with the numbers.
func TestWorld_Trade(t *testing.T) {
	t.Parallel()
	w := tradertest.New(t, 1, 0)
	tradertest.Seed(w, 2, 1)
	buyer, seller, book := tradertest.User(0), tradertest.User(1), tradertest.Company(0)
	w.Must(domain.Transactions.ID("b"), domain.StartBuyTransaction{Terms: domain.Terms{PortfolioID: buyer, OrderBookID: book, Count: 10, Price: 9}})
	w.Settle()
	w.Must(domain.Transactions.ID("s"), domain.StartSellTransaction{Terms: domain.Terms{PortfolioID: seller, OrderBookID: book, Count: 4, Price: 7}})
	w.Settle()
	p := shown[domain.PortfolioView](t, w, domain.Portfolios.ID(buyer))
	if p.Cash != tradertest.Cash-90 || p.ReservedCash != 54 || p.Items[book] != 4 {
		t.Errorf("the buyer has %+v", p)
	}
	p = shown[domain.PortfolioView](t, w, domain.Portfolios.ID(seller))
	if p.Cash != 36 || p.Items[book] != tradertest.Items-4 || len(p.ReservedItems) != 0 {
		t.Errorf("the seller has %+v", p)
	}
	w.Must(domain.Transactions.ID("b"), domain.CancelTransaction{})
	w.Settle()
	if p = shown[domain.PortfolioView](t, w, domain.Portfolios.ID(buyer)); p.Cash != tradertest.Cash-36 || p.ReservedCash != 0 || len(p.Reservations) != 0 {
		t.Errorf("after the cancel, the buyer has %+v", p)
	}
	if b := shown[domain.OrderBookView](t, w, domain.OrderBooks.ID(book)); len(b.Buys)+len(b.Sells) != 0 {
		t.Errorf("the book has %+v", b)
	}
	if x := shown[domain.TransactionView](t, w, domain.Transactions.ID("b")); x.Status != domain.StatusCancelled || x.Executed != 4 || x.AveragePrice != 9 {
		t.Errorf("the transaction is %+v", x)
	}
}

// TestWorld_Registrations: of many who want one name, one gets it, and what is left
// claimed is nobody's.
func TestWorld_Registrations(t *testing.T) {
	t.Parallel()
	seed := testenv.Seed(t)
	for run := range uint64(100) {
		w := tradertest.New(t, seed+run, 0.3)
		for i, name := range []string{"Ann", "ann", "ＡＮＮ"} {
			w.Must(domain.Users.ID(fmt.Sprintf("u-%d", i)), domain.RegisterUser{Name: "n", Username: name, PasswordHash: "$2a$10$x"})
		}
		w.Settle()
		active := 0
		for i := range 3 {
			u := shown[domain.UserView](t, w, domain.Users.ID(fmt.Sprintf("u-%d", i)))
			switch {
			case u.Status == domain.UserActive:
				active++
				shown[domain.PortfolioView](t, w, domain.Portfolios.ID(u.PortfolioID))
			case u.Status != domain.UserRejected || u.Reason != domain.ErrUsernameTaken.Code:
				t.Errorf("seed %d: %+v", seed+run, u)
			}
		}
		if active != 1 {
			t.Errorf("seed %d: %d have the name", seed+run, active)
		}
		l := audit.NewLedger()
		for _, c := range w.Commits() {
			if err := l.Add(&c); err != nil {
				t.Fatal(err)
			}
		}
		if v := l.Check(); len(v) > 0 {
			t.Errorf("seed %d: %v", seed+run, v)
		}
	}
}

func shown[V any](t *testing.T, w *tradertest.World, of actor.Address) (v V) {
	t.Helper()
	o := w.Show(of)
	if o.Code != actor.CodeOK {
		t.Fatalf("%s: %v", of, o.Err())
	}
	if err := json.Unmarshal(o.Reply, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
