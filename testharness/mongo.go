package testharness

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/testharness/mongod"
)

const (
	findTimeout  = 5 * time.Minute // a download over a slow line
	startTimeout = time.Minute
	envCI        = "CI"
)

// Mongo starts a replica set of its own for the test and closes it when the test
// ends. Take it for tests that kill, pause or cut members off; all others share
// one through [SharedMongo], since a start takes 1 s for one member and 3 to 5 s
// for three.
//
// Without a mongod (see [mongod.Find]) the test is skipped with a line that says
// so, and fails where the environment variable CI is set.
func Mongo(t testing.TB, members int) *mongod.ReplicaSet {
	t.Helper()
	return MongoWith(t, mongod.Config{Members: members})
}

// MongoWith is [Mongo] with more to choose. An empty Dir becomes a temporary
// directory of the test, an empty Binary what [mongod.Find] gives.
func MongoWith(t testing.TB, cfg mongod.Config) *mongod.ReplicaSet {
	t.Helper()
	forbidBubble(t, "MongoDB")
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	rs, err := startMongo(cfg)
	if err != nil {
		endWithoutMongo(t, err)
	}
	t.Cleanup(func() { closeMongo(t, rs) })
	return rs
}

// Mongod is the path of the binary that [Mongo] runs, for tests that start
// replica sets themselves. Without one it skips or fails the test like [Mongo].
func Mongod(t testing.TB) string {
	t.Helper()
	binary, err := findMongod()
	if err != nil {
		endWithoutMongo(t, err)
	}
	return binary
}

// findMongod has a context of its own, as the one that downloads does it for all.
func findMongod() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), findTimeout)
	defer cancel()
	return mongod.Find(ctx, os.Stderr)
}

// startMongo has a context of its own: a shared set outlives the test that starts it.
func startMongo(cfg mongod.Config) (*mongod.ReplicaSet, error) {
	if cfg.Binary == "" {
		binary, err := findMongod()
		if err != nil {
			return nil, err
		}
		cfg.Binary = binary
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	return mongod.StartReplicaSet(ctx, cfg)
}

func endWithoutMongo(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, mongod.ErrNotFound) && os.Getenv(envCI) == "" {
		t.Skipf("testharness: SKIPPED, NOTHING WAS TESTED, there is no MongoDB here: %v", err)
	}
	t.Fatalf("testharness: %v", err)
}

func closeMongo(t testing.TB, rs *mongod.ReplicaSet) {
	t.Helper()
	if err := rs.Close(); err != nil {
		t.Errorf("testharness: close replica set: %v", err)
	}
}

// sharedMongo holds the replica sets that the tests of this binary share, by
// number of members. It is a global because a test binary is what they are
// shared by; [Main] empties it.
var sharedMongo = struct {
	sync.Mutex
	managed bool // Main is there to close them
	sets    map[int]func() (*mongod.ReplicaSet, error)
}{sets: map[int]func() (*mongod.ReplicaSet, error){}}

// SharedMongo gives all tests of the package the same replica set with that many
// members. The first call starts it, [Main] closes it after the last test, so
// the package needs [Main] as its TestMain. Leave its members alone and keep to
// the database that [DatabaseName] gives. Without a mongod it does what [Mongo]
// does.
func SharedMongo(t testing.TB, members int) *mongod.ReplicaSet {
	t.Helper()
	forbidBubble(t, "MongoDB")
	start, managed := sharedStart(members)
	if !managed {
		t.Fatal("testharness: SharedMongo needs `func TestMain(m *testing.M) { testharness.Main(m) }`, which closes it")
	}
	rs, err := start()
	if err != nil {
		endWithoutMongo(t, err)
	}
	return rs
}

func sharedStart(members int) (start func() (*mongod.ReplicaSet, error), managed bool) {
	sharedMongo.Lock()
	defer sharedMongo.Unlock()
	start, ok := sharedMongo.sets[members]
	if !ok {
		start = sync.OnceValues(func() (*mongod.ReplicaSet, error) {
			return startMongo(mongod.Config{Members: members})
		})
		sharedMongo.sets[members] = start
	}
	return start, sharedMongo.managed
}

// manageSharedMongo allows shared sets and returns what closes all of them.
func manageSharedMongo() (closeAll func() error) {
	sharedMongo.Lock()
	defer sharedMongo.Unlock()
	sharedMongo.managed = true
	return func() error {
		sharedMongo.Lock()
		sets := sharedMongo.sets
		sharedMongo.sets, sharedMongo.managed = nil, false
		sharedMongo.Unlock()
		var errs []error
		for _, start := range sets {
			if rs, err := start(); err == nil {
				errs = append(errs, rs.Close())
			}
		}
		return errors.Join(errs...)
	}
}

const (
	maxDatabaseName = 63 // bytes, MongoDB's limit
	suffixLength    = 8
)

// DatabaseName gives a new name on every call, made of the test's name and random
// letters, that is valid for MongoDB, so that tests can share a server.
func DatabaseName(t testing.TB) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		default:
			return '_'
		}
	}, t.Name())
	name = name[:min(len(name), maxDatabaseName-suffixLength-1)]
	return name + "_" + rand.Text()[:suffixLength]
}
