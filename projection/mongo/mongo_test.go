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

func TestMain(m *testing.M) { testharness.Main(m) }

// open returns what opens handles on a database of the test's own.
func open(t *testing.T, cfg mongo.Config) func() *mongo.Storage {
	t.Helper()
	rs := testharness.SharedMongo(t, 1)
	client, err := driver.Connect(options.Client().ApplyURI(rs.URI()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(t.Context()) })
	cfg.Database = testharness.DatabaseName(t)
	return func() *mongo.Storage { return mongo.New(client, cfg) }
}

func TestStorage(t *testing.T) {
	t.Parallel()
	projectiontest.Run(t, func(t *testing.T) func() projection.Storage {
		handle := open(t, mongo.Config{})
		return func() projection.Storage { return handle() }
	})
}
