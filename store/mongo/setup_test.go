package mongo_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/ganglion-go/ganglion/store"
	mongostore "github.com/ganglion-go/ganglion/store/mongo"
	"github.com/ganglion-go/ganglion/store/storetest"
	"github.com/ganglion-go/ganglion/testharness"
)

func TestMain(m *testing.M) { testharness.Main(m) }

func open(tb testing.TB, uri string, cfg mongostore.Config) *mongostore.Store {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	s, err := mongostore.Open(ctx, uri, cfg)
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return s
}

// typicalCommit takes about 400 bytes in the store.
func typicalCommit(i int) store.Commit {
	return store.Commit{
		Aggregate: store.Aggregate(fmt.Sprintf("account/a-%d", i)), First: 1, Partition: store.Partition(i % 128),
		Position: store.Position{Stream: "0192f0c1", Sequence: uint64(i)}, Time: time.Now().UnixMicro(),
		Outcomes: []store.Outcome{{CommandID: fmt.Sprintf("0192f0c1-0000-7000-8000-%012d", i), Events: 1, Reply: []byte(`{"balance":125000}`)}},
		Events:   []store.Event{{Name: "deposited.v1", Data: []byte(`{"amount":125000,"currency":"EUR","reference":"order 1029","price":101.25}`)}},
	}
}

// contractStore remembers its database for a peer.
type contractStore struct {
	*mongostore.Store
	database string
}

func TestStore_Contract(t *testing.T) {
	t.Parallel()
	uri := testharness.SharedMongo(t, 3).URI()
	storetest.Config{
		Peer: func(t *testing.T, s store.Store) store.Store {
			t.Helper()
			return open(t, uri, mongostore.Config{Database: s.(*contractStore).database})
		},
		AppendUnreadable: func(t *testing.T, s store.Store, a store.Aggregate, first store.Version) {
			t.Helper()
			doc := bson.D{{Key: "_id", Value: bson.D{{Key: "a", Value: string(a)}, {Key: "v", Value: int64(first)}}}, {Key: "ev", Value: "damaged"}} //nolint:gosec // small
			if _, err := rawCollection(t, uri, s, "commits").InsertOne(t.Context(), doc); err != nil {
				t.Fatal(err)
			}
		},
		DamageParked: func(t *testing.T, s store.Store, a store.Aggregate, commandID string) {
			t.Helper()
			id := bson.D{{Key: "_id", Value: bson.D{{Key: "a", Value: string(a)}, {Key: "id", Value: commandID}}}}
			done, err := rawCollection(t, uri, s, "parked").
				UpdateOne(t.Context(), id, bson.D{{Key: "$set", Value: bson.D{{Key: "message", Value: 1.5}}}})
			if err != nil || done.MatchedCount != 1 {
				t.Fatalf("%+v, %v", done, err)
			}
		},
	}.Run(t, func(t *testing.T) store.Store {
		t.Helper()
		database := testharness.DatabaseName(t)
		return &contractStore{Store: open(t, uri, mongostore.Config{Database: database}), database: database}
	})
}

// rawCollection is a collection of a store of the contract, beside the store.
func rawCollection(t *testing.T, uri string, s store.Store, name string) *driver.Collection {
	t.Helper()
	client, err := driver.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) })
	return client.Database(s.(*contractStore).database).Collection(name, options.Collection().SetWriteConcern(writeconcern.Majority()))
}
