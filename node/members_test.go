package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// members are node processes on one NATS server, by name.
type members struct {
	t     *testing.T
	nodes map[string]*nodes.Process
}

// spawnMembers starts processes and waits until each has its share.
func spawnMembers(t *testing.T, binary string, names []string, flags ...string) *members {
	t.Helper()
	server := testharness.NATS(t, testharness.WithListener())
	m := &members{t: t, nodes: map[string]*nodes.Process{}}
	for _, name := range names {
		m.nodes[name] = nodes.Spawn(t, binary, nil, append([]string{"--nats-url", server.URL(), "--name", name}, flags...)...)
	}
	m.awaitShared(names...)
	return m
}

// view asks one node for the cluster as it sees it.
func (m *members) view(asked string) (gateway.ClusterView, error) {
	var v gateway.ClusterView
	ctx, cancel := context.WithTimeout(m.t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.nodes[asked].URL()+"/v1/cluster", nil)
	if err != nil {
		return v, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return v, err
	}
	defer func() { _ = resp.Body.Close() }()
	return v, json.NewDecoder(resp.Body).Decode(&v)
}

// awaitShared waits until every node says that each of the named has its share by
// rendezvous hashing, and nobody else has anything.
func (m *members) awaitShared(names ...string) {
	m.t.Helper()
	testharness.Eventually(m.t, 30*time.Second, func() bool {
		for _, asked := range names {
			v, err := m.view(asked)
			if err != nil || !shared(v, names) {
				return false
			}
		}
		return true
	})
}

func shared(v gateway.ClusterView, names []string) bool {
	return !slices.ContainsFunc(v.Partitions, func(p gateway.PartitionView) bool {
		return p.Owner != placement.Highest(names, store.Partition(p.Partition))
	})
}

// aggregatesOf returns the id of an aggregate for each partition that the node
// has by rendezvous hashing.
func aggregatesOf(kind actor.Kind, name string, names []string) map[actor.Partition]string {
	ids := map[actor.Partition]string{}
	for n := range 10_000 {
		id := fmt.Sprint("a-", n)
		p := actor.DefaultPartitions.Of(actor.Address{Kind: kind, ID: id})
		if ids[p] == "" && placement.Highest(names, store.Partition(p)) == name {
			ids[p] = id
		}
	}
	return ids
}

// aggregateOf returns the id of one of them.
func aggregateOf(kind actor.Kind, name string, names []string) string {
	ids := aggregatesOf(kind, name, names)
	return ids[slices.Min(slices.Collect(maps.Keys(ids)))]
}

// TestNode_Kill9_OthersTakeOver kills one of two nodes, and measures until every
// partition that it had answers again, on both lanes. GANGLION_KILLS sets how
// often.
func TestNode_Kill9_OthersTakeOver(t *testing.T) {
	t.Parallel()
	binary := nodes.Build(t, "../cmd/node")
	for _, c := range []struct{ lease, median, worst time.Duration }{
		{time.Second, 2 * time.Second, 3 * time.Second},
		{3 * time.Second, 4 * time.Second, 6 * time.Second},
	} {
		t.Run(fmt.Sprint("lease ", c.lease), func(t *testing.T) {
			names := []string{"survivor", "victim"}
			m := spawnMembers(t, binary, names, "--lease", c.lease.String())
			var took []time.Duration
			for round := range times(t, "GANGLION_KILLS", 2) {
				took = append(took, m.killAndMeasure(round, "victim", "survivor", names))
				m.nodes["victim"].Launch(t)
				m.awaitShared(names...)
			}
			slices.Sort(took)
			median, worst := took[len(took)/2], took[len(took)-1]
			t.Logf("all partitions answer again after %v in the median, %v at worst, of %d", median, worst, len(took))
			if median > c.median || worst > c.worst {
				t.Errorf("want %v in the median, %v at worst: %v", c.median, c.worst, took)
			}
		})
	}
}

func (m *members) killAndMeasure(round int, victim, survivor string, names []string) time.Duration {
	m.t.Helper()
	c := caller{m.t, m.nodes[survivor].URL()}
	aggregates := aggregatesOf("portfolio", victim, names)
	// Kill it at any moment between two renewals.
	wait(m.t, time.Duration(round*137%500)*time.Millisecond)
	m.nodes[victim].Kill()
	killed := time.Now()
	var asking sync.WaitGroup
	for p, id := range aggregates {
		asking.Go(func() {
			lane := []string{"durable", "direct"}[p%2]
			path := fmt.Sprintf("/v1/portfolio/%s/CreatePortfolio?timeout=20s&lane=%s", id, lane)
			a := c.post(path, `{"userId":"u"}`)
			if round == 0 && a.status != 200 || a.status != 200 && a.status != 409 {
				m.t.Errorf("partition %d on the %s lane: %d %s", p, lane, a.status, a.body)
			}
		})
	}
	asking.Wait()
	return time.Since(killed)
}
