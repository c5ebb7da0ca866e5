package mongo_test

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/store"
	mongostore "github.com/ganglion-go/ganglion/store/mongo"
	"github.com/ganglion-go/ganglion/testharness"
)

func TestOpen_ManyAtOnce(t *testing.T) {
	t.Parallel()
	const nodes = 8
	uri, database := testharness.SharedMongo(t, 3).URI(), testharness.DatabaseName(t)
	stores := make([]*mongostore.Store, nodes)
	var wg sync.WaitGroup
	for i := range stores {
		wg.Go(func() {
			s, err := mongostore.Open(t.Context(), uri, mongostore.Config{Database: database})
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			stores[i] = s
			c := typicalCommit(i)
			if err := s.Append(t.Context(), []store.Commit{c})[0]; err != nil {
				t.Errorf("append: %v", err)
			}
		})
	}
	wg.Wait()
	for i, s := range stores {
		if s == nil {
			continue
		}
		for j := range stores {
			if n := count(t, s, typicalCommit(j).Aggregate); n != 1 {
				t.Errorf("store %d sees %d commits of store %d", i, n, j)
			}
		}
		must(t, "close", s.Close(context.WithoutCancel(t.Context())))
	}
}

func TestOpen_RefusesStandalone(t *testing.T) {
	t.Parallel()
	addr := standalone(t)
	testharness.Eventually(t, 20*time.Second, func() bool {
		s, err := mongostore.Open(t.Context(), "mongodb://"+addr, mongostore.Config{ServerSelectionTimeout: time.Second})
		if err == nil {
			t.Errorf("a standalone server is accepted")
			return s.Close(t.Context()) == nil
		}
		if !errors.Is(err, mongostore.ErrStandalone) && !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("open: %v, want ErrStandalone", err)
		}
		return errors.Is(err, mongostore.ErrStandalone) || t.Failed()
	})
}

// standalone starts a server outside of any replica set.
func standalone(t *testing.T) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, "find a port", err)
	addr = listener.Addr().String()
	port := listener.Addr().(*net.TCPAddr).Port
	must(t, "free the port", listener.Close())
	server := exec.Command(testharness.Mongod(t), "--port", strconv.Itoa(port), "--bind_ip", "127.0.0.1", "--dbpath", t.TempDir())
	must(t, "start a server", server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	return addr
}

func TestOpen_Unreachable(t *testing.T) {
	t.Parallel()
	start := time.Now()
	_, err := mongostore.Open(t.Context(), "mongodb://127.0.0.1:1/?replicaSet=rs0", mongostore.Config{ServerSelectionTimeout: 300 * time.Millisecond})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("open: %v, want unavailable", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("open took %v", took)
	}
}

func TestOpen_InvalidConfig(t *testing.T) {
	t.Parallel()
	_, err := mongostore.Open(t.Context(), "mongodb://127.0.0.1:1", mongostore.Config{Database: "a b", WriteTimeout: -1, ReadTimeout: 1})
	for _, field := range []string{"Database", "WriteTimeout", "ReadTimeout"} {
		if err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("error %v does not tell of %s", err, field)
		}
	}
	if _, err := mongostore.Open(t.Context(), "http://x", mongostore.Config{}); err == nil {
		t.Error("a URI of another kind is accepted")
	}
}

// TestOpen_RefusesDirectConnection: a connection to one server of several does not
// follow the primary. With a single member there is nowhere else to go.
func TestOpen_RefusesDirectConnection(t *testing.T) {
	t.Parallel()
	set := testharness.SharedMongo(t, 3)
	addr := strings.Split(strings.TrimPrefix(strings.SplitN(set.URI(), "/?", 2)[0], "mongodb://"), ",")[0]
	if _, err := mongostore.Open(t.Context(), "mongodb://"+addr+"/?directConnection=true", mongostore.Config{Database: testharness.DatabaseName(t)}); !errors.Is(err, mongostore.ErrDirect) {
		t.Errorf("a direct connection to one of three: %v, want ErrDirect", err)
	}
	if _, err := mongostore.Open(t.Context(), "mongodb://"+addr+"/?loadBalanced=true", mongostore.Config{}); !errors.Is(err, mongostore.ErrDirect) {
		t.Errorf("loadBalanced: %v, want ErrDirect", err)
	}
	one := "mongodb://" + strings.TrimPrefix(strings.SplitN(testharness.SharedMongo(t, 1).URI(), "/?", 2)[0], "mongodb://") + "/?directConnection=true&retryWrites=false&w=1&journal=false&readPreference=secondary"
	s, err := mongostore.Open(t.Context(), one, mongostore.Config{Database: testharness.DatabaseName(t)})
	must(t, "open a set of one", err)
	must(t, "append", s.Append(t.Context(), []store.Commit{typicalCommit(0)})[0])
	must(t, "close", s.Close(t.Context()))
}

// TestOpen_ErrorsShowNoSecret: the driver quotes the values of options.
func TestOpen_ErrorsShowNoSecret(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{
		"mongodb://u:very-secret@h:port/", "mongodb://h/?maxPoolSize=very-secret", "mongodb://u:very-secret%zz@h/",
		"mongodb://h/?authMechanism=PLAIN&authMechanismProperties=very-secret",
	} {
		if _, err := mongostore.Open(t.Context(), uri, mongostore.Config{}); !errors.Is(err, mongostore.ErrURI) || strings.Contains(err.Error(), "very-secret") {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

func TestOpen_ForeignSchema(t *testing.T) {
	t.Parallel()
	uri, database := testharness.SharedMongo(t, 3).URI(), testharness.DatabaseName(t)
	client := connect(t, uri)
	must(t, "create", client.Database(database).CreateCollection(t.Context(), "commits"))
	_, err := mongostore.Open(t.Context(), uri, mongostore.Config{Database: database})
	if !errors.Is(err, mongostore.ErrSchema) {
		t.Errorf("open over a plain collection: %v, want ErrSchema", err)
	}
}

// TestNew_OwnClient: a client that reads from secondaries and acknowledges
// nothing does no harm.
func TestNew_OwnClient(t *testing.T) {
	t.Parallel()
	client := connect(t, testharness.SharedMongo(t, 3).URI()+"&readPreference=secondary&w=0&readConcernLevel=local")
	s, err := mongostore.New(t.Context(), client, mongostore.Config{Database: testharness.DatabaseName(t)})
	must(t, "new", err)
	for i := range 50 {
		c := typicalCommit(0)
		c.First = store.Version(i + 1)
		must(t, "append", s.Append(t.Context(), []store.Commit{c})[0])
		if n := count(t, s, c.Aggregate); n != i+1 {
			t.Fatalf("%d commits are seen after %d appends", n, i+1)
		}
	}
	must(t, "close", s.Close(t.Context()))
	must(t, "ping with a client that Close has left alone", client.Ping(t.Context(), nil))
}

func connect(tb testing.TB, uri string) *driver.Client {
	tb.Helper()
	client, err := driver.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		tb.Fatalf("connect: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = client.Disconnect(ctx)
	})
	return client
}

// TestStore_Plans looks at how the server carries out reads.
func TestStore_Plans(t *testing.T) {
	t.Parallel()
	rs := testharness.Mongo(t, 1) // the profiler would be in others' way
	s := open(t, rs.URI(), mongostore.Config{})
	const commits = 300
	for i := range commits {
		one, two := typicalCommit(1), typicalCommit(2)
		one.First, two.First = store.Version(i+1), store.Version(i+1)
		one.Outcomes[0].Keyed = i%10 == 0
		one.Outcomes[0].CommandID += strconv.Itoa(i)
		for _, err := range s.Append(t.Context(), []store.Commit{one, two}) {
			must(t, "append", err)
		}
	}
	db := connect(t, rs.URI()).Database(mongostore.DefaultDatabase)
	must(t, "profile", db.RunCommand(t.Context(), bson.D{{Key: "profile", Value: 2}}).Err())
	key := typicalCommit(1).Outcomes[0].CommandID + "250"
	if n := count(t, s, typicalCommit(1).Aggregate); n != commits {
		t.Fatalf("loaded %d", n)
	}
	if firstError(s.Load(t.Context(), typicalCommit(1).Aggregate, commits-5)) != nil {
		t.Fatal("load of the end failed")
	}
	if _, ok, err := s.FindOutcome(t.Context(), typicalCommit(1).Aggregate, key, true); !ok || err != nil {
		t.Fatalf("find: %v %v", ok, err)
	}
	must(t, "profile", db.RunCommand(t.Context(), bson.D{{Key: "profile", Value: 0}}).Err())

	var seen []struct {
		Plan string `bson:"planSummary"`
		Docs int    `bson:"docsExamined"`
		Keys int    `bson:"keysExamined"`
	}
	cursor, err := db.Collection("system.profile").Find(t.Context(), bson.D{{Key: "op", Value: "query"}, {Key: "ns", Value: mongostore.DefaultDatabase + ".commits"}})
	must(t, "read profile", err)
	must(t, "read profile", cursor.All(t.Context(), &seen))
	if len(seen) != 3 {
		t.Fatalf("the profiler has %d queries: %+v", len(seen), seen)
	}
	for i, most := range []int{commits + 2, 5 + 2, 1} { // a clustered scan looks at the ends of its range, too
		if seen[i].Docs > most || seen[i].Keys > most+1 {
			t.Errorf("query %d looked at %d documents and %d keys: %s", i, seen[i].Docs, seen[i].Keys, seen[i].Plan)
		}
	}
	if !strings.HasPrefix(seen[0].Plan, "CLUSTERED_IXSCAN") || !strings.HasPrefix(seen[2].Plan, "IXSCAN { _id.a: 1, keys: 1 }") {
		t.Errorf("plans %q and %q", seen[0].Plan, seen[2].Plan)
	}
}
