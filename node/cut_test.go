package node_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/natsd"
	"github.com/ganglion-go/ganglion/testharness/netproxy"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// lockedNATS is a server that lets the user "node" in, or does not, and "another" always.
type lockedNATS struct {
	*testharness.NATSServer
	t    *testing.T
	opts *server.Options
}

func startLockedNATS(t *testing.T) *lockedNATS {
	t.Helper()
	l := &lockedNATS{t: t}
	l.NATSServer = testharness.NATS(t, testharness.WithListener(), testharness.WithServerOptions(func(o *server.Options) {
		o.Users = []*server.User{{Username: "node", Password: "right"}, {Username: "another", Password: "right"}}
		l.opts = o.Clone()
	}))
	return l
}

func (l *lockedNATS) url(user string) string {
	return strings.Replace(l.URL(), "nats://", "nats://"+user+":right@", 1)
}

// credentials has the server know the user, or not.
func (l *lockedNATS) credentials(there bool) {
	l.t.Helper()
	next := l.opts.Clone()
	if !there {
		next.Users = next.Users[1:]
	}
	if err := l.Server().ReloadOptions(next); err != nil {
		l.t.Fatal(err)
	}
}

// rights has the server let the user subscribe, or not.
func (l *lockedNATS) rights(there bool) {
	l.t.Helper()
	next := l.opts.Clone()
	if !there {
		next.Users[0].Permissions = &server.Permissions{Subscribe: &server.SubjectPermission{Deny: []string{">"}}}
	}
	if err := l.Server().ReloadOptions(next); err != nil {
		l.t.Fatal(err)
	}
}

// executes wants commands for aggregates of all partitions to be executed, by both lanes,
// within a time.
func executes(t *testing.T, what string, within time.Duration, of ...*nodes.Local) {
	t.Helper()
	for _, n := range of {
		c := caller{t, n.URL()}
		for i := range 24 {
			lane := []string{"durable", "direct"}[i%2]
			path := fmt.Sprintf("/v1/gauge/g-%d/Raise?lane=%s&timeout=2s", i, lane)
			testharness.Eventually(t, within, func() bool {
				a := c.post(path, `{"by":1}`)
				if a.status != 200 {
					t.Logf("%s: %s through %s: %d %s", what, path, n.Name(), a.status, a.body)
				}
				return a.status == 200
			})
		}
	}
}

func partitionsOf(n *nodes.Local) int { return len(n.Status().Partitions) }

// TestNode_CredentialsRemoved_ComesBack: the credentials of all nodes are removed while
// they run, for longer than a client of NATS asks for by default, and put back. The nodes
// serve again, and a new one gets its share.
func TestNode_CredentialsRemoved_ComesBack(t *testing.T) {
	t.Parallel()
	t.Run("mongo", func(t *testing.T) {
		t.Parallel()
		removeCredentials(t, node.Config{MongoURI: testharness.SharedMongo(t, 1).URI(), MongoDatabase: testharness.DatabaseName(t)})
	})
	t.Run("jetstream", func(t *testing.T) {
		t.Parallel()
		removeCredentials(t, node.Config{})
	})
}

func removeCredentials(t *testing.T, cfg node.Config) {
	t.Helper()
	nats := startLockedNATS(t)
	cfg.NATSURL, cfg.Partitions = nats.url("node"), 8
	start := func(name string) *nodes.Local {
		cfg.Name = name
		return nodes.Start(t, cfg, gauges(nil))
	}
	one, two := start("n1"), start("n2")
	testharness.Eventually(t, 20*time.Second, func() bool { return partitionsOf(one) > 0 && partitionsOf(two) > 0 })
	executes(t, "at first", 10*time.Second, one, two)
	nats.credentials(false)
	testharness.Eventually(t, 10*time.Second, func() bool {
		return ready(t, one).status == 503 && ready(t, two).status == 503
	})
	<-time.After(3 * time.Second)
	nats.credentials(true)
	testharness.Eventually(t, 20*time.Second, func() bool {
		return ready(t, one).status == 200 && ready(t, two).status == 200
	})
	executes(t, "the credentials are back", 20*time.Second, one, two)
	three := start("n3")
	executes(t, "through a third node", 20*time.Second, three, one, two)
}

// TestNode_CredentialsRemoved_AnotherTakesOver: while the credentials of two nodes are
// refused, one with others gets all their partitions, and gives them back.
func TestNode_CredentialsRemoved_AnotherTakesOver(t *testing.T) {
	t.Parallel()
	nats := startLockedNATS(t)
	cfg := node.Config{
		NATSURL: nats.url("node"), MongoURI: testharness.SharedMongo(t, 1).URI(), MongoDatabase: testharness.DatabaseName(t),
		Partitions: 8, CutAfter: 3 * time.Second,
	}
	var two []*nodes.Local
	for _, name := range []string{"n1", "n2"} {
		cfg.Name = name
		two = append(two, nodes.Start(t, cfg, gauges(nil)))
	}
	executes(t, "at first", 10*time.Second, two...)
	nats.credentials(false)
	cfg.Name, cfg.NATSURL = "n3", nats.url("another")
	third := nodes.Standby(t, cfg, gauges(nil))
	testharness.Eventually(t, 40*time.Second, func() bool { return partitionsOf(third) == 8 })
	executes(t, "through the third", 10*time.Second, third)
	nats.credentials(true)
	testharness.Eventually(t, 40*time.Second, func() bool {
		return partitionsOf(two[0]) > 0 && partitionsOf(two[1]) > 0 && ready(t, two[0]).status == 200 && ready(t, two[1]).status == 200
	})
	executes(t, "the credentials are back", 20*time.Second, append(two, third)...)
}

// TestNode_RightsRemoved_ComesBack: the user of a node is let in all the time, and loses the
// right to subscribe for a while. A server ends subscriptions then, and nobody makes them
// anew on the same connection.
func TestNode_RightsRemoved_ComesBack(t *testing.T) {
	t.Parallel()
	nats := startLockedNATS(t)
	one := nodes.Start(t, node.Config{
		Name: "n1", NATSURL: nats.url("node"), MongoURI: testharness.SharedMongo(t, 1).URI(), MongoDatabase: testharness.DatabaseName(t),
		Partitions: 8, CutAfter: 3 * time.Second,
	}, gauges(nil))
	executes(t, "at first", 10*time.Second, one)
	nats.rights(false)
	<-time.After(time.Second)
	nats.rights(true)
	executes(t, "the rights are back", 30*time.Second, one)
}

func ready(t *testing.T, n *nodes.Local) answer {
	t.Helper()
	return caller{t, n.AdminURL()}.do("GET", "/readyz", "")
}

// TestNode_CutFromNATS_ConnectedNodesTakeOver: a node on MongoDB that loses NATS alone says
// so, and another one, which has not, gets its partitions and serves them. It rejoins by
// itself.
func TestNode_CutFromNATS_ConnectedNodesTakeOver(t *testing.T) {
	t.Parallel()
	nats := testharness.NATS(t, testharness.WithListener())
	at, err := url.Parse(nats.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := netproxy.New(at.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	cfg := node.Config{
		Name: "n1", NATSURL: "nats://" + proxy.Addr(), MongoURI: testharness.SharedMongo(t, 1).URI(), MongoDatabase: testharness.DatabaseName(t),
		Partitions: 8, CutAfter: 3 * time.Second,
	}
	one := nodes.Start(t, cfg, gauges(nil))
	cfg.Name, cfg.NATSURL = "n2", nats.URL()
	two := nodes.Start(t, cfg, gauges(nil))
	shared := func() bool { return partitionsOf(one) > 0 && partitionsOf(two) > 0 }
	testharness.Eventually(t, 20*time.Second, shared)
	executes(t, "at first", 10*time.Second, one, two)

	proxy.Cut()
	testharness.Eventually(t, 30*time.Second, func() bool { return partitionsOf(one) == 0 && partitionsOf(two) == 8 })
	executes(t, "the other one is cut", 10*time.Second, two)
	if a := ready(t, one); a.status != 503 || !strings.Contains(string(a.body), "cut off from NATS") {
		t.Errorf("the cut node says %d %s", a.status, a.body)
	}
	if a := ready(t, two); a.status != 200 {
		t.Errorf("the other says %d %s", a.status, a.body)
	}
	metrics := caller{t, one.AdminURL()}.do("GET", "/metrics", "")
	if !strings.Contains(string(metrics.body), "ganglion_cut 1") {
		t.Error("no gauge says that it is cut")
	}

	proxy.Heal()
	testharness.Eventually(t, 60*time.Second, func() bool { return shared() && ready(t, one).status == 200 })
	executes(t, "it is back", 20*time.Second, one, two)
}

// TestNode_NATSElection_MovesNothing: the server that leads the streams dies and an
// election follows, with which nodes on MongoDB stay what they are.
func TestNode_NATSElection_MovesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cluster, err := natsd.StartCluster(ctx, natsd.Config{Servers: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	cfg := node.Config{
		NATSURL: cluster.URL(), Replicas: 3, MongoURI: testharness.SharedMongo(t, 1).URI(), MongoDatabase: testharness.DatabaseName(t), Partitions: 8,
	}
	var all []*nodes.Local
	for _, name := range []string{"n1", "n2"} {
		cfg.Name = name
		all = append(all, nodes.Start(t, cfg, gauges(nil)))
	}
	testharness.Eventually(t, 20*time.Second, func() bool { return partitionsOf(all[0]) > 0 && partitionsOf(all[1]) > 0 })
	executes(t, "at first", 10*time.Second, all...)
	epochs := func() string {
		var of []string
		for _, n := range all {
			for _, p := range n.Status().Partitions {
				of = append(of, fmt.Sprintf("%s/%d/%d", n.Name(), p.Partition, p.Epoch))
			}
		}
		return strings.Join(of, " ")
	}
	before := epochs()
	leader, err := cluster.StreamLeader(ctx, "ganglion_COMMANDS")
	if err != nil {
		t.Fatal(err)
	}
	leader.Kill()
	executes(t, "the leader is dead", 30*time.Second, all...)
	if err := leader.Start(ctx); err != nil {
		t.Fatal(err)
	}
	// A request is lost with a leader that is just changing.
	testharness.Eventually(t, 60*time.Second, func() bool { return cluster.StepDown(ctx, "ganglion_COMMANDS") == nil })
	executes(t, "the next one has stepped down", 30*time.Second, all...)
	if after := epochs(); after != before {
		t.Errorf("before: %s\nafter:  %s", before, after)
	}
}
