package testharness_test

import (
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/mongod"
)

func TestSharedMongo_IsShared(t *testing.T) {
	t.Parallel()
	rs := testharness.SharedMongo(t, 1)
	if again := testharness.SharedMongo(t, 1); again != rs {
		t.Error("two sets where one was to be shared")
	}
	coll := connectMongo(t, rs).Database(testharness.DatabaseName(t)).Collection("c")
	if _, err := coll.InsertOne(t.Context(), bson.D{{Key: "_id", Value: 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := coll.InsertOne(t.Context(), bson.D{{Key: "_id", Value: 1}}); !mongo.IsDuplicateKeyError(err) {
		t.Errorf("second insert: %v, want a duplicate key", err)
	}
}

func TestDatabaseName(t *testing.T) {
	t.Parallel()
	t.Run(strings.Repeat("long and/odd.name$", 10), func(t *testing.T) {
		t.Parallel()
		first, second := testharness.DatabaseName(t), testharness.DatabaseName(t)
		if first == second {
			t.Errorf("%q was given twice", first)
		}
		if len(first) > 63 || strings.ContainsAny(first, `/\. "$*<>:|?`) {
			t.Errorf("%q is not a name for a database", first)
		}
	})
}

func connectMongo(t *testing.T, rs *mongod.ReplicaSet) *mongo.Client {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(rs.URI()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(t.Context()) })
	return client
}
