package nodetest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/node/nodetest"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/testharness"
)

func TestMain(m *testing.M) { testharness.Main(m) }

// The application: orders that a saga has paid for from wallets, a view, and a page.

type (
	order struct{ Status string }
	place struct {
		actor.Replies[actor.None]
		Wallet string `json:"wallet"`
		Cents  int64  `json:"cents"`
	}
	settle struct {
		actor.Replies[actor.None]
		Status string `json:"status"`
	}
	placed struct {
		Wallet string `json:"wallet"`
		Cents  int64  `json:"cents"`
	}
	settled struct {
		Status string `json:"status"`
	}
)

func (*order) place(ctx *actor.Context, c place) (actor.None, error) {
	ctx.Raise(c.bare())
	return actor.None{}, nil
}
func (c place) bare() placed { return placed{c.Wallet, c.Cents} }

func (*order) settle(ctx *actor.Context, c settle) (actor.None, error) {
	ctx.Raise(settled{c.Status})
	return actor.None{}, nil
}

type (
	wallet struct{ Cents int64 }
	fill   struct {
		actor.Replies[int64]
		Cents int64 `json:"cents"`
	}
	filled struct {
		Cents int64 `json:"cents"`
	}
	pay struct {
		actor.Replies[actor.None]
		Order string `json:"order"`
		Cents int64  `json:"cents"`
	}
	paid struct {
		Order string `json:"order"`
		Cents int64  `json:"cents"`
	}
)

func (w *wallet) fill(ctx *actor.Context, c fill) (int64, error) {
	ctx.Raise(filled{c.Cents})
	return w.Cents, nil
}

func (w *wallet) pay(ctx *actor.Context, c pay) (actor.None, error) {
	if w.Cents < c.Cents {
		return actor.None{}, actor.Reject("empty", "")
	}
	ctx.Raise(paid{c.Order, c.Cents})
	return actor.None{}, nil
}

type payment struct{}

type giveUp struct{ actor.Replies[actor.None] }

func (*payment) placed(ctx *actor.Context, e placed) {
	ctx.Send(wallets.ID(e.Wallet), pay{Order: ctx.Address().ID, Cents: e.Cents})
	ctx.After(time.Hour, giveUp{})
}

func (*payment) paid(ctx *actor.Context, _ paid) {
	ctx.Send(orders.ID(ctx.Address().ID), settle{Status: "paid"})
	ctx.End()
}

func (*payment) giveUp(ctx *actor.Context, _ giveUp) (actor.None, error) {
	ctx.Send(orders.ID(ctx.Address().ID), settle{Status: "given up"})
	ctx.End()
	return actor.None{}, nil
}

var (
	orders = actor.Define("order", func(d *actor.Definition[order]) {
		actor.On(d, (*order).place, actor.NewOnly())
		actor.On(d, (*order).settle)
		actor.Apply(d, func(o *order, _ placed) { o.Status = "placed" })
		actor.Apply(d, func(o *order, e settled) { o.Status = e.Status })
	})
	wallets = actor.Define("wallet", func(d *actor.Definition[wallet]) {
		actor.On(d, (*wallet).fill)
		actor.On(d, (*wallet).pay)
		actor.Apply(d, func(w *wallet, e filled) { w.Cents += e.Cents })
		actor.Apply(d, func(w *wallet, e paid) { w.Cents -= e.Cents })
	})
	payments = actor.DefineSaga("payment", func(d *actor.SagaDefinition[payment]) {
		actor.StartsOn(d, orders, (*payment).placed, func(_ placed, r actor.EventRecord) string { return r.Source.ID })
		actor.Reacts(d, wallets, (*payment).paid, func(e paid, _ actor.EventRecord) string { return e.Order })
		actor.On(d, (*payment).giveUp)
	})
	statuses = projection.Define("statuses", func(d *projection.Definition) {
		d.Collections(projection.NewCollection[string]("orders"))
		projection.On(d, orders, func(_ context.Context, tx *projection.Tx, e projection.Event[placed]) error {
			return tx.Put("orders", e.Source.ID, "placed")
		})
		projection.On(d, orders, func(_ context.Context, tx *projection.Tx, e projection.Event[settled]) error {
			return tx.Put("orders", e.Source.ID, e.Data.Status)
		})
	})
)

func definitions() []actor.Registrable { return []actor.Registrable{orders, wallets, payments} }

// config is the configuration of the application's main.
func config() node.Config {
	return node.Config{
		Name: "production-1", NATSURL: "nats://nats.example.com:4222", HTTPAddr: ":8080", MongoURI: "mongodb://mongo.example.com",
		Projections: []*projection.Projection{statuses},
		Handler: func(n *node.Node, gateway http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/v1/", gateway)
			mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
				status, _, err := projection.Get[string](r.Context(), n.View(statuses), "orders", r.PathValue("id"))
				if err != nil {
					w.WriteHeader(http.StatusInternalServerError)
				}
				_, _ = io.WriteString(w, status)
			})
			return mux
		},
	}
}

func get(t *testing.T, n *nodetest.Node, path string) string {
	t.Helper()
	response, err := n.HTTP().Get(n.URL() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func post(t *testing.T, n *nodetest.Node, path, body string) {
	t.Helper()
	response, err := n.HTTP().Post(n.URL()+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode >= 300 {
		t.Fatalf("%s: %s", path, response.Status)
	}
}

// TestNode_AtRest_IsTheWholeApplication: its own handler, saga and view.
func TestNode_AtRest_IsTheWholeApplication(t *testing.T) {
	t.Parallel()
	began := time.Now()
	n := nodetest.Start(t, config(), definitions()...)
	t.Logf("started after %v", time.Since(began))
	post(t, n, "/v1/wallet/w/fill", `{"cents":10}`)
	for _, id := range []string{"o-1", "o-2"} {
		post(t, n, "/v1/order/"+id+"/place", `{"wallet":"w","cents":7}`)
	}
	began = time.Now()
	n.AtRest()
	t.Logf("at rest after %v", time.Since(began))
	if first, second := get(t, n, "/orders/o-1"), get(t, n, "/orders/o-2"); first+second != "paidplaced" && first+second != "placedpaid" {
		t.Errorf("%s, %s", first, second)
	}
	began = time.Now()
	n.AtRest()
	t.Logf("still at rest after %v", time.Since(began))
	began = time.Now()
	n.Stop()
	t.Logf("stopped after %v", time.Since(began))
}

// TestNode_Restart_RecoversWhatItHadStored: also what was on its way when it was killed.
func TestNode_Restart_RecoversWhatItHadStored(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t, config(), definitions()...)
	url := n.URL()
	for i := range 3 {
		if _, err := actor.Ask(t.Context(), n.Client(), wallets.ID("w"), fill{Cents: 7}); err != nil {
			t.Fatal(err)
		}
		post(t, n, "/v1/order/o-"+string(rune('1'+i))+"/place", `{"wallet":"w","cents":7}`)
		n.Restart()
	}
	n.AtRest()
	for _, id := range []string{"o-1", "o-2", "o-3"} {
		if status := get(t, n, "/orders/"+id); status != "paid" {
			t.Errorf("%s: %s", id, status)
		}
	}
	if n.URL() != url {
		t.Errorf("the node is at %s, and was at %s", n.URL(), url)
	}
}

// TestNode_Join_SharesTheCluster: and one of two is killed.
func TestNode_Join_SharesTheCluster(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.Lease = 2 * time.Second // as busy as machines of tests are, nobody is taken for dead
	n := nodetest.Start(t, cfg, definitions()...)
	other := n.Join()
	post(t, other, "/v1/wallet/w/fill", `{"cents":10}`)
	post(t, n, "/v1/order/o-1/place", `{"wallet":"w","cents":7}`)
	other.AtRest()
	n.WaitView(statuses, orders.ID("o-1"), 2)
	n.Kill()
	if status := get(t, other, "/orders/o-1"); status != "paid" {
		t.Error(status)
	}
	post(t, other, "/v1/order/o-2/place", `{"wallet":"w","cents":3}`)
	if o := nodetest.Await(other, orders.ID("o-2"), func(o actor.Shown[order]) bool { return o.State.Status == "paid" }); o.Version != 2 {
		t.Errorf("%+v", o)
	}
	other.AtRest()
	if status := get(t, other, "/orders/o-2"); status != "paid" {
		t.Error(status)
	}
}
