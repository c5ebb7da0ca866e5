package jetstream_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/store/storetest"
	"github.com/ganglion-go/ganglion/testharness"
)

// TestStore_Cluster runs the suite on three servers with three replicas. The
// clients are connected to different servers, so that a read that trusts a
// replica which is behind is found out.
func TestStore_Cluster(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers")
	}
	cluster := testharness.NATSCluster(t, 3)
	var next atomic.Int64
	connect := func(t testing.TB) *nats.Conn {
		t.Helper()
		nc, err := nats.Connect(cluster.URLs()[next.Add(1)%3])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	fresh, peer := openers(connect, jetstream.Config{Replicas: 3, Timeout: 20 * time.Second})
	storetest.Config{Peer: peer, TooLarge: tooLarge, Wait: 2 * time.Minute}.Run(t, func(t *testing.T) store.Store {
		t.Helper()
		s := fresh(t)
		t.Cleanup(func() { removeStreams(t, connect(t), s) }) // their Raft groups would slow down the other tests
		return s
	})
}

func removeStreams(t *testing.T, nc *nats.Conn, s store.Store) {
	t.Helper()
	named, ok := s.(*namedStore)
	if !ok {
		t.Fatalf("remove the streams of a %T", s)
	}
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"_STORE", "_LEASES", "_SNAPSHOTS", "_PARKED"} {
		if err := js.DeleteStream(context.WithoutCancel(t.Context()), named.cfg.Namespace+what); err != nil {
			t.Errorf("delete stream: %v", err)
		}
	}
}
