package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

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
				// What is not at rest has nothing to be audited: all that is unfinished
				// would be told as a fault of its own.
				t.Fatalf("%v\n%s\n%s\n%s", err, report.String(), c.nodes[0].Log(), c.nodes[1].Log())
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
	at := &atRest{t: c.t, url: c.nodes[0].URL(), nc: c.server.Connect(c.t), store: auditCommand{
		NATSURL: c.server.URL(), MongoURI: c.uri, MongoDatabase: c.database, Namespace: natsbus.DefaultNamespace,
	}}
	at.check()
}
