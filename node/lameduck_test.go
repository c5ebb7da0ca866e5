package node_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/natsd"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// lameDuckGrace is far longer than anything that a node does, so that whoever
// waits to be closed is found out.
const lameDuckGrace = 30 * time.Second

// TestNode_LameDuck_MovesWithoutAFailure has NATS servers end in lame duck mode one
// after another, each time the one that node n1 is connected to, under load through
// both nodes. They move before the server closes them: no request fails, and none
// waits for long. GANGLION_LAME_DUCKS sets how often, and has the time held to what
// is promised on a machine of one's own.
//
//	server                     n1
//	"I end"                ->  connects to another one
//	                           what came for it in between is asked for again
//	                           after a second, under the same id
func TestNode_LameDuck_MovesWithoutAFailure(t *testing.T) { //nolint:tparallel // one after the other
	measures(t, "GANGLION_LAME_DUCKS")
	t.Run("mongo", func(t *testing.T) {
		uri := testharness.SharedMongo(t, 1).URI()
		endServers(t, node.Config{MongoURI: uri, MongoDatabase: testharness.DatabaseName(t)}, 3*time.Second)
	})
	t.Run("jetstream", func(t *testing.T) {
		// A write that the server took and did not answer is looked up after 4 s.
		endServers(t, node.Config{}, 5*time.Second)
	})
}

func endServers(t *testing.T, cfg node.Config, longest time.Duration) {
	t.Helper()
	const aggregates = 32
	longest = bound(longest, "GANGLION_LAME_DUCKS")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cluster, err := natsd.StartCluster(ctx, natsd.Config{Servers: 3, LameDuckGrace: lameDuckGrace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	cfg.NATSURL, cfg.Replicas = cluster.URL(), 3
	var local []*nodes.Local
	for _, name := range []string{"n1", "n2"} {
		cfg.Name = name
		local = append(local, nodes.Start(t, cfg, domain.Definitions()...))
	}
	var turn atomic.Int64
	l := newLoad(t, testenv.Seed(t), func() string { return local[turn.Add(1)%2].URL() })
	l.open(aggregates)
	s := &steady{load: l, moves: func(string) bool { return true }}
	stop := inBackground(ctx, func(ctx context.Context) { s.run(ctx, aggregates) })
	for range testenv.Times(t, "GANGLION_LAME_DUCKS", 2) {
		endServerOf(ctx, t, cluster, "ganglion n1")
	}
	wait(t, time.Second)
	stop()
	s.mustNotFail(t, longest)
}

// endServerOf has the server end to which a client is connected, sees the client
// leave before it is closed, and brings the server back.
func endServerOf(ctx context.Context, t *testing.T, cluster *natsd.Cluster, client string) {
	t.Helper()
	has := func(s *natsd.Server, client string) bool {
		clients, err := s.Clients(ctx)
		return err != nil || slices.ContainsFunc(clients, func(c string) bool { return strings.HasPrefix(c, client) })
	}
	var leaves *natsd.Server
	testharness.Eventually(t, 20*time.Second, func() bool {
		for _, s := range cluster.Servers() {
			if has(s, client) {
				leaves = s
				return true
			}
		}
		return false
	})
	start := time.Now()
	if err := leaves.LameDuck(); err != nil {
		t.Fatal(err)
	}
	testharness.Within(t, lameDuckGrace/2, func() bool { return !has(leaves, "ganglion ") })
	t.Logf("all nodes left %s after %v", leaves.Name(), time.Since(start))
	if leaves.PID() == 0 {
		t.Errorf("%s has ended although its grace period has not", leaves.Name())
	}
	leaves.Kill() // nobody is there any more
	if err := leaves.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := cluster.AwaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	wait(t, time.Second)
}
