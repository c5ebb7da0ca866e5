package unrouted_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/examples/trader/unrouted"
	"github.com/ganglion-go/ganglion/testharness"
)

// setupMongo prepares a database of the test and returns what opens storages on
// it, each with connections of its own.
func setupMongo(t *testing.T) (open func() *unrouted.Mongo, db *mongo.Database) {
	t.Helper()
	uri, name := testharness.SharedMongo(t, 1).URI(), testharness.DatabaseName(t)
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) })
	db = client.Database(name)
	if err := unrouted.Prepare(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return func() *unrouted.Mongo {
		m, err := unrouted.OpenMongo(uri, name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close(context.WithoutCancel(t.Context())) })
		return m
	}, db
}

func TestMongo_SecondSaveOfAVersion_IsAConflict(t *testing.T) {
	t.Parallel()
	open, _ := setupMongo(t)
	a, b := open(), open()
	d := unrouted.Deposit{Amount: 5}
	for v := int64(1); v <= 3; v++ {
		if err := a.Append(t.Context(), "x", "c", d, unrouted.Account{Version: v, Balance: 5 * v}); err != nil {
			t.Fatal(err)
		}
	}
	err := b.Append(t.Context(), "x", "d", d, unrouted.Account{Version: 3, Balance: 99})
	if !errors.Is(err, unrouted.ErrConflict) {
		t.Errorf("second save of version 3: %v, want a conflict", err)
	}
	got, err := b.Load(t.Context(), "x")
	if err != nil || got != (unrouted.Account{Version: 3, Balance: 15}) {
		t.Errorf("load: %+v, %v, want version 3 with a balance of 15", got, err)
	}
	// Its neighbours in the order of keys are nobody's.
	for _, id := range []string{"w", "x0", "", "y"} {
		if got, err := b.Load(t.Context(), id); err != nil || got != (unrouted.Account{}) {
			t.Errorf("load of %q: %+v, %v, want nothing", id, got, err)
		}
	}
}

func TestMongo_ClosedConnection_IsUnknown(t *testing.T) {
	t.Parallel()
	open, _ := setupMongo(t)
	m := open()
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := m.Append(t.Context(), "x", "c", unrouted.Deposit{Amount: 5}, unrouted.Account{Version: 1, Balance: 5})
	if !errors.Is(err, unrouted.ErrUnknown) || errors.Is(err, unrouted.ErrConflict) {
		t.Errorf("save over a closed connection: %v, want an unknown outcome", err)
	}
}

// What the benchmark says of loading: one document, however long the history is.
func TestMongo_Load_ExaminesOneDocument(t *testing.T) {
	t.Parallel()
	open, db := setupMongo(t)
	m := open()
	for v := int64(1); v <= 50; v++ {
		if err := m.Append(t.Context(), "x", "c", unrouted.Deposit{Amount: 1}, unrouted.Account{Version: v, Balance: v}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.RunCommand(t.Context(), bson.D{{Key: "profile", Value: 2}}).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Load(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	var query struct {
		Examined int `bson:"docsExamined"`
		Returned int `bson:"nreturned"`
	}
	filter := bson.D{{Key: "op", Value: "query"}, {Key: "command.find", Value: unrouted.Commits}}
	if err := db.Collection("system.profile").FindOne(t.Context(), filter).Decode(&query); err != nil {
		t.Fatal(err)
	}
	// A clustered collection looks at one more, the first beyond the range.
	if query.Returned != 1 || query.Examined > 2 {
		t.Errorf("%d documents examined for %d", query.Examined, query.Returned)
	}
}

// Servers that know nothing of each other, on one account: what was acknowledged
// is there, once.
func TestServers_OnMongo_LoseNothing(t *testing.T) {
	t.Parallel()
	open, _ := setupMongo(t)
	servers := []*unrouted.Server{
		newServer(t, open(), unrouted.Config{Attempts: 1000}),
		newServer(t, open(), unrouted.Config{Attempts: 1000, Cache: true}),
		newServer(t, open(), unrouted.Config{Attempts: 1000, Cache: true, TakeTurns: true}),
	}
	const each = 10
	var all sync.WaitGroup
	for _, s := range servers {
		for range 2 {
			all.Go(func() {
				for range each {
					if a := deposit(t, s); a.Status != http.StatusOK {
						t.Errorf("answer %+v", a)
					}
				}
			})
		}
	}
	all.Wait()
	conflicts := int64(0)
	for _, s := range servers {
		conflicts += s.Counts().Conflicts.Load()
	}
	if conflicts == 0 {
		t.Error("no conflict: nothing was tested")
	}
	const want = 6 * each
	if got := read(t, servers[0]); got.Version != want || got.State.Balance != 5*want {
		t.Errorf("state %+v, want version %d with a balance of %d", got, want, 5*want)
	}
}
