package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/views"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/projection"
	projectionjetstream "github.com/ganglion-go/ganglion/projection/jetstream"
	projectionmongo "github.com/ganglion-go/ganglion/projection/mongo"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

const (
	mongods       = 3
	tradingWithin = time.Minute // after a fault
	overdueTold   = 3           // sagas
)

// TestCluster_Faults: two nodes trade, with cancels, while one or the other is killed,
// ended or paused, the one with the relay among them. Once everything is at rest, the
// audit finds nothing, the event stream is the store's history, and the views show what
// the aggregates say. GANGLION_FAULTS sets how many faults there are.
func TestCluster_Faults(t *testing.T) { //nolint:tparallel // one cluster at a time
	t.Parallel()
	binary := nodes.Build(t, "../../cmd/node")
	for _, kind := range []string{"jetstream", "mongo"} {
		t.Run(kind, func(t *testing.T) {
			seed := testenv.Seed(t)
			c := startCluster(t, binary, kind == "mongo")
			flags := []string{"--url", c.nodes[0].URL(), "--duration", "10m", "--clients", "4", "--rate", "12", "--cancel-share", "0.3", "--seed", fmt.Sprint(seed % 1000)}
			load := parse(t, append(flags, "--resolve-within", "2m", "--settle-within", "2m")...)
			var report strings.Builder
			ended, stop := make(chan error, 1), make(chan struct{})
			go func() { ended <- load.run(t.Context(), stop, &report, silent) }()
			testharness.Eventually(t, time.Minute, func() bool { return tradesAt(t, c.nodes[0].URL()) > 0 })
			random := rand.New(rand.NewPCG(seed, 0))
			for range testenv.Times(t, "GANGLION_FAULTS", 1) {
				c.hurt(random)
			}
			t.Logf("%v: no more is started", time.Since(c.began))
			close(stop)
			if err := <-ended; err != nil {
				t.Errorf("%v\n%s\n%s\n%s", err, report.String(), c.nodes[0].Log(), c.nodes[1].Log())
			}
			t.Logf("%v:\n%s", time.Since(c.began), report.String())
			c.check()
		})
	}
}

// cluster is two nodes of the application on one NATS server.
type cluster struct {
	t        *testing.T
	server   *testharness.NATSServer
	uri      string // of MongoDB; empty: the store is JetStream
	database string
	nodes    []*nodes.Process
	began    time.Time
}

func startCluster(t *testing.T, binary string, mongo bool) *cluster {
	t.Helper()
	c := &cluster{t: t, began: time.Now(), server: testharness.NATS(t, testharness.WithListener())}
	flags := []string{"--nats-url", c.server.URL(), "--lease", "1s"}
	if mongo {
		c.uri, c.database = testharness.SharedMongo(t, mongods).URI(), testharness.DatabaseName(t)
		flags = append(flags, "--mongo-uri", c.uri, "--mongo-database", c.database)
	}
	for _, name := range []string{"one", "two"} {
		c.nodes = append(c.nodes, nodes.Spawn(t, binary, nil, append(flags, "--name", name)...))
	}
	return c
}

// hurt does something to a node, and waits until trading goes on.
func (c *cluster) hurt(random *rand.Rand) {
	c.t.Helper()
	n := random.IntN(len(c.nodes))
	away := time.Duration(random.Int64N(int64(2 * time.Second)))
	victim := c.nodes[n]
	switch how := random.IntN(3); how {
	case 0:
		c.t.Logf("%v: node %d is killed, and back after %v", time.Since(c.began), n, away)
		victim.Kill()
		pause(c.t, away)
		victim.Start(c.t)
	case 1:
		c.t.Logf("%v: node %d is ended, and back after %v", time.Since(c.began), n, away)
		victim.Terminate(c.t)
		pause(c.t, away)
		victim.Start(c.t)
	default:
		away += 2 * time.Second // it is declared dead, and does not know it
		c.t.Logf("%v: node %d is paused for %v", time.Since(c.began), n, away)
		if err := victim.Pause(); err != nil {
			c.t.Fatal(err)
		}
		pause(c.t, away)
		if err := victim.Resume(); err != nil {
			c.t.Fatal(err)
		}
	}
	url := c.nodes[0].URL()
	var before int64
	testharness.Eventually(c.t, time.Minute, func() bool { before = tradesAt(c.t, url); return before > 0 })
	moved := time.After(tradingWithin)
	for tradesAt(c.t, url) <= before+5 {
		select {
		case <-moved:
			c.stalled()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stalled ends the test with all that the nodes say.
func (c *cluster) stalled() {
	c.t.Helper()
	for _, n := range c.nodes {
		for _, page := range []string{n.AdminURL() + "/projections", n.URL() + "/v1/cluster"} {
			c.t.Logf("%s: %s", page, read(c.t, page))
		}
		c.t.Log(n.Log())
	}
	c.t.Fatalf("nothing is traded within %v", tradingWithin)
}

func read(t *testing.T, page string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return err.Error()
	}
	return string(body)
}

func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// check looks at the cluster at rest.
func (c *cluster) check() {
	c.t.Helper()
	out, err := runAudit(c.t, auditCommand{NATSURL: c.server.URL(), MongoURI: c.uri, MongoDatabase: c.database})
	if err != nil || strings.Contains(out, " 0 trades") {
		c.t.Errorf("%v\n%s", err, out)
	}
	c.t.Log(out)
	c.logOverdue()
	nc := c.server.Connect(c.t)
	c.checkEvents(nc)
	c.checkViews(nc)
}

func (c *cluster) checkEvents(nc *nats.Conn) {
	c.t.Helper()
	s, closing, err := node.OpenStore(c.t.Context(), node.Config{NATSURL: c.server.URL(), MongoURI: c.uri, MongoDatabase: c.database})
	if err != nil {
		c.t.Fatal(err)
	}
	defer closing()
	bus, err := natsbus.Open(c.t.Context(), nc, natsbus.Config{})
	if err != nil {
		c.t.Fatal(err)
	}
	if n, err := testharness.CheckEvents(c.t.Context(), s, bus); err != nil || n == 0 {
		c.t.Errorf("%d events: %v", n, err)
	}
}

// logOverdue tells what became when of sagas that were not done in time: faults may
// cause that, and somebody may want to know how.
func (c *cluster) logOverdue() {
	c.t.Helper()
	s, closing, err := node.OpenStore(c.t.Context(), node.Config{NATSURL: c.server.URL(), MongoURI: c.uri, MongoDatabase: c.database})
	if err != nil {
		c.t.Fatal(err)
	}
	defer closing()
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	quiet := time.AfterFunc(time.Second, cancel)
	defer quiet.Stop()
	var late []store.Aggregate
	for item, err := range s.Follow(ctx, "") {
		if err != nil {
			c.t.Fatal(err)
		}
		quiet.Reset(time.Second)
		for _, e := range item.Commit.Events {
			if e.Name == actor.EventOverdue {
				late = append(late, item.Commit.Aggregate)
			}
		}
	}
	c.t.Logf("%d sagas were overdue", len(late))
	for _, saga := range late[:min(len(late), overdueTold)] {
		_, id, _ := strings.Cut(string(saga), "/")
		for _, a := range []store.Aggregate{store.Aggregate("transaction/" + id), saga} {
			for commit, err := range s.Load(c.t.Context(), a, 0) {
				if err != nil {
					c.t.Fatal(err)
				}
				names := []string{}
				for _, e := range commit.Events {
					names = append(names, e.Name)
				}
				c.t.Logf("%s %s: %v", time.UnixMicro(commit.Time).Format("15:04:05.000"), a, names)
			}
		}
	}
}

// checkViews compares what the pages show with what the aggregates say.
func (c *cluster) checkViews(nc *nats.Conn) {
	c.t.Helper()
	pages := views.NewPages(c.storage(nc))
	for n := 1; n <= 6; n++ {
		id := fmt.Sprintf("buyer%d", n)
		var want domain.PortfolioView
		c.state("/v1/portfolio/"+id, &want)
		testharness.Eventually(c.t, time.Minute, func() bool {
			got, found, err := pages.Portfolio(c.t.Context(), id)
			return err == nil && found && got.Cash == want.Cash && got.ReservedCash == want.ReservedCash &&
				fmt.Sprint(got.Items, got.ReservedItems) == fmt.Sprint(want.Items, want.ReservedItems)
		})
	}
	for n := 1; n <= 3; n++ {
		id := fmt.Sprintf("company-%d", n)
		var want domain.OrderBookView
		c.state("/v1/orderbook/"+id, &want)
		testharness.Eventually(c.t, time.Minute, func() bool {
			m, found, err := pages.Market(c.t.Context(), id, 100_000)
			return err == nil && found && m.Trades == want.Trades && m.LastPrice == want.LastPrice && sameOrders(m.Bids, want.Buys) && sameOrders(m.Asks, want.Sells)
		})
	}
}

func sameOrders(got []views.Order, want []domain.LiveOrder) bool {
	if len(got) != len(want) {
		return false
	}
	for i, o := range got {
		if o.ID != want[i].OrderID || o.Remaining != want[i].Remaining || o.Price != want[i].Price {
			return false
		}
	}
	return true
}

func (c *cluster) storage(nc *nats.Conn) projection.Storage {
	c.t.Helper()
	if c.uri == "" {
		s, err := projectionjetstream.Open(c.t.Context(), nc, projectionjetstream.Config{Namespace: "ganglion"})
		if err != nil {
			c.t.Fatal(err)
		}
		return s
	}
	s, err := projectionmongo.Open(c.uri, projectionmongo.Config{Database: c.database})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// state reads an aggregate's state.
func (c *cluster) state(path string, into any) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.nodes[0].URL()+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body := struct{ State any }{into}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		c.t.Fatalf("%s: %v", path, err)
	}
}
