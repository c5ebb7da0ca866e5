package mongo_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/store"
	mongostore "github.com/ganglion-go/ganglion/store/mongo"
	"github.com/ganglion-go/ganglion/store/storetest"
	"github.com/ganglion-go/ganglion/testharness"
)

var databases atomic.Int64

func newDatabase() string {
	return fmt.Sprintf("test-%d-%d", time.Now().UnixNano(), databases.Add(1))
}

func open(t testing.TB, uri string, cfg mongostore.Config) *mongostore.Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := mongostore.Open(ctx, uri, cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func TestStore_Contract(t *testing.T) {
	t.Parallel()
	uri := testharness.SharedMongo(t, 3).URI()
	storetest.Config{
		Peer: func(t *testing.T, s store.Store) store.Store {
			return open(t, uri, mongostore.Config{Database: s.(*contractStore).database})
		},
	}.Run(t, func(t *testing.T) store.Store {
		database := newDatabase()
		return &contractStore{Store: open(t, uri, mongostore.Config{Database: database}), database: database}
	})
}

// contractStore remembers its database for a peer.
type contractStore struct {
	*mongostore.Store
	database string
}
