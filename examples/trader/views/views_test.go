package views_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/tradertest"
	"github.com/ganglion-go/ganglion/examples/trader/views"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/memory"
	projectionmongo "github.com/ganglion-go/ganglion/projection/mongo"
	"github.com/ganglion-go/ganglion/projection/projectiontest"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/testharness"
)

func TestMain(m *testing.M) { testharness.Main(m) }

const partitions = 4

// shown returns the pages of a world, once they show everything in it.
func shown(t *testing.T, w *tradertest.World) *views.Pages {
	t.Helper()
	stream, storage := projectiontest.NewStream(partitions), memory.New()
	follow(t, stream, storage, w.Commits())
	return views.NewPages(storage)
}

// follow puts commits on the stream, and returns once all views in the storage show them
// and nobody works on these any more.
func follow(t *testing.T, stream *projectiontest.Stream, storage projection.Storage, commits []store.Commit) {
	t.Helper()
	e, err := projection.New(projection.Config{Tick: 20 * time.Millisecond}, storage, stream, partitions, views.All()...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { _ = e.Run(ctx) })
	last := map[actor.Address]actor.Version{}
	for _, c := range commits {
		source, err := actor.ParseAddress(string(c.Aggregate))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range c.Events {
			last[source] = stream.AppendStored(source, e.Name, e.Data).Version
		}
	}
	for _, p := range views.All() {
		v := projection.NewView(storage, p)
		for source, version := range last {
			if !slices.Contains(p.Kinds(), source.Kind) {
				continue
			}
			if err := v.Wait(ctx, projection.Version(source, version)); err != nil {
				t.Fatalf("%s shows no version %d of %s: %v", p.Name(), version, source, err)
			}
		}
	}
}

// TestViews_SameAsAggregates: after random trading with cancels, every page shows what
// the aggregates themselves say.
func TestViews_SameAsAggregates(t *testing.T) {
	t.Parallel()
	seed := testenv.Seed(t)
	random := rand.New(rand.NewPCG(seed, 1))
	w := tradertest.New(t, seed, 0.1)
	const users, books, transactions = 4, 2, 150
	tradertest.Seed(w, users, books)
	w.Must(domain.Users.ID("late"), domain.RegisterUser{Name: "n", Username: tradertest.User(0), PasswordHash: "$2a$10$x"})
	for n := range transactions {
		terms := domain.Terms{
			PortfolioID: tradertest.User(random.IntN(users)), OrderBookID: tradertest.Company(random.IntN(books)),
			Count: 1 + random.Int64N(50), Price: 1 + random.Int64N(10),
		}
		id := domain.Transactions.ID(fmt.Sprintf("tx-%d", n))
		if random.IntN(2) == 0 {
			w.Must(id, domain.StartBuyTransaction{Terms: terms})
		} else {
			w.Must(id, domain.StartSellTransaction{Terms: terms})
		}
		if random.IntN(4) == 0 {
			w.Ask(id, domain.CancelTransaction{})
		}
		w.Deliver(random.IntN(40))
	}
	w.Settle()
	pages := shown(t, w)
	for n := range users {
		checkPortfolio(t, w, pages, tradertest.User(n))
	}
	mine := 0
	for n := range users {
		list, err := pages.Transactions(t.Context(), tradertest.User(n), 0)
		if err != nil {
			t.Fatal(err)
		}
		mine += len(list)
		if !slices.IsSortedFunc(list, func(a, b views.Transaction) int { return b.Started.Compare(a.Started) }) {
			t.Errorf("the transactions of %s are not the youngest first", tradertest.User(n))
		}
		for _, x := range list {
			checkTransaction(t, w, pages, x, tradertest.User(n))
		}
	}
	if mine != transactions {
		t.Errorf("%d transactions are shown", mine)
	}
	for n := range books {
		checkBook(t, w, pages, tradertest.Company(n))
	}
	checkUsers(t, w, pages, users+1)
}

func state[V any](t *testing.T, w *tradertest.World, of actor.Address) (v V) {
	t.Helper()
	if err := json.Unmarshal(w.Show(of).Reply, &v); err != nil {
		t.Fatalf("%s: %v", of, err)
	}
	return v
}

func checkPortfolio(t *testing.T, w *tradertest.World, pages *views.Pages, id string) {
	t.Helper()
	got, found, err := pages.Portfolio(t.Context(), id)
	if err != nil || !found {
		t.Fatalf("portfolio %s: %v, %v", id, found, err)
	}
	want := state[domain.PortfolioView](t, w, domain.Portfolios.ID(id))
	if got.UserID != want.UserID || got.Cash != want.Cash || got.ReservedCash != want.ReservedCash ||
		fmt.Sprint(got.Items) != fmt.Sprint(want.Items) || fmt.Sprint(got.ReservedItems) != fmt.Sprint(want.ReservedItems) {
		t.Errorf("shown is %+v, the portfolio has %+v", got, want)
	}
}

func checkTransaction(t *testing.T, w *tradertest.World, pages *views.Pages, x views.Transaction, owner string) {
	t.Helper()
	want := state[domain.TransactionView](t, w, domain.Transactions.ID(x.ID))
	got := domain.TransactionView{
		Status: x.Status, Side: x.Side, PortfolioID: x.PortfolioID, OrderBookID: x.OrderBookID,
		Count: x.Count, Price: x.Price, Executed: x.Executed, AveragePrice: x.AveragePrice, Reason: x.Reason,
	}
	if diff := cmp.Diff(want, got); diff != "" || x.PortfolioID != owner {
		t.Errorf("transaction %s of %s (-want +shown):\n%s", x.ID, owner, diff)
	}
	if alone, found, err := pages.Transaction(t.Context(), x.ID); err != nil || !found || !cmp.Equal(alone, x) {
		t.Errorf("transaction %s alone: %+v, %v, %v", x.ID, alone, found, err)
	}
}

func checkBook(t *testing.T, w *tradertest.World, pages *views.Pages, id string) {
	t.Helper()
	m, found, err := pages.Market(t.Context(), id, 1000)
	if err != nil || !found {
		t.Fatalf("book %s: %v, %v", id, found, err)
	}
	want := state[domain.OrderBookView](t, w, domain.OrderBooks.ID(id))
	got := domain.OrderBookView{CompanyID: m.CompanyID, LastPrice: m.LastPrice, Trades: m.Trades, Buys: live(m.Bids), Sells: live(m.Asks)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("book %s (-want +shown):\n%s", id, diff)
	}
	if m.Buys != int64(len(want.Buys)) || m.Sells != int64(len(want.Sells)) || int64(len(m.Recent)) != m.Trades || m.Trades == 0 {
		t.Errorf("book %s: %d bids, %d asks, %d of %d trades", id, m.Buys, m.Sells, len(m.Recent), m.Trades)
	}
	if m.Recent[0].Price != m.LastPrice {
		t.Errorf("book %s: the first trade shown is not the last made", id)
	}
	if best, _, err := pages.Market(t.Context(), id, 1); err != nil || len(best.Bids) > 1 || len(best.Recent) != 1 {
		t.Errorf("book %s, the best of it: %+v, %v", id, best, err)
	}
}

func live(orders []views.Order) []domain.LiveOrder {
	all := []domain.LiveOrder{}
	for _, o := range orders {
		all = append(all, domain.LiveOrder{OrderID: o.ID, Price: o.Price, Remaining: o.Remaining, TransactionID: o.TransactionID, PortfolioID: o.PortfolioID})
	}
	return all
}

func checkUsers(t *testing.T, w *tradertest.World, pages *views.Pages, users int) {
	t.Helper()
	list, err := pages.Users(t.Context(), "", 0)
	if err != nil || len(list) != users {
		t.Fatalf("%d users are shown: %v", len(list), err)
	}
	for _, u := range list {
		want := state[domain.UserView](t, w, domain.Users.ID(u.ID))
		if got := (domain.UserView{Name: u.Name, Username: u.Username, Status: u.Status, PortfolioID: u.PortfolioID, Reason: u.Reason}); got != want {
			t.Errorf("user %s is %+v, shown as %+v", u.ID, want, got)
		}
		if data, err := json.Marshal(u); err != nil || strings.Contains(string(data), "$2a$") {
			t.Errorf("the view has a password: %s, %v", data, err)
		}
	}
	companies, err := pages.Companies(t.Context(), "", 1)
	if err != nil || len(companies) != 1 || companies[0].ID != "company-1" || !slices.Equal(companies[0].OrderBooks, []string{"company-1"}) {
		t.Errorf("got %+v, %v", companies, err)
	}
	if c, found, err := pages.Company(t.Context(), "company-2"); err != nil || !found || c.Shares != 10_000 {
		t.Errorf("got %+v, %v, %v", c, found, err)
	}
	if all, err := pages.Books(t.Context(), "company-1", 5); err != nil || len(all) != 1 || all[0].ID != "company-2" {
		t.Errorf("got %+v, %v", all, err)
	}
}

// TestViews_TradesKept: the oldest trades go.
func TestViews_TradesKept(t *testing.T) {
	t.Parallel()
	w := tradertest.New(t, 1, 0)
	book := domain.OrderBooks.ID("b")
	w.Must(book, domain.OpenOrderBook{CompanyID: "c"})
	const trades = views.TradesKept + 10
	w.Must(book, domain.PlaceSellOrder{Placement: domain.Placement{OrderID: "s", TransactionID: "s", PortfolioID: "p", Count: trades + 1, Price: 5}})
	for n := range trades {
		id := fmt.Sprintf("o-%d", n)
		w.Must(book, domain.PlaceBuyOrder{Placement: domain.Placement{OrderID: id, TransactionID: id, PortfolioID: "p", Count: 1, Price: 5}})
	}
	m, _, err := shown(t, w).Market(t.Context(), "b", 2*trades)
	if err != nil || m.Trades != trades || len(m.Recent) != views.TradesKept || len(m.Asks) != 1 || m.Asks[0].Remaining != 1 || len(m.Bids) != 0 {
		t.Errorf("%d trades, %d shown, %d asks, %d bids: %v", m.Trades, len(m.Recent), len(m.Asks), len(m.Bids), err)
	}
	if first, last := m.Recent[0], m.Recent[len(m.Recent)-1]; first.BuyTransactionID != fmt.Sprintf("o-%d", trades-1) || last.BuyTransactionID != "o-10" {
		t.Errorf("shown are %s to %s", last.BuyTransactionID, first.BuyTransactionID)
	}
}

// TestViews_Mongo_TransactionOnce: a transaction that goes on after another engine has
// taken over is one line of the dashboard, not a second one beside what it was. (Dates in
// MongoDB have milliseconds; the events' times are more exact.)
func TestViews_Mongo_TransactionOnce(t *testing.T) {
	t.Parallel()
	storage, err := projectionmongo.Open(testharness.SharedMongo(t, 1).URI(), projectionmongo.Config{Database: testharness.DatabaseName(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = storage.Close(context.Background()) })
	w := tradertest.New(t, 1, 0)
	const users, transactions = 2, 20 // of which one in a thousand starts at a full millisecond
	tradertest.Seed(w, users, 1)
	for n := range transactions {
		w.Must(domain.Transactions.ID(fmt.Sprintf("tx-%d", n)), domain.StartBuyTransaction{Terms: domain.Terms{
			PortfolioID: tradertest.User(0), OrderBookID: tradertest.Company(0), Count: 1, Price: 1,
		}})
	}
	w.Settle()
	stream, begun := projectiontest.NewStream(partitions), len(w.Commits())
	follow(t, stream, storage, w.Commits())
	for n := range transactions {
		w.Must(domain.Transactions.ID(fmt.Sprintf("tx-%d", n)), domain.CancelTransaction{})
	}
	w.Settle()
	follow(t, stream, storage, w.Commits()[begun:])
	list, err := views.NewPages(storage).Transactions(t.Context(), tradertest.User(0), 0)
	if err != nil || len(list) != transactions {
		t.Errorf("%d lines for %d transactions, %v", len(list), transactions, err)
	}
	for _, x := range list {
		if x.Status != domain.StatusCancelled {
			t.Errorf("shown is %+v", x)
		}
	}
}
