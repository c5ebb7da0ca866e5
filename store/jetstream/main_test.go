package jetstream_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/testharness"
)

func TestMain(m *testing.M) { testharness.Main(m) }

func open(tb testing.TB, nc *nats.Conn, cfg jetstream.Config) *jetstream.Store {
	tb.Helper()
	s, err := jetstream.Open(tb.Context(), nc, cfg)
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	return s
}

// openers returns what the suite needs for stores in namespaces of their own on
// shared servers: one that opens a new store and one that opens another client
// of it.
func openers(connect func(t *testing.T) *nats.Conn, cfg jetstream.Config) (fresh func(*testing.T) store.Store, peer func(*testing.T, store.Store) store.Store) {
	var count atomic.Int64
	fresh = func(t *testing.T) store.Store {
		t.Helper()
		cfg := cfg
		cfg.Namespace = fmt.Sprintf("ns%d", count.Add(1))
		return &namedStore{open(t, connect(t), cfg), cfg}
	}
	peer = func(t *testing.T, s store.Store) store.Store {
		t.Helper()
		named, ok := s.(*namedStore)
		if !ok {
			t.Fatalf("peer of a %T", s)
		}
		return open(t, connect(t), named.cfg)
	}
	return fresh, peer
}

// namedStore is a store that tells how it was opened.
type namedStore struct {
	store.Store
	cfg jetstream.Config
}

func event(data string) []store.Event { return []store.Event{{Name: "e", Data: []byte(data)}} }

func commit(a store.Aggregate, first store.Version) store.Commit {
	return store.Commit{
		Aggregate: a, First: first, Events: event(`{"n":1}`),
		Outcomes: []store.Outcome{{CommandID: fmt.Sprintf("id-%d", first), Keyed: true, Events: 1, Reply: []byte(`{}`)}},
	}
}

func versions(t *testing.T, s store.Store, a store.Aggregate) (all []store.Version) {
	t.Helper()
	for c, err := range s.Load(t.Context(), a, 0) {
		if err != nil {
			t.Fatalf("load %q: %v", a, err)
		}
		all = append(all, c.First)
	}
	return all
}
