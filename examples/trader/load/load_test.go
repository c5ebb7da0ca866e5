package load_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/audit"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/load"
)

func configFor(n *fakeNode) load.Config {
	return load.Config{
		URLs: []string{n.URL}, Users: 6, Books: 3, Clients: 8, Duration: 300 * time.Millisecond, CancelShare: 0.3,
		Lane: load.LaneDurable, Seed: 1, PasswordHash: "$2a$10$x", RequestTimeout: 5 * time.Second, ResolveWithin: 20 * time.Second,
		SettleWithin: 20 * time.Second,
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

func (b *bench) settle(t *testing.T) {
	t.Helper()
	if _, err := b.driver.Settle(t.Context()); err != nil {
		t.Errorf("%v\n%s", err, b.report(t))
	}
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
	if first.Cash != 3*100_000 || len(first.Items) != 3 || first.Items["company-1"] != 3*10_000 {
		t.Errorf("got %+v", first)
	}
	b.seed(t)
	b.driver.Compare(first, b.balance(t))
	if b.recorder.Wrong() != 0 {
		t.Error(b.report(t))
	}
	var c domain.CompanyView
	if err := b.client.State(t.Context(), domain.Companies.ID("company-3"), &c); err != nil || c.Name != "BP" || c.Value != 15000 ||
		c.Shares != 100000 || len(c.OrderBooks) != 1 || c.OrderBooks[0] != "company-3" {
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
			b.settle(t)
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

// checkInvariants audits what the node holds: the load said that it is at rest.
func checkInvariants(t *testing.T, n *fakeNode) {
	t.Helper()
	if left := n.world.Deliver(0); left > 0 {
		t.Errorf("%d commands were on their way when everything was said to be at rest", left)
	}
	l := audit.NewLedger()
	events := map[string]int{}
	for _, c := range n.world.Commits() {
		if err := l.Add(&c); err != nil {
			t.Fatal(err)
		}
		for _, e := range c.Events {
			events[e.Name]++
		}
	}
	for _, v := range l.Check() {
		t.Error(v)
	}
	if events["tradeExecuted.v1"] == 0 || events["orderCancelled.v1"] == 0 {
		t.Errorf("%d trades, %d orders were cancelled: nothing was tested", events["tradeExecuted.v1"], events["orderCancelled.v1"])
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
	b.settle(t)
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
		"500":                {on("/StartBuyTransaction", refuse(http.StatusInternalServerError, "parked")), "500 parked"},
		"500 without a body": {on("/StartBuyTransaction", func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }), "no problem document"},
		"unexpected refusal": {on("/CancelTransaction", refuse(http.StatusUnprocessableEntity, "insufficient_cash")), "422 insufficient_cash"},
		"conflict":           {on("/StartBuyTransaction", refuse(http.StatusConflict, "already_exists")), "409 already_exists"},
		"not JSON":           {on("/StartSellTransaction", write("fine")), "answer"},
		"never known":        {on("/StartBuyTransaction", refuse(http.StatusGatewayTimeout, "outcome_unknown")), "stayed unknown"},
		"no read":            {on("/v1/portfolio/buyer1", refuse(http.StatusNotFound, "does_not_exist")), "read portfolio/buyer1"},
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

// TestDriver_Settle_FindsWhatDoesNot: a saga that stays on its way, and an order of
// which the book has something else than its saga believes.
func TestDriver_Settle_FindsWhatDoesNot(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"settling": `{"version":9,"state":{"phase":"settling","count":5,"unsettled":1}}`,
		"stuck":    `{"version":9,"state":{"phase":"stuck","count":5}}`,
		"another":  `{"version":9,"state":{"phase":"live","count":5,"executed":2}}`,
		"moving":   `{"version":9,"state":{"phase":"live","count":5,"executed":5,"unsettled":1}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newFakeNode(t, 0)
			cfg := configFor(n)
			cfg.Clients, cfg.SettleWithin, cfg.CancelShare = 1, 300*time.Millisecond, 0
			b := setup(t, cfg)
			b.seed(t)
			b.driver.Run(t.Context(), nil)
			n.mu.Lock()
			n.intercept = func(w http.ResponseWriter, r *http.Request) bool {
				switch { // nothing but the buying sagas is at fault
				case strings.HasPrefix(r.URL.Path, "/v1/buying/"):
					_, _ = w.Write([]byte(body))
				case strings.HasPrefix(r.URL.Path, "/v1/selling/"):
					_, _ = w.Write([]byte(`{"version":9,"state":{"phase":"closed"}}`))
				case strings.HasPrefix(r.URL.Path, "/v1/orderbook/"):
					_, _ = w.Write([]byte(`{"version":9,"state":{"buys":[],"sells":[]}}`))
				default:
					return false
				}
				return true
			}
			n.mu.Unlock()
			if _, err := b.driver.Settle(t.Context()); err == nil || b.recorder.Wrong() == 0 || !strings.Contains(b.report(t), "has not come to rest") {
				t.Errorf("%v\n%s", err, b.report(t))
			}
		})
	}
}

// TestDriver_Settle_WaitsForWhatMoves: a cluster that is slow comes to rest after three
// times the configured time, within which something has always moved.
func TestDriver_Settle_WaitsForWhatMoves(t *testing.T) {
	t.Parallel()
	n := newFakeNode(t, 0)
	cfg := configFor(n)
	cfg.Clients, cfg.SettleWithin, cfg.CancelShare = 1, time.Second, 0
	b := setup(t, cfg)
	b.seed(t)
	b.driver.Run(t.Context(), nil)
	slow := time.Now().Add(3 * cfg.SettleWithin)
	var count atomic.Int64
	n.mu.Lock()
	n.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		switch reads := count.Add(1); {
		case strings.HasPrefix(r.URL.Path, "/v1/orderbook/"):
			_, _ = w.Write([]byte(`{"version":9,"state":{"buys":[],"sells":[]}}`))
		case time.Now().After(slow):
			_, _ = w.Write([]byte(`{"version":9,"state":{"phase":"closed"}}`))
		default:
			_, _ = fmt.Fprintf(w, `{"version":%d,"state":{"phase":"settling","executed":%d,"unsettled":1}}`, reads, reads)
		}
		return true
	}
	n.mu.Unlock()
	if _, err := b.driver.Settle(t.Context()); err != nil || b.recorder.Wrong() != 0 {
		t.Errorf("%v\n%s", err, b.report(t))
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

// Of three nodes one is gone and one accepts requests and is silent, as a paused one:
// everything is done at the third, and nothing twice.
func TestClient_NodesAreAway(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	var unheard atomic.Int64
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		unheard.Add(1)
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not see that the client goes
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	cfg := configFor(newFakeNode(t, 0))
	cfg.URLs, cfg.RequestTimeout = append(cfg.URLs, gone.URL, silent.URL), 100*time.Millisecond
	b := setup(t, cfg)
	b.seed(t)
	before := b.balance(t)
	b.driver.Run(t.Context(), nil)
	b.settle(t)
	b.driver.Verify(t.Context(), before)
	if b.recorder.Wrong() > 0 || b.recorder.Transactions() == 0 || unheard.Load() == 0 {
		t.Errorf("%d requests were not heard\n%s", unheard.Load(), b.report(t))
	}
}

func TestConfig_Validate(t *testing.T) {
	t.Parallel()
	valid := configFor(&fakeNode{Server: newFakeNode(t, 0).Server})
	if err := valid.Validate(); err != nil {
		t.Error(err)
	}
	bad := load.Config{URLs: []string{"localhost:8080"}, Users: 1, Rate: -1, CancelShare: 2, Lane: "fast"}
	err := bad.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range []string{"url", "users", "books", "clients", "rate", "duration", "cancel share", "lane", "request timeout", "time to resolve", "time to settle"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not reported: %v", name, err)
		}
	}
	for _, target := range []string{"", "http://", "ftp://x", "http://x/v1", "http://x?a=b", "http://\x7f"} {
		c := valid
		c.URLs = []string{valid.URLs[0], target}
		if c.Validate() == nil {
			t.Errorf("url %q is accepted", target)
		}
	}
	valid.URLs = nil
	if valid.Validate() == nil {
		t.Error("no url is accepted")
	}
}
