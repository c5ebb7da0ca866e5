package testharness

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/testharness/internal/loopback"
)

const (
	clusterName = "ganglion-test"
	// clusterReadyTimeout leaves room for a few elections of 4 to 9 s, whose
	// time-outs nats-server does not let anybody shorten.
	clusterReadyTimeout = 45 * time.Second
)

// clusterMember is one server of a [Cluster]. For servers that can be killed, see
// package natsd.
type clusterMember interface {
	memberName() string
	URL() string
	start() error
	Stop()
	// meta is this member's view of JetStream's meta group, zero while it is stopped.
	meta() metaState
}

// metaState is what one member knows of JetStream's meta group.
type metaState struct {
	leads   bool // it is the leader
	current bool // it accepts clients and has caught up with the leader
	size    int  // how many members it counts
	usable  int  // as the leader: on how many members it would place a stream
}

// Cluster is a NATS cluster with JetStream. Members are addressed by their
// index, from 0. Methods that start or stop the same member must not run at the
// same time as each other; all others may.
type Cluster struct {
	members []clusterMember
	stopped []bool
}

// NATSCluster starts that many embedded servers as one cluster, listening on
// 127.0.0.1, and stops them when the test ends. It returns once JetStream has a
// leader that every member knows and follows, about half a second for three, and
// ends the test when that does not happen within 45 s. Three servers are the least
// that allow replicated streams; to create one takes another election, seldom up to
// 9 s, so give that call a context with more than its default of 5 s. A cluster needs sockets, so it cannot run in a
// synctest bubble.
func NATSCluster(t testing.TB, members int, opts ...NATSOption) *Cluster {
	t.Helper()
	forbidBubble(t, "NATSCluster")
	enterClock(t)
	c := &Cluster{stopped: make([]bool, members)}
	for _, s := range newClusterServers(t, members, newNATSConfig(opts)) {
		c.members = append(c.members, s)
		t.Cleanup(s.Stop)
	}
	for i := range c.members {
		c.launch(t, i)
	}
	c.WaitReady(t)
	return c
}

// newClusterServers prepares servers that know each other's route ports.
func newClusterServers(t testing.TB, n int, cfg natsConfig) []*NATSServer {
	t.Helper()
	routePorts := make([]*loopback.Port, n)
	routes := make([]string, n)
	for i := range n {
		routePorts[i] = reservePort(t)
		routes[i] = "nats-route://" + routePorts[i].Addr()
	}
	servers := make([]*NATSServer, n)
	for i := range n {
		servers[i] = &NATSServer{
			cfg: cfg, name: fmt.Sprintf("%s-%d", clusterName, i), storeDir: TempDir(t), port: reservePort(t),
			cluster: server.ClusterOpts{Name: clusterName, Host: loopback.Host, Port: routePorts[i].Number()},
			routes:  routes,
		}
	}
	return servers
}

// Stop shuts a member down gracefully and waits until it is gone; its store
// stays. It is idempotent.
func (c *Cluster) Stop(member int) {
	c.members[member].Stop()
	c.stopped[member] = true
}

// Start starts a stopped member on its store and its ports, and waits like
// [Cluster.WaitReady].
func (c *Cluster) Start(t testing.TB, member int) {
	t.Helper()
	c.launch(t, member)
	c.WaitReady(t)
}

func (c *Cluster) launch(t testing.TB, member int) {
	t.Helper()
	if err := c.members[member].start(); err != nil {
		t.Fatalf("testharness: %v", err)
	}
	c.stopped[member] = false
}

// WaitReady waits until JetStream has a leader and all members that are not
// stopped follow it, and ends the test when they do not within 45 s. Without a
// majority that never happens.
func (c *Cluster) WaitReady(t testing.TB) {
	t.Helper()
	Eventually(t, clusterReadyTimeout, c.ready)
}

// ready also wants every member to count all the others: a leader can be elected
// by the first two servers to meet, and while the third is unknown to it, the
// group is one of two, which does not survive the loss of either. And the leader
// must have the statistics of all that run, or it places no stream on them.
func (c *Cluster) ready() bool {
	running, usable := 0, 0
	for i, m := range c.members {
		if c.stopped[i] {
			continue
		}
		state := m.meta()
		if !state.current || state.size != len(c.members) {
			return false
		}
		running++
		usable = max(usable, state.usable)
	}
	return usable > 0 && usable == running
}

// Leader is the member that leads JetStream's meta group, or -1 at a moment
// without one.
func (c *Cluster) Leader() int {
	for i, m := range c.members {
		if m.meta().leads {
			return i
		}
	}
	return -1
}

// StreamLeader is the member that leads a stream, or -1 at a moment without one.
// It fails with the errors of [jetstream.JetStream.Stream].
func (c *Cluster) StreamLeader(ctx context.Context, js jetstream.JetStream, stream string) (int, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return -1, fmt.Errorf("look up stream %s: %w", stream, err)
	}
	info := s.CachedInfo().Cluster
	for i, m := range c.members {
		if info != nil && m.memberName() == info.Leader {
			return i, nil
		}
	}
	return -1, nil
}

// URLs are the client URLs of all members, by index, also of stopped ones.
func (c *Cluster) URLs() []string {
	urls := make([]string, len(c.members))
	for i, m := range c.members {
		urls[i] = m.URL()
	}
	return urls
}

// URL is all of [Cluster.URLs], separated by commas, as nats.Connect takes it.
func (c *Cluster) URL() string { return strings.Join(c.URLs(), ",") }

// Connect opens a connection to any member and closes it when t ends. It moves
// to another member when its own goes away. Like [NATSServer.Connect] otherwise.
func (c *Cluster) Connect(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	return connect(t, c.URL(), opts)
}

func (s *NATSServer) memberName() string { return s.name }

func (s *NATSServer) meta() metaState {
	ns := s.Server()
	if ns == nil || !ns.ReadyForConnections(pollFirst) {
		return metaState{}
	}
	info, err := ns.Jsz(nil)
	if err != nil || info.Meta == nil {
		return metaState{} // JetStream is not up yet
	}
	return metaState{
		leads:   ns.JetStreamIsLeader(),
		current: ns.JetStreamIsCurrent(),
		size:    info.Meta.Size,
		usable:  len(ns.JetStreamClusterPeers()),
	}
}
