package mongo_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/store"
	mongostore "github.com/ganglion-go/ganglion/store/mongo"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/mongod"
)

// direct connects to one member, whatever its state.
func direct(t *testing.T, addr string) *driver.Client {
	t.Helper()
	client, err := driver.Connect(options.Client().SetHosts([]string{addr}).SetDirect(true))
	must(t, "connect", err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = client.Disconnect(ctx)
	})
	return client
}

func admin(t *testing.T, client *driver.Client, command bson.D) {
	t.Helper()
	must(t, command[0].Key, client.Database("admin").RunCommand(t.Context(), command).Err())
}

// failPoint sets a fail point of a server until the test ends.
func failPoint(t *testing.T, client *driver.Client, name string, mode any, data bson.D) {
	t.Helper()
	admin(t, client, bson.D{{Key: "configureFailPoint", Value: name}, {Key: "mode", Value: mode}, {Key: "data", Value: data}})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		off := bson.D{{Key: "configureFailPoint", Value: name}, {Key: "mode", Value: "off"}}
		if err := client.Database("admin").RunCommand(ctx, off).Err(); err != nil {
			t.Errorf("end fail point: %v", err)
		}
	})
}

func testCommands(t *testing.T, members int) *mongod.ReplicaSet {
	t.Helper()
	return testharness.MongoWith(t, mongod.Config{Members: members, Parameters: map[string]string{"enableTestCommands": "1"}})
}

func inserts(data ...bson.E) bson.D {
	return append(bson.D{{Key: "failCommands", Value: bson.A{"insert"}}}, data...)
}

// TestAppend_FailPoints lets the server answer inserts with errors.
func TestAppend_FailPoints(t *testing.T) { //nolint:tparallel // a fail point is the server's: one subtest at a time
	t.Parallel()
	rs := testCommands(t, 1)
	client := direct(t, rs.Members()[0].Addr())
	s := open(t, rs.URI(), mongostore.Config{WriteTimeout: 2 * time.Second})
	once := bson.D{{Key: "times", Value: 1}}
	concern := bson.E{Key: "writeConcernError", Value: bson.D{{Key: "code", Value: 64}, {Key: "errmsg", Value: "timed out"}}}
	for _, test := range []struct {
		name, point string
		mode        any
		data        bson.D
		want        error
		stored      bool
	}{
		{"connection breaks before", "failCommand", once, inserts(bson.E{Key: "closeConnection", Value: true}), store.ErrUnknown, false},
		{"not primary for a moment", "failCommand", once, inserts(bson.E{Key: "errorCode", Value: 10107}, bson.E{Key: "errorLabels", Value: bson.A{"RetryableWriteError"}}), store.ErrUnknown, false},
		{"connections keep breaking", "failCommand", "alwaysOn", inserts(bson.E{Key: "closeConnection", Value: true}), store.ErrUnknown, false},
		{"an error that is not retried", "failCommand", once, inserts(bson.E{Key: "errorCode", Value: 8}), store.ErrUnknown, false},
		{"no majority in time", "failCommand", once, inserts(concern), store.ErrUnknown, true},
		{"no answer in time", "failCommand", "alwaysOn", inserts(bson.E{Key: "blockConnection", Value: true}, bson.E{Key: "blockTimeMS", Value: 4000}), store.ErrUnknown, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			failPoint(t, client, test.point, test.mode, test.data)
			one, two := typicalCommit(1), typicalCommit(2)
			one.Aggregate, two.Aggregate = store.Aggregate("one/"+test.name), store.Aggregate("two/"+test.name)
			start := time.Now()
			for _, err := range s.Append(t.Context(), []store.Commit{one, two}) {
				if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
					t.Errorf("append: %v, want %v", err, test.want)
				}
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("append took %v", took)
			}
			want := 0
			if test.stored {
				want = 1
			}
			for _, c := range []store.Commit{one, two} {
				// What was not acknowledged may become durable a little later.
				testharness.Eventually(t, 5*time.Second, func() bool { return count(t, s, c.Aggregate) == want })
			}
		})
	}
}

// TestAppend_RepeatAfterUnknown: a commit whose outcome was unknown is in
// conflict with itself.
func TestAppend_RepeatAfterUnknown(t *testing.T) {
	t.Parallel()
	rs := testCommands(t, 1)
	s := open(t, rs.URI(), mongostore.Config{})
	failPoint(t, direct(t, rs.Members()[0].Addr()), "failCommand", bson.D{{Key: "times", Value: 1}},
		inserts(bson.E{Key: "writeConcernError", Value: bson.D{{Key: "code", Value: 64}, {Key: "errmsg", Value: "timed out"}}}))
	c := typicalCommit(1)
	for _, want := range []error{store.ErrUnknown, store.ErrConflict, store.ErrConflict} {
		if err := s.Append(t.Context(), []store.Commit{c})[0]; !errors.Is(err, want) {
			t.Fatalf("append: %v, want %v", err, want)
		}
	}
}

// TestLoad_NeverStale asks a member that has fallen behind, as a primary would
// be that was replaced without knowing. A store that has seen a later write does
// not get an answer from it; one that has not, does.
func TestLoad_NeverStale(t *testing.T) {
	t.Parallel()
	rs := testCommands(t, 3)
	s := open(t, rs.URI(), mongostore.Config{})
	one := typicalCommit(1)
	must(t, "append", s.Append(t.Context(), []store.Commit{one})[0])

	behind := follower(t, rs)
	stale, err := mongostore.New(t.Context(), behind, mongostore.Config{ReadTimeout: 1500 * time.Millisecond})
	must(t, "open the member", err)
	stale.SeeWhat(s)
	testharness.Eventually(t, 10*time.Second, func() bool { return count(t, stale, one.Aggregate) == 1 })
	failPoint(t, behind, "rsSyncApplyStop", "alwaysOn", bson.D{})

	two := one
	two.First = 2
	must(t, "append", s.Append(t.Context(), []store.Commit{two})[0])
	if n := count(t, stale, one.Aggregate); n != 1 {
		t.Fatalf("the member shows %d commits: it is not behind, and the test shows nothing", n)
	}
	stale.SeeWhat(s)
	for what, err := range map[string]error{
		"load":         firstError(stale.Load(t.Context(), one.Aggregate, 0)),
		"find outcome": outcomeError(t, stale, one.Aggregate),
		"snapshot":     snapshotError(t, stale, one.Aggregate),
	} {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s from a member that is behind: %v, want unavailable", what, err)
		}
	}
}

// TestConfirmSession_PrimaryReplaced asks a primary that was stopped, and goes on
// after another one has taken its place. For a moment it believes that it still is
// the primary, and knows nothing of what was written since. It must not say that a
// session lives which was declared dead.
//
//	primary P, stopped      members Q, R                node
//	                        elect Q
//	                        the session is dead
//	(in its socket)  <--------------------------------- asks P
//	goes on: "primary",
//	the session lives
//	the no-op finds no
//	majority                                            gets no answer, or an error
func TestConfirmSession_PrimaryReplaced(t *testing.T) {
	t.Parallel()
	const askers = 16
	rs := testCommands(t, 3)
	s := open(t, rs.URI(), mongostore.Config{})
	session := store.Session{Name: "node", Incarnation: "one", Beat: 1}
	must(t, "open session", s.OpenSession(t.Context(), session, nil))
	old := primaryOf(t.Context(), t, rs)
	client := direct(t, old.Addr())
	fooled, err := mongostore.New(t.Context(), client, mongostore.Config{})
	must(t, "open the primary", err)
	must(t, "confirm", fooled.ConfirmSession(t.Context(), session))

	must(t, "pause", old.Pause())
	t.Cleanup(func() { _ = old.Resume() })
	testharness.Eventually(t, 60*time.Second, func() bool {
		now, err := rs.Primary(t.Context())
		return err == nil && now != old
	})
	// A primary that has just been elected may lose its place again.
	testharness.Eventually(t, 60*time.Second, func() bool {
		err := s.DeclareDead(t.Context(), session)
		return err == nil || errors.Is(err, store.ErrLost)
	})
	plain := client.Database(mongostore.DefaultDatabase).Collection("nodes")
	var asking sync.WaitGroup
	var past atomic.Int64
	for range askers {
		asking.Go(func() {
			if err := fooled.ConfirmSession(t.Context(), session); !errors.Is(err, store.ErrLost) && !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("confirm a dead session: %v", err)
			}
		})
		asking.Go(func() {
			var doc struct{ Dead bool }
			if plain.FindOne(t.Context(), bson.D{{Key: "_id", Value: "node"}}).Decode(&doc) == nil && !doc.Dead {
				past.Add(1)
			}
		})
	}
	must(t, "resume", old.Resume())
	asking.Wait()
	t.Logf("%d of %d plain reads showed the past", past.Load(), askers)
}

// follower connects to a secondary.
func follower(t *testing.T, rs *mongod.ReplicaSet) *driver.Client {
	t.Helper()
	primary := primaryOf(t.Context(), t, rs)
	for _, m := range rs.Members() {
		if m != primary {
			return direct(t, m.Addr())
		}
	}
	t.Fatal("no secondary")
	return nil
}

func count(t *testing.T, s *mongostore.Store, a store.Aggregate) (n int) {
	t.Helper()
	for _, err := range s.Load(t.Context(), a, 0) {
		if err != nil {
			return -1
		}
		n++
	}
	return n
}

func firstError(seq func(yield func(store.Commit, error) bool)) (first error) {
	for _, err := range seq {
		first = err
		break
	}
	return first
}

func outcomeError(t *testing.T, s *mongostore.Store, a store.Aggregate) error {
	t.Helper()
	_, _, err := s.FindOutcome(t.Context(), a, "x", true)
	return err
}

func snapshotError(t *testing.T, s *mongostore.Store, a store.Aggregate) error {
	t.Helper()
	_, _, err := s.LoadSnapshot(t.Context(), a, "v1")
	return err
}
