package load_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/load"
)

func configFor(n *fakeNode) load.Config {
	return load.Config{
		URL: n.URL, Users: 6, Books: 3, Clients: 8, Duration: 300 * time.Millisecond, CancelShare: 0.3,
		Lane: load.LaneDurable, Seed: 1, PasswordHash: "$2a$10$x", RequestTimeout: 5 * time.Second, ResolveWithin: 20 * time.Second,
	}
}

type bench struct {
	cfg      load.Config
	recorder *load.Recorder
	client   *load.Client
	driver   *load.Driver
}

func setup(t *testing.T, cfg load.Config) *bench {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	b := &bench{cfg: cfg, recorder: load.NewRecorder()}
	b.client = load.NewClient(cfg, b.recorder)
	t.Cleanup(b.client.Close)
	b.driver = load.NewDriver(cfg, b.client, b.recorder, time.Now())
	return b
}

func (b *bench) seed(t *testing.T) {
	t.Helper()
	last := 0
	if err := load.Seed(t.Context(), b.client, b.recorder, b.cfg, func(done, of int) {
		if done != last+1 || of != b.cfg.Users+b.cfg.Books {
			t.Errorf("progress %d of %d after %d", done, of, last)
		}
		last = done
	}); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) balance(t *testing.T) load.Balance {
	t.Helper()
	balance, err := b.driver.Balance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return balance
}

func (b *bench) report(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	if err := b.recorder.WriteReport(&out, time.Second); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestSeed_TwiceGivesNobodyAnythingTwice(t *testing.T) {
	t.Parallel()
	n := newFakeNode(t, 0.2)
	b := setup(t, configFor(n))
	b.seed(t)
	first := b.balance(t)
	if first.Cash != 3*100_000 || len(first.Items) != 3 || first.Items["book-1"] != 3*10_000 {
		t.Errorf("got %+v", first)
	}
	b.seed(t)
	b.driver.Compare(first, b.balance(t))
	if b.recorder.Wrong() != 0 {
		t.Error(b.report(t))
	}
	var c domain.CompanyView
	if err := b.client.State(t.Context(), domain.Companies.ID("company-3"), &c); err != nil || c.Name != "BP" || c.Value != 15000 ||
		c.Shares != 100000 || len(c.OrderBooks) != 1 || c.OrderBooks[0] != "book-3" {
		t.Errorf("got %+v, %v", c, err)
	}
	var u domain.UserView
	if err := b.client.State(t.Context(), domain.Users.ID("buyer6"), &u); err != nil || u.Status != domain.UserActive || u.PortfolioID != "buyer6" {
		t.Errorf("got %+v, %v", u, err)
	}
}

// Whatever happens to answers, every command takes effect once, and no request
// is made that the load has not counted.
func TestDriver_Run(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]float64{"no faults": 0, "faults": 0.15} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newFakeNode(t, faults)
			b := setup(t, configFor(n))
			b.seed(t)
			before := b.balance(t)
			b.driver.Run(t.Context(), nil)
			b.driver.Verify(t.Context(), before)
			if b.recorder.Wrong() != 0 || b.recorder.Transactions() == 0 {
				t.Error(b.report(t))
			}
			if made, came := b.recorder.Attempts(), n.requests.Load(); made != came {
				t.Errorf("%d requests were counted, %d came", made, came)
			}
			if _, ok := n.lanes.Load(load.LaneDurable); !ok {
				t.Error("no command named its lane")
			}
			checkInvariants(t, n)
			if report := b.report(t); faults > 0 && (!strings.Contains(report, "504 outcome_unknown") || !strings.Contains(report, "transport error")) {
				t.Errorf("the faults are not reported:\n%s", report)
			}
		})
	}
}

// checkInvariants looks at everything that the node holds at rest: what each
// transaction executed is the sum of its trades, and every reservation belongs
// to a live order.
func checkInvariants(t *testing.T, n *fakeNode) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	traded, live, cancelled := map[string]int64{}, map[string]int64{}, 0
	for to, a := range n.aggregates {
		if to.Kind != "orderbook" {
			continue
		}
		for _, e := range a.events {
			if e.Type == "orderCancelled.v1" {
				cancelled++
			}
			if e.Type != "tradeExecuted.v1" {
				continue
			}
			var trade domain.TradeExecuted
			if err := json.Unmarshal(e.Data, &trade); err != nil {
				t.Fatal(err)
			}
			traded[trade.BuyTransactionID] += trade.Count
			traded[trade.SellTransactionID] += trade.Count
		}
		var book domain.OrderBookView
		shown(t, a, &book)
		for _, o := range append(book.Buys, book.Sells...) {
			live[o.TransactionID] = o.Remaining
		}
	}
	if len(traded) == 0 || cancelled == 0 {
		t.Errorf("%d transactions traded, %d orders were cancelled: nothing was tested", len(traded), cancelled)
	}
	for to, a := range n.aggregates {
		switch to.Kind {
		case "transaction":
			var tx domain.TransactionView
			shown(t, a, &tx)
			if tx.Executed != traded[to.ID] {
				t.Errorf("%s executed %d, its trades are of %d", to, tx.Executed, traded[to.ID])
			}
		case "portfolio":
			var p domain.PortfolioView
			shown(t, a, &p)
			for tx, r := range p.Reservations {
				if live[tx] == 0 || r.Items > 0 && r.Items != live[tx] {
					t.Errorf("%s holds %+v for %s, whose order has %d", to, r, tx, live[tx])
				}
			}
		}
	}
}

func shown(t *testing.T, a *aggregate, into any) {
	t.Helper()
	data, err := a.instance.Snapshot()
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestDriver_Run_Rate(t *testing.T) {
	t.Parallel()
	n := newFakeNode(t, 0)
	cfg := configFor(n)
	cfg.Rate, cfg.Duration, cfg.Lane = 50, 400*time.Millisecond, load.LaneDirect
	b := setup(t, cfg)
	b.seed(t)
	b.driver.Run(t.Context(), nil)
	if got := b.recorder.Transactions(); got < 1 || got > 21 {
		t.Errorf("%d transactions in 0.4 s at 50 a second", got)
	}
	if _, ok := n.lanes.Load(load.LaneDirect); !ok {
		t.Error("no command named its lane")
	}
}

func TestDriver_Run_Stops(t *testing.T) {
	t.Parallel()
	n := newFakeNode(t, 0)
	cfg := configFor(n)
	cfg.Duration = time.Hour
	b := setup(t, cfg)
	b.seed(t)
	stop := make(chan struct{})
	close(stop)
	before := b.balance(t)
	b.driver.Run(t.Context(), stop)
	b.driver.Verify(t.Context(), before)
	if b.recorder.Wrong() != 0 {
		t.Error(b.report(t))
	}
}

// Every kind of wrong answer is found.
func TestDriver_FindsWrongAnswers(t *testing.T) {
	t.Parallel()
	on := func(suffix string, answer func(w http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, suffix) {
				return false
			}
			answer(w)
			return true
		}
	}
	write := func(body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { _, _ = w.Write([]byte(body)) }
	}
	refuse := func(status int, code string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { problem(w, status, code) }
	}
	tests := map[string]struct {
		intercept func(http.ResponseWriter, *http.Request) bool
		want      string
	}{
		"500":                {on("/ConfirmTransaction", refuse(http.StatusInternalServerError, "parked")), "500 parked"},
		"500 without a body": {on("/ConfirmTransaction", func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }), "no problem document"},
		"unexpected refusal": {on("/ConfirmTransaction", refuse(http.StatusUnprocessableEntity, "insufficient_cash")), "422 insufficient_cash"},
		"conflict":           {on("/PlaceBuyOrder", refuse(http.StatusConflict, "does_not_exist")), "409 does_not_exist"},
		"not JSON":           {on("/ReserveCash", write("fine")), "answer"},
		"another reply":      {on("/PlaceBuyOrder", write(`{"version":2,"reply":"all"}`)), "reply"},
		"trades that no event tells": {
			on("/PlaceBuyOrder", write(`{"version":1,"reply":{"executed":1,"remaining":0}}`)), "the history of",
		},
		"never known": {on("/ReserveCash", refuse(http.StatusGatewayTimeout, "outcome_unknown")), "stayed unknown"},
		"no read":     {on("/v1/portfolio/buyer1", refuse(http.StatusNotFound, "does_not_exist")), "read portfolio/buyer1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newFakeNode(t, 0)
			cfg := configFor(n)
			cfg.Clients, cfg.ResolveWithin, cfg.Users, cfg.Books = 1, 200*time.Millisecond, 2, 1
			b := setup(t, cfg)
			b.seed(t)
			n.mu.Lock()
			n.intercept = test.intercept
			n.mu.Unlock()
			b.driver.Run(t.Context(), nil)
			if report := b.report(t); b.recorder.Wrong() == 0 || !strings.Contains(report, test.want) {
				t.Errorf("no wrong answer with %q:\n%s", test.want, report)
			}
		})
	}
}

func TestDriver_Compare(t *testing.T) {
	t.Parallel()
	b := setup(t, configFor(newFakeNode(t, 0)))
	b.driver.Compare(load.Balance{Cash: 1, Items: map[string]int64{"b": 1}}, load.Balance{Cash: 1, Items: map[string]int64{"b": 1}})
	if b.recorder.Wrong() != 0 {
		t.Error(b.report(t))
	}
	b.driver.Compare(load.Balance{Cash: 1}, load.Balance{Cash: 2})
	b.driver.Compare(load.Balance{}, load.Balance{Items: map[string]int64{"b": 1}})
	if b.recorder.Wrong() != 2 {
		t.Error(b.report(t))
	}
}

func TestClient_Command_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	n := newFakeNode(t, 0)
	n.intercept = func(w http.ResponseWriter, _ *http.Request) bool {
		problem(w, http.StatusGatewayTimeout, "outcome_unknown")
		return true
	}
	b := setup(t, configFor(n))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := b.client.Command(ctx, domain.Portfolios.ID("p/1 ü"), "k", "DepositCash", domain.DepositCash{Amount: 1})
	if !errors.Is(err, context.DeadlineExceeded) || n.requests.Load() < 2 || n.requests.Load() != b.recorder.Attempts() {
		t.Errorf("got %v after %d requests, %d counted", err, n.requests.Load(), b.recorder.Attempts())
	}
}

func TestConfig_Validate(t *testing.T) {
	t.Parallel()
	valid := configFor(&fakeNode{Server: newFakeNode(t, 0).Server})
	if err := valid.Validate(); err != nil {
		t.Error(err)
	}
	bad := load.Config{URL: "localhost:8080", Users: 1, Rate: -1, CancelShare: 2, Lane: "fast"}
	err := bad.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range []string{"url", "users", "books", "clients", "rate", "duration", "cancel share", "lane", "request timeout", "time to resolve"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not reported: %v", name, err)
		}
	}
	for _, target := range []string{"", "http://", "ftp://x", "http://x/v1", "http://x?a=b", "http://\x7f"} {
		c := valid
		c.URL = target
		if c.Validate() == nil {
			t.Errorf("url %q is accepted", target)
		}
	}
}
