package chaos_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/testharness/chaos"
)

// TestCluster_NATSServerEndsInOrder ends the server that leads the command stream
// in lame duck mode, twice, and starts it again. The stream has another leader
// before the server goes, and the nodes go before it closes them: neither lane waits
// for an election.
func TestCluster_NATSServerEndsInOrder(t *testing.T) {
	// An election takes 4 to 9 s, after which the clients of the durable lane must still
	// ask again. Without one, what the server took along is asked for after 1 s, and once
	// more 2 s later.
	within := map[string]time.Duration{"durable": 5 * time.Second, "direct": 2 * time.Second}
	var began [2]atomic.Int64 // nanoseconds
	var plan []chaos.Fault
	for i, at := range []time.Duration{3 * time.Second, 17 * time.Second} {
		plan = append(plan, chaos.Fault{
			Name: "lame duck mode of the stream's leader", At: at, For: 8 * time.Second,
			Inject: func(ctx context.Context, c *chaos.Cluster) (string, func(context.Context) error, error) {
				leader, err := c.NATS.StreamLeader(ctx, c.CommandStream())
				if err != nil {
					return "", nil, err
				}
				began[i].Store(time.Now().UnixNano())
				return leader.Name(), func(ctx context.Context) error {
					return errors.Join(leader.AwaitEnd(ctx), leader.Start(ctx))
				}, leader.LameDuck()
			},
		})
	}
	report := run(t, chaos.Trial[portfolio]{
		Cluster: chaos.ClusterConfig{Mongods: 1}, Plan: plan, Load: chaos.Load{OneLane: true, NoAsync: true},
		Settled: func(h *chaos.History) error {
			for i := range began {
				from := time.Duration(began[i].Load() - h.Begin.UnixNano())
				for lane, within := range within {
					gap, _ := longestGap(h, lane, from, from+8*time.Second)
					t.Logf("%s lane: longest time without an answer %v", lane, gap)
					if gap > within {
						t.Errorf("the %s lane was silent for %v", lane, gap)
					}
				}
			}
			return nil
		},
	})
	if report.Faults != len(plan) {
		t.Errorf("%d of %d servers ended", report.Faults, len(plan))
	}
}
