package node_test

import (
	"context"
	"crypto/rand"
	"fmt"
	randv2 "math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

var (
	documentedNode    = regexp.MustCompile(`(?m)^node (--name=(\S+) .*)$`)
	documentedAddress = regexp.MustCompile(`10\.0\.0\.\d:6222`)
)

// documentedNodes returns the flags of the three nodes of docs/deploy.md by name,
// with addresses of the loopback interface and a secret of the test.
func documentedNodes(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(rand.Text()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	addresses := map[string]string{}
	flags := map[string][]string{}
	for _, line := range documentedNode.FindAllStringSubmatch(string(text), -1) {
		here := documentedAddress.ReplaceAllStringFunc(line[1], func(a string) string {
			if addresses[a] == "" {
				addresses[a] = nodes.FreeAddress(t)
			}
			return addresses[a]
		})
		flags[line[2]] = strings.Fields(strings.ReplaceAll(here, "/etc/ganglion/secret", secret))
	}
	if len(flags) != 3 || len(addresses) != 3 {
		t.Fatalf("docs/deploy.md has %d nodes at %d addresses", len(flags), len(addresses))
	}
	return flags
}

// prepareCluster prepares three nodes as documented, each with its NATS server.
func prepareCluster(t *testing.T, more ...string) *members {
	t.Helper()
	binary := nodes.Build(t, "../cmd/node")
	m := &members{t: t, nodes: map[string]*nodes.Process{}}
	for name, flags := range documentedNodes(t) {
		m.nodes[name] = nodes.Prepare(t, binary, nil, append(flags, more...)...)
	}
	return m
}

// TestNode_EmbeddedCluster_LosesNothing starts three nodes, each with its NATS
// server, as docs/deploy.md has it, the first one long before the others. Under load
// through all of them it kills one, and brings it back, ends one in order, and
// brings it back. At last it kills all, and two come back. All partitions answer again
// while one is away, and nothing acknowledged is lost. GANGLION_KILLS sets how often.
//
// With the store in JetStream, the dead server may have led the stream of the
// leases: then nobody can renew until it has another leader, 4 to 9 s later, and
// only from then on is the silence of the dead node held against it.
func TestNode_EmbeddedCluster_LosesNothing(t *testing.T) {
	t.Parallel()
	t.Run("jetstream", func(t *testing.T) {
		t.Parallel()
		hurtCluster(t, prepareCluster(t))
	})
	t.Run("mongo", func(t *testing.T) {
		t.Parallel()
		uri := testharness.SharedMongo(t, 1).URI()
		hurtCluster(t, prepareCluster(t, "--mongo-uri", uri, "--mongo-database", testharness.DatabaseName(t)))
	})
}

func hurtCluster(t *testing.T, m *members) {
	t.Helper()
	names := []string{"n1", "n2", "n3"}
	startOneByOne(t, m, "n2", "n3", "n1")
	m.awaitShared(names...)
	seed := testenv.Seed(t)
	var turn, away atomic.Int64
	away.Store(-1)
	l := newLoad(t, seed, m.inTurns(names, &turn, &away))
	l.open(loadedAggregates)
	stop := inBackground(t.Context(), func(ctx context.Context) { l.run(ctx, 16, loadedAggregates) })
	rnd := randv2.New(randv2.NewPCG(seed, 1<<32))
	for range testenv.Times(t, "GANGLION_KILLS", 1) {
		victim := rnd.IntN(3)
		survivor := names[(victim+1+rnd.IntN(2))%3]
		took := m.killAndAsk(names[victim], survivor, names)
		t.Logf("all partitions answer %v after kill -9 of %s", took, names[victim])
		if limit := bound(25*time.Second, "GANGLION_KILLS"); took > limit {
			t.Errorf("all partitions answered only %v after the kill, %v are allowed", took, limit)
		}
		m.nodes[names[victim]].Launch(t)
		m.awaitShared(names...)
		leaves := names[rnd.IntN(3)]
		m.nodes[leaves].Terminate(t)
		m.nodes[leaves].Launch(t)
		m.awaitShared(names...)
	}
	stop()
	away.Store(int64(rnd.IntN(3)))
	m.losePower(names, int(away.Load()))
	l.check(loadedAggregates)
}

// inTurns returns the nodes' addresses one after the other, but for the one that is
// away.
func (m *members) inTurns(names []string, turn, away *atomic.Int64) func() string {
	return func() string {
		next := turn.Add(1) % int64(len(names))
		if next == away.Load() {
			next = (next + 1) % int64(len(names))
		}
		return m.nodes[names[next]].URL()
	}
}

// losePower kills all nodes at once, and starts all but one of them: a majority is
// enough once there are streams.
func (m *members) losePower(names []string, lost int) {
	m.t.Helper()
	for _, name := range names {
		m.nodes[name].Kill()
	}
	rest := slices.Delete(slices.Clone(names), lost, lost+1)
	for _, name := range rest {
		m.nodes[name].Launch(m.t)
	}
	for _, name := range rest {
		m.nodes[name].AwaitReady(m.t)
	}
	m.awaitShared(rest...)
}

// startOneByOne launches the first node, sees it wait, and launches the others.
func startOneByOne(t *testing.T, m *members, first string, others ...string) {
	t.Helper()
	m.nodes[first].Launch(t)
	testharness.Eventually(t, 20*time.Second, func() bool {
		return strings.Contains(m.nodes[first].Log(), "waiting for the NATS servers of other nodes")
	})
	for _, name := range others {
		m.nodes[name].Launch(t)
	}
	for _, p := range m.nodes {
		p.AwaitReady(t)
	}
}

// killAndAsk kills a node and asks through another one for an aggregate of each
// partition, on both lanes, until all have answered.
func (m *members) killAndAsk(victim, survivor string, names []string) time.Duration {
	m.t.Helper()
	m.nodes[victim].Kill()
	killed := time.Now()
	c := caller{m.t, m.nodes[survivor].URL()}
	var asking sync.WaitGroup
	for _, owner := range names {
		for p, id := range aggregatesOf("portfolio", owner, names) {
			asking.Go(func() {
				lane := []string{"durable", "direct"}[p%2]
				path := fmt.Sprintf("/v1/portfolio/%s/CreatePortfolio?timeout=20s&lane=%s", id, lane)
				for time.Since(killed) < time.Minute {
					if a := c.post(path, `{"userId":"u"}`); a.status == 200 || a.status == 409 {
						return
					}
				}
				m.t.Errorf("partition %d on the %s lane does not answer within a minute", p, lane)
			})
		}
	}
	asking.Wait()
	return time.Since(killed)
}

// TestNode_EmbeddedCluster_SecondSignal leaves one node of three alone, which then
// can give nothing back and does not give up either, until it is told again.
func TestNode_EmbeddedCluster_SecondSignal(t *testing.T) {
	t.Parallel()
	m := prepareCluster(t)
	startOneByOne(t, m, "n1", "n2", "n3")
	m.nodes["n1"].Kill()
	m.nodes["n2"].Kill()
	p := m.nodes["n3"]
	endsWithSecondSignal(t, p)
}

// TestNode_EmbeddedCluster_RollingRestart ends each of three nodes in order and
// starts it again, one after the other, under load through the two that stay: no
// request fails. GANGLION_DRAINS sets how often, and has the longest pause held to
// what is promised on a machine of one's own.
//
// What the pause is made of: partitions are handed over; then the server gives away
// the streams that it leads, and the consumers that were on it are made anew
// elsewhere. A write that it took and did not answer is looked up after 4 s.
func TestNode_EmbeddedCluster_RollingRestart(t *testing.T) {
	t.Parallel()
	longest := bound(5*time.Second, "GANGLION_DRAINS")
	names := []string{"n1", "n2", "n3"}
	m := prepareCluster(t)
	startOneByOne(t, m, "n1", "n2", "n3")
	m.awaitShared(names...)
	var away, turn atomic.Int64
	away.Store(-1)
	l := newLoad(t, testenv.Seed(t), m.inTurns(names, &turn, &away))
	l.open(loadedAggregates)
	s := &steady{load: l, moves: func(string) bool { return true }}
	stop := inBackground(t.Context(), func(ctx context.Context) { s.run(ctx, loadedAggregates) })
	for range testenv.Times(t, "GANGLION_DRAINS", 1) {
		for i, name := range names {
			away.Store(int64(i))
			wait(t, time.Second) // requests that are under way to it
			start := time.Now()
			m.nodes[name].Terminate(t)
			t.Logf("%s ended in %v", name, time.Since(start))
			m.nodes[name].Start(t)
			m.awaitShared(names...)
			away.Store(-1)
		}
	}
	stop()
	s.mustNotFail(t, longest)
}
