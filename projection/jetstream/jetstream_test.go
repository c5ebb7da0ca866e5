package jetstream_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/jetstream"
	"github.com/ganglion-go/ganglion/projection/projectiontest"
	"github.com/ganglion-go/ganglion/testharness"
)

func TestMain(m *testing.M) { testharness.Main(m) }

// opener returns what opens storages in namespaces of their own.
func opener(connect func(t *testing.T) *nats.Conn, cfg jetstream.Config) projectiontest.Open {
	var count atomic.Int64
	return func(t *testing.T) func() projection.Storage {
		t.Helper()
		cfg := cfg
		cfg.Namespace = fmt.Sprintf("ns%d", count.Add(1))
		return func() projection.Storage {
			s, err := jetstream.Open(t.Context(), connect(t), cfg)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	}
}

func TestStorage(t *testing.T) {
	t.Parallel()
	server := testharness.NATS(t)
	projectiontest.Run(t, opener(func(t *testing.T) *nats.Conn {
		t.Helper()
		return server.Connect(t)
	}, jetstream.Config{}))
}

func TestStorage_Replicated(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a cluster takes its time")
	}
	cluster := testharness.NATSCluster(t, 3)
	projectiontest.Run(t, opener(func(t *testing.T) *nats.Conn {
		t.Helper()
		return cluster.Connect(t)
	}, jetstream.Config{Replicas: 3}))
}

func TestOpen_RefusesAnotherConfiguration(t *testing.T) {
	t.Parallel()
	server := testharness.NATS(t)
	nc := server.Connect(t)
	if _, err := jetstream.Open(t.Context(), nc, jetstream.Config{}); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []jetstream.Config{{Replicas: 3}, {Storage: 1}, {Namespace: "a.b"}, {MaxBytes: -1}} {
		if _, err := jetstream.Open(t.Context(), nc, cfg); !errors.Is(err, jetstream.ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
