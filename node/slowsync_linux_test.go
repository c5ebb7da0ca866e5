package node_test

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
	"github.com/ganglion-go/ganglion/testharness/slowsync"
)

// TestNode_EmbeddedCluster_SlowSyncs_LoseNoSession: three nodes, each with its NATS server
// and the store in it, answer commands on both lanes while every sync of a file takes a
// fifth of the lease. They are slower for it, and that is all: no session is lost, no
// partition changes hands, and nothing acknowledged is lost.
//
// A write is two syncs one after the other, the leader's and a follower's, and may wait
// for one more that is under way: a renewal takes up to three fifths of the lease, and
// others wait for seven sixths.
func TestNode_EmbeddedCluster_SlowSyncs_LoseNoSession(t *testing.T) {
	t.Parallel()
	const lease, clients, slow = 3 * time.Second, 8, 15 * time.Second
	syncs := slowsync.New(t)
	binary, env := syncs.Command(t, nodes.Build(t, "../cmd/node"))
	m := &members{t: t, nodes: map[string]*nodes.Process{}}
	for name, flags := range documentedNodes(t) {
		m.nodes[name] = nodes.Prepare(t, binary, env, append(flags, "--lease", lease.String(), "--partitions", "16")...)
	}
	names := slices.Sorted(maps.Keys(m.nodes))
	for _, name := range names {
		m.nodes[name].Launch(t)
	}
	for _, name := range names {
		m.nodes[name].AwaitReady(t)
	}
	m.awaitShared(names...)
	var turn, away atomic.Int64
	away.Store(-1)
	l := newLoad(t, testenv.Seed(t), m.inTurns(names, &turn, &away))
	l.open(loadedAggregates)
	before := m.wholeView(names[0], len(names))

	syncs.Delay(lease / 5)
	stop := inBackground(t.Context(), func(ctx context.Context) { l.run(ctx, clients, loadedAggregates) })
	wait(t, slow)
	held := syncs.Held()
	stop()
	syncs.Delay(0)
	after := m.wholeView(names[1], len(names))
	t.Logf("%d syncs of %v", held, lease/5)
	if held < int64(slow/lease)*3*2 { // a renewal is synced by at least two of three
		t.Errorf("%d syncs were slow", held)
	}
	if diff := cmp.Diff(sessionsOf(before), sessionsOf(after), cmp.AllowUnexported(session{})); diff != "" {
		t.Errorf("sessions (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(epochsOf(before), epochsOf(after)); diff != "" {
		t.Errorf("epochs (-before +after):\n%s", diff)
	}
	l.check(loadedAggregates)
	if t.Failed() {
		for _, name := range names {
			t.Logf("%s:\n%s", name, m.nodes[name].Log())
		}
	}
}

// wholeView waits until a node can say what the cluster is.
func (m *members) wholeView(asked string, nodes int) (v gateway.ClusterView) {
	m.t.Helper()
	testharness.Eventually(m.t, 30*time.Second, func() bool {
		var err error
		v, err = m.view(asked)
		return err == nil && len(v.Members) >= nodes && len(v.Partitions) > 0
	})
	return v
}

// session is what tells a session from another one of the same node.
type session struct {
	incarnation string
	state       gateway.MemberState
}

func sessionsOf(v gateway.ClusterView) map[string]session {
	sessions := map[string]session{}
	for _, n := range v.Members {
		sessions[n.Name] = session{n.Incarnation, n.State}
	}
	return sessions
}

func epochsOf(v gateway.ClusterView) map[actor.Partition]uint64 {
	epochs := map[actor.Partition]uint64{}
	for _, p := range v.Partitions {
		epochs[p.Partition] = p.Epoch
	}
	return epochs
}
