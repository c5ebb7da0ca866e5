package mongo_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
	cfg.Database = testharness.DatabaseName(t)
	client, err := driver.Connect(options.Client().ApplyURI(rs.URI()).SetAppName(mongo.AppName(cfg.Database)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(t.Context()) })
	return func() *mongo.Storage { return mongo.New(client, cfg) }
}

func TestStorage(t *testing.T) {
	t.Parallel()
	projectiontest.Run(t, func(t *testing.T) func() projection.Storage {
		handle := open(t, mongo.Config{})
		return func() projection.Storage { return handle() }
	})
}

// A view that an earlier build has written is read, and its documents become new one by
// one, as they are changed.
func TestStorage_EarlierView(t *testing.T) {
	t.Parallel()
	s := open(t, mongo.Config{})()
	at := projection.Place{Projection: "p", Generation: 1, Collection: "c"}
	want := old{Text: "t", Untagged: 5, Time: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC), Bytes: []byte{1}}
	write := func(data []byte) {
		t.Helper()
		txn := s.Begin()
		defer txn.Abort(t.Context())
		if _, err := txn.Commit(t.Context(), []projection.Write{{Place: at, Key: "k", Data: data}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, data := range [][]byte{earlier(t, want), marshal(t, s, want)} {
		write(data)
		docs, err := s.Read(t.Context(), at, "k")
		if err != nil {
			t.Fatal(err)
		}
		var got old
		if err := s.Unmarshal(docs[0].Data, &got); err != nil || !cmp.Equal(got, want) {
			t.Errorf("read %v (-want +got):\n%s", err, cmp.Diff(want, got))
		}
	}
}
