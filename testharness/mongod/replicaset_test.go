package mongod_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/internal/loopback"
	"github.com/ganglion-go/ganglion/testharness/mongod"
)

// patience covers what [mongod.Member.Pause] can cost, on a loaded machine.
const patience = 90 * time.Second

// One set goes through all of it, since a start is what takes the time.
func TestReplicaSet_ThreeMembers_SurviveFaults(t *testing.T) {
	t.Parallel()
	rs := testharness.Mongo(t, 3)
	coll := collection(t, rs.URI())
	insert(t, coll, "start")

	before := primary(t, rs)
	if err := rs.StepDown(withPatience(t)); err != nil {
		t.Fatal(err)
	}
	stepped := primary(t, rs)
	if stepped == before {
		t.Errorf("member %d is primary after it stepped down", before.Index())
	}
	insert(t, coll, "after step down")

	stepped.Kill()
	stepped.Kill()
	if err := stepped.Pause(); !errors.Is(err, mongod.ErrNotRunning) {
		t.Errorf("pause of a killed member: %v", err)
	}
	killed := primary(t, rs)
	if killed == stepped {
		t.Error("a killed member is primary")
	}
	insert(t, coll, "after kill")
	if err := stepped.Restart(withPatience(t)); err != nil {
		t.Fatal(err)
	}
	if stepped.PID() == 0 {
		t.Error("a restarted member has no process")
	}
	must(t, rs.AwaitReplication(withPatience(t)))

	paused := primary(t, rs)
	must(t, paused.Pause())
	next := primaryOtherThan(t, rs, paused)
	insert(t, coll, "during pause")
	must(t, paused.Resume())
	if got := primary(t, rs); got == paused {
		t.Errorf("member %d still counts as primary after %d was elected", paused.Index(), next.Index())
	}
	must(t, rs.AwaitReplication(withPatience(t)))

	if n, err := coll.CountDocuments(t.Context(), bson.D{}); n != 4 || err != nil {
		t.Errorf("%d documents, %v; want all 4 that were acknowledged", n, err)
	}
}

func TestReplicaSet_OneMember_StepDown(t *testing.T) {
	t.Parallel()
	rs := testharness.Mongo(t, 1)
	coll := collection(t, rs.URI())
	insert(t, coll, "start")
	if err := rs.StepDown(withPatience(t)); err != nil {
		t.Fatal(err)
	}
	insert(t, coll, "after step down")
}

func TestReplicaSet_Primary_NoMajority(t *testing.T) {
	t.Parallel()
	rs := testharness.Mongo(t, 1)
	m := rs.Members()[0]
	m.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := rs.Primary(ctx); !errors.Is(err, mongod.ErrNoPrimary) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := rs.AwaitReplication(ctx); !errors.Is(err, mongod.ErrNotReplicated) {
		t.Errorf("got %v", err)
	}
}

func TestReplicaSet_Reopen_KeepsData(t *testing.T) {
	t.Parallel()
	binary := requireMongod(t)
	port, err := loopback.Reserve()
	must(t, err)
	port.Release()
	cfg := mongod.Config{Binary: binary, Dir: t.TempDir(), Ports: []int{port.Number()}}
	for round := range 2 {
		rs, err := mongod.StartReplicaSet(withPatience(t), cfg)
		must(t, err)
		coll := collection(t, rs.URI())
		insert(t, coll, "x")
		if n, err := coll.CountDocuments(t.Context(), bson.D{}); n != int64(round+1) || err != nil {
			t.Errorf("round %d: %d documents, %v", round, n, err)
		}
		must(t, coll.Database().Client().Disconnect(t.Context()))
		must(t, rs.Close())
		if listens(port.Addr()) {
			t.Error("a member listens after Close")
		}
		must(t, rs.Close())
	}
}

func TestReplicaSet_TemporaryDirIsRemoved(t *testing.T) {
	t.Parallel()
	rs, err := mongod.StartReplicaSet(withPatience(t), mongod.Config{Binary: requireMongod(t)})
	must(t, err)
	log := rs.Members()[0].LogPath()
	if _, err := os.Stat(log); err != nil {
		t.Error(err)
	}
	must(t, rs.Close())
	if _, err := os.Stat(log); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the log is still there: %v", err)
	}
}

func TestStartReplicaSet_Failure_ShowsLog(t *testing.T) {
	t.Parallel()
	cfg := mongod.Config{
		Binary: requireMongod(t), Dir: t.TempDir(),
		Parameters: map[string]string{"noSuchParameter": "1"},
	}
	_, err := mongod.StartReplicaSet(withPatience(t), cfg)
	start, ok := errors.AsType[*mongod.StartError](err)
	if !ok || !strings.Contains(start.LogTail, "noSuchParameter") || !strings.Contains(err.Error(), start.LogTail) {
		t.Errorf("got %v", err)
	}
}

func TestStartReplicaSet_RejectsConfig(t *testing.T) {
	t.Parallel()
	for _, cfg := range []mongod.Config{
		{Members: 2},
		{Members: -1},
		{Members: 9},
		{Members: 3, Ports: []int{1}},
		{Ports: []int{1}, Proxied: true},
		{ElectionTimeout: time.Microsecond},
		{CacheMB: 1},
	} {
		cfg.Binary = "unused"
		if _, err := mongod.StartReplicaSet(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "Config.") {
			t.Errorf("%+v gives %v", cfg, err)
		}
	}
}

func requireMongod(t *testing.T) string {
	t.Helper()
	return testharness.Mongod(t)
}

func withPatience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func primary(t *testing.T, rs *mongod.ReplicaSet) *mongod.Member {
	t.Helper()
	m, err := rs.Primary(withPatience(t))
	must(t, err)
	if !slices.Contains(rs.Members(), m) {
		t.Fatal("the primary is no member")
	}
	return m
}

func primaryOtherThan(t *testing.T, rs *mongod.ReplicaSet, old *mongod.Member) *mongod.Member {
	t.Helper()
	var m *mongod.Member
	testharness.Eventually(t, patience, func() bool {
		m = primary(t, rs)
		return m != old
	})
	return m
}

func collection(t *testing.T, uri string, opts ...func(*options.ClientOptions)) *mongo.Collection {
	t.Helper()
	o := options.Client().ApplyURI(uri).SetWriteConcern(writeconcern.Majority())
	for _, opt := range opts {
		opt(o)
	}
	client, err := mongo.Connect(o)
	must(t, err)
	t.Cleanup(func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) })
	return client.Database("test").Collection("c")
}

func insert(t *testing.T, coll *mongo.Collection, text string) {
	t.Helper()
	if _, err := coll.InsertOne(withPatience(t), bson.D{{Key: "text", Value: text}}); err != nil {
		t.Fatalf("insert %q: %v", text, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
