package natsbus_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/testharness"
)

// TestCluster_StreamLeaderStops_NoCallFails stops the server that leads the
// replicated stream, with calls on both lanes in flight. An election takes 4 to
// 9 s, so calls are slow for a while; none fails, and no command is skipped.
func TestCluster_StreamLeaderStops_NoCallFails(t *testing.T) {
	t.Parallel()
	cluster := testharness.NATSCluster(t, 3)
	nc := cluster.Connect(t)
	bus := openBus(t, nc, natsbus.Config{Partitions: 4, Replicas: 3})
	o := &owner{answer: echo}
	serveAll(t, bus, o)
	client := newClient(t, cluster.Connect(t), natsbus.ClientConfig{})
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}

	var calls atomic.Int64
	done := make(chan struct{})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				m := command(fmt.Sprintf("a-%d", i), fmt.Sprint(n))
				m.Lane = actor.Lane(i % 2)
				ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
				err := client.Deliver(ctx, m).Err()
				cancel()
				if err != nil {
					t.Errorf("call %d on lane %d: %v", n, m.Lane, err)
					return
				}
				calls.Add(1)
			}
		})
	}
	more := func() {
		t.Helper()
		before := calls.Load()
		testharness.Eventually(t, 40*time.Second, func() bool { return calls.Load() > before+400 })
	}
	more()
	leader, err := cluster.StreamLeader(t.Context(), js, "ganglion_COMMANDS")
	if err != nil {
		t.Fatal(err)
	}
	cluster.Stop(leader)
	more()
	cluster.Start(t, leader)
	more()
	close(done)
	group.Wait()
	expectNoneSkipped(t, o.durables())
}

// expectNoneSkipped wants the commands of each aggregate in the order in which
// its only caller made them. Retries may repeat a command, under its id.
func expectNoneSkipped(t *testing.T, ds []actor.Delivery) {
	t.Helper()
	seen := map[actor.CommandID]bool{}
	next := map[string]int{}
	for _, d := range ds {
		if seen[d.Message.ID] {
			continue
		}
		seen[d.Message.ID] = true
		id := d.Message.Target.ID
		if want := fmt.Sprint(next[id]); string(d.Message.Data) != want {
			t.Errorf("%s: command %s, want %s", id, d.Message.Data, want)
		}
		next[id]++
	}
}
