package mongo_test

import (
	"testing"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/projection/mongo"
	"github.com/ganglion-go/ganglion/projection/projectiontest"
	"github.com/ganglion-go/ganglion/testharness"
)

func BenchmarkFill(b *testing.B) {
	rs := testharness.SharedMongo(b, 3)
	client, err := driver.Connect(options.Client().ApplyURI(rs.URI()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = client.Disconnect(b.Context()) })
	projectiontest.Bench(b, func(b *testing.B) projection.Storage {
		b.Helper()
		return mongo.New(client, mongo.Config{Database: testharness.DatabaseName(b)})
	})
}
