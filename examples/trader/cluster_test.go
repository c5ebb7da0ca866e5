package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

const (
	mongods       = 3
	tradingWithin = time.Minute // after a fault
)

// TestCluster_Faults: two nodes trade, with cancels, while one or the other is killed,
// ended or paused, the one with the relay among them. Once everything is at rest, the
// audit finds nothing, the event stream is the store's history, and the views show what
// the aggregates say. GANGLION_FAULTS sets how many faults there are. With GANGLION_OLD
// (`make rolling`) what happens is that nodes of another build take the place of those there are.
func TestCluster_Faults(t *testing.T) { //nolint:tparallel // one cluster at a time
	t.Parallel()
	binary := nodes.Build(t, "../../cmd/node")
	if commit := os.Getenv("GANGLION_OLD"); commit != "" {
		rollFrom(t, commit, binary)
		return
	}
	for _, kind := range []string{"jetstream", "mongo"} {
		t.Run(kind, func(t *testing.T) {
			c := startCluster(t, binary, kind == "mongo")
			c.trade(4, func(random *rand.Rand) {
				for range testenv.Times(t, "GANGLION_FAULTS", 1) {
					c.hurt(random)
				}
			})
			c.check()
		})
	}
}

// cluster is some nodes of the application on one NATS server, or a cluster of them.
type cluster struct {
	t        *testing.T
	natsURL  string
	nc       *nats.Conn
	replicas int    // of streams; 0: 1
	lane     string // of the load
	uri      string // of MongoDB; empty: the store is JetStream
	database string
	nodes    []*nodes.Process
	asked    []*nodes.Process // by the load
	began    time.Time
}

// startCluster starts two nodes on one server.
func startCluster(t *testing.T, binary string, mongo bool) *cluster {
	t.Helper()
	server := testharness.NATS(t, testharness.WithListener())
	c := &cluster{t: t, lane: "durable", natsURL: server.URL(), nc: server.Connect(t)}
	c.start(binary, mongo, "one", "two")
	c.asked = c.nodes[:1]
	return c
}

func (c *cluster) start(binary string, mongo bool, names ...string) {
	c.t.Helper()
	c.began = time.Now()
	flags := []string{"--nats-url", c.natsURL, "--lease", "1s"}
	if c.replicas > 0 {
		flags = []string{"--nats-url", c.natsURL, "--replicas", fmt.Sprint(c.replicas)}
	}
	if mongo {
		c.uri, c.database = testharness.SharedMongo(c.t, mongods).URI(), testharness.DatabaseName(c.t)
		flags = append(flags, "--mongo-uri", c.uri, "--mongo-database", c.database)
	}
	for _, name := range names {
		c.nodes = append(c.nodes, nodes.Spawn(c.t, binary, nil, append(flags, "--name", name)...))
	}
}

// trade runs the load while something happens, until all that was begun is at rest.
func (c *cluster) trade(clients int, happens func(*rand.Rand)) {
	c.t.Helper()
	seed := testenv.Seed(c.t)
	var urls []string
	for _, n := range c.asked {
		urls = append(urls, n.URL())
	}
	load := parse(c.t, "--url", strings.Join(urls, ","), "--duration", "1h", "--clients", fmt.Sprint(clients), "--rate", fmt.Sprint(3*clients), "--cancel-share", "0.3",
		"--lane", c.lane, "--seed", fmt.Sprint(seed%1000), "--resolve-within", "2m", "--settle-within", "2m")
	var report strings.Builder
	ended, stop := make(chan error, 1), make(chan struct{})
	go func() { ended <- load.run(c.t.Context(), stop, &report, silent) }()
	testharness.Eventually(c.t, time.Minute, func() bool { return tradesAt(c.t, c.nodes[0].URL()) > 0 })
	happens(rand.New(rand.NewPCG(seed, 0)))
	c.t.Logf("%v: no more is started", time.Since(c.began))
	close(stop)
	if err := <-ended; err != nil {
		// What is not at rest has nothing to be audited: all that is unfinished
		// would be told as a fault of its own.
		c.t.Logf("%v\n%s", err, report.String())
		for _, n := range c.nodes {
			c.t.Log(n.Log())
		}
		c.t.FailNow()
	}
	c.t.Logf("%v:\n%s", time.Since(c.began), report.String())
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
	c.goesOn()
}

// goesOn waits until some trades more have been made.
func (c *cluster) goesOn() {
	c.t.Helper()
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
	at := &atRest{t: c.t, url: c.nodes[0].URL(), nc: c.nc, replicas: c.replicas, store: auditCommand{
		NATSURL: c.natsURL, MongoURI: c.uri, MongoDatabase: c.database, Namespace: natsbus.DefaultNamespace,
	}}
	if c.replicas > 0 {
		at.store.Replicas, at.store.Quiet = fmt.Sprint(c.replicas), 20*time.Second // a page of the store may take as long where much else runs
	}
	at.check()
}
