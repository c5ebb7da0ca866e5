package node_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/store"
	mongostore "github.com/ganglion-go/ganglion/store/mongo"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// refusedStart opens a node that must not start, and wants the error to name both sides.
func refusedStart(t *testing.T, what string, cfg node.Config, sides ...string) {
	t.Helper()
	cfg.DataDir, cfg.HTTPAddr, cfg.AdminAddr = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
	n, err := node.Open(t.Context(), cfg, gauges(nil))
	if err == nil {
		_ = n.Close()
		t.Fatalf("%s: the node has started", what)
	}
	if !errors.Is(err, node.ErrOtherCluster) {
		t.Errorf("%s: error %v", what, err)
	}
	for _, side := range sides {
		if !strings.Contains(err.Error(), side) {
			t.Errorf("%s: %q is not in: %v", what, side, err)
		}
	}
}

// TestNode_OtherCluster_RefusesTheStart: two services with one NATS account and the default
// namespace, and a database each; one database for two namespaces; and NATS lost, with
// another number of partitions said, or the flag forgotten.
func TestNode_OtherCluster_RefusesTheStart(t *testing.T) {
	t.Parallel()
	nats := testharness.NATS(t, testharness.WithListener())
	uri := testharness.SharedMongo(t, 1).URI()
	orders, billing := testharness.DatabaseName(t)+"-o", testharness.DatabaseName(t)+"-b"
	cfg := node.Config{Name: "n1", NATSURL: nats.URL(), MongoURI: uri, MongoDatabase: orders, Partitions: 8}
	n := nodes.Start(t, cfg, gauges(nil))
	c := caller{t, n.URL()}
	c.expect("a command", c.post("/v1/gauge/a/Raise", `{"by":1}`), 200, "")

	other := cfg
	other.Name, other.MongoDatabase, other.Partitions = "n2", billing, 0
	refusedStart(t, "another database", other, orders, billing)
	embedded := other
	embedded.MongoURI, embedded.MongoDatabase = "", ""
	refusedStart(t, "the embedded store", embedded, orders, "JetStream")
	shared := cfg
	shared.Name, shared.Namespace = "n3", "billing"
	refusedStart(t, "another namespace", shared, `"ganglion"`, `"billing"`)
	n.Stop(t)

	js, err := jetstream.New(nats.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	for name := range js.StreamNames(t.Context()).Name() {
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	lost := cfg
	lost.Partitions = 16
	refusedStart(t, "NATS lost, other partitions", lost, "16", "8")
	lost.Partitions = 0
	refusedStart(t, "NATS lost, the flag forgotten", lost, "128", "8")
	for name := range js.StreamNames(t.Context()).Name() {
		t.Errorf("stream %s was made", name)
	}
	n = nodes.Start(t, cfg, gauges(nil))
	c = caller{t, n.URL()}
	c.expect("NATS lost, as before", c.post("/v1/gauge/a/Raise", `{"by":1}`), 200, "")
	n.Stop(t)
}

// TestNode_OtherCluster_StoreOfAnEarlierBuild: a store that has recorded nothing is
// divided as its claims say.
func TestNode_OtherCluster_StoreOfAnEarlierBuild(t *testing.T) {
	t.Parallel()
	uri, database := testharness.SharedMongo(t, 1).URI(), testharness.DatabaseName(t)
	s, err := mongostore.Open(t.Context(), uri, mongostore.Config{Database: database})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(t.Context()) })
	session := store.Session{Name: "old", Incarnation: "old-1", Lease: time.Second}
	if err := s.OpenSession(t.Context(), session, nil); err != nil {
		t.Fatal(err)
	}
	var all []store.Claim
	for p := range store.Partition(4) {
		all = append(all, store.Claim{Partition: p})
	}
	if _, err := s.TakeClaims(t.Context(), session, all); err != nil {
		t.Fatal(err)
	}
	if err := s.EndSession(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	cfg := node.Config{Name: "n1", NATSURL: testharness.NATS(t, testharness.WithListener()).URL(), MongoURI: uri, MongoDatabase: database}
	refusedStart(t, "the flag forgotten", cfg, "128", "4")
	cfg.Partitions = 4
	nodes.Start(t, cfg, gauges(nil)).Stop(t)
	cfg.Partitions, cfg.NATSURL = 8, testharness.NATS(t, testharness.WithListener()).URL()
	refusedStart(t, "now recorded", cfg, "8", "4")
	if bound, err := s.Bind(t.Context(), natsbus.DefaultNamespace, 0); err != nil || bound.Partitions != 4 {
		t.Errorf("bound as %+v, error %v", bound, err)
	}
}
