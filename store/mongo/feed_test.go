package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/ganglion-go/ganglion/store"
	mongostore "github.com/ganglion-go/ganglion/store/mongo"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/mongod"
)

// ledger checks that a feed shows each aggregate's versions once and in order.
type ledger map[store.Aggregate]store.Version

func (l ledger) take(t *testing.T, item store.FeedItem) {
	t.Helper()
	c := &item.Commit
	if want := l[c.Aggregate] + 1; c.First != want {
		t.Fatalf("%s: version %d came, want %d (token %.60s)", c.Aggregate, c.First, want, item.Token)
	}
	l[c.Aggregate] = c.Last()
}

func (l ledger) total() (n int) {
	for _, v := range l {
		n += int(v)
	}
	return n
}

// growing is aggregates that get one more commit each.
type growing struct {
	t       *testing.T
	s       *mongostore.Store
	from, n int
	version store.Version

	doubtful []store.Aggregate // the outcome of an append was unknown at least once
}

func (g *growing) grow(ctx context.Context) {
	g.t.Helper()
	g.version++
	commits := make([]store.Commit, g.n)
	for i := range commits {
		commits[i] = typicalCommit(i)
		commits[i].Aggregate = store.Aggregate(fmt.Sprintf("account/%05d", g.from+i))
		commits[i].First = g.version
	}
	for len(commits) > 0 {
		commits = g.append(ctx, commits)
	}
}

// append returns the commits whose outcome is unknown. One that was unknown is written
// if the next try finds it in conflict with itself.
func (g *growing) append(ctx context.Context, commits []store.Commit) (unknown []store.Commit) {
	g.t.Helper()
	for i, err := range g.s.Append(ctx, commits) {
		switch c := commits[i]; {
		case err == nil:
		case errors.Is(err, store.ErrUnknown) && ctx.Err() == nil:
			g.doubtful = append(g.doubtful, c.Aggregate)
			unknown = append(unknown, c)
		case errors.Is(err, store.ErrConflict) && slices.Contains(g.doubtful, c.Aggregate):
		default:
			g.t.Errorf("append: %v", err)
		}
	}
	return unknown
}

// TestFollow_ScanInParts: while a scan goes on, its moment leaves the history
// that the server keeps, and commits come before and behind it.
func TestFollow_ScanInParts(t *testing.T) {
	t.Parallel()
	rs := testharness.MongoWith(t, mongod.Config{Members: 1, Parameters: map[string]string{"minSnapshotHistoryWindowInSeconds": "0"}})
	s := open(t, rs.URI(), mongostore.Config{})
	// A batch of a scan is 1000 commits.
	g := &growing{t: t, s: s, n: 3500}
	g.grow(t.Context())

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	seen := ledger{}
	var token store.Token
	parts := false
	for restart := 0; seen.total() < 6*g.n; restart++ {
		stop := seen.total() + 1 + rng.IntN(2500)
		for item, err := range s.Follow(t.Context(), token) {
			must(t, "follow", err)
			seen.take(t, item)
			token = item.Token
			n := seen.total()
			if n%1400 == 700 && g.version < 6 {
				g.grow(t.Context()) // moves the history on
			}
			parts = parts || strings.HasPrefix(string(token), "s") && len(token) > 200
			if n == 6*g.n || n >= stop && restart < 8 {
				break
			}
		}
	}
	for a, v := range seen {
		if v != 6 {
			t.Errorf("%s has been shown up to version %d", a, v)
		}
	}
	if !parts {
		t.Error("the scan was in one part, and the test shows little")
	}
}

// TestFollow_Faults: the feed survives a step-down and a killed primary, and
// shows everything once.
func TestFollow_Faults(t *testing.T) {
	t.Parallel()
	rs := testharness.Mongo(t, 3)
	s := open(t, rs.URI(), mongostore.Config{})
	const rounds, each = 60, 20
	ctx, cancel := context.WithTimeout(t.Context(), faultLimit)
	defer cancel()
	start, err := s.Now(ctx)
	must(t, "now", err)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		g := &growing{t: t, s: s, n: each}
		for range rounds {
			g.grow(ctx)
		}
	})
	seen := ledger{}
	for item, err := range s.Follow(ctx, start) {
		must(t, "follow", err)
		seen.take(t, item)
		switch seen.total() {
		case rounds * each / 4:
			wg.Go(func() {
				if err := rs.StepDown(ctx); err != nil {
					t.Errorf("step down: %v", err)
				}
			})
		case rounds * each / 2:
			primary := primaryOf(ctx, t, rs)
			primary.Kill()
			wg.Go(func() {
				if err := primary.Restart(ctx); err != nil {
					t.Errorf("restart: %v", err)
				}
			})
		case rounds * each:
			return
		}
	}
	t.Errorf("the feed ended after %d of %d commits: %v", seen.total(), rounds*each, ctx.Err())
}

// TestFollow_GivesUp when the server cannot be read for long.
func TestFollow_GivesUp(t *testing.T) {
	t.Parallel()
	rs := testharness.Mongo(t, 1)
	uri := rs.URI() + "&serverSelectionTimeoutMS=1000"
	s := open(t, uri, mongostore.Config{FollowTimeout: time.Second})
	must(t, "append", s.Append(t.Context(), []store.Commit{typicalCommit(1)})[0])
	for item, err := range s.Follow(t.Context(), "") {
		if err != nil {
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("follow: %v, want unavailable", err)
			}
			return
		}
		if item.Commit.Aggregate == typicalCommit(1).Aggregate {
			rs.Members()[0].Kill()
		}
	}
	t.Error("the feed ended without an error")
}

// TestFollow_OplogGone: a token that the oplog has left behind has expired.
func TestFollow_OplogGone(t *testing.T) {
	t.Parallel()
	rs := testharness.Mongo(t, 1)
	s := open(t, rs.URI(), mongostore.Config{})
	for i := range 2 {
		must(t, "append", s.Append(t.Context(), []store.Commit{typicalCommit(i)})[0])
	}
	now, err := s.Now(t.Context())
	must(t, "now", err)
	tokens := []store.Token{now}
	items := 0
	for item, err := range s.Follow(t.Context(), "") {
		must(t, "follow", err)
		tokens = append(tokens, item.Token)
		if items++; items == 2 {
			break
		}
	}
	client := connect(t, rs.URI())
	floodOplog(t, client)
	for _, token := range tokens {
		for item, err := range s.Follow(t.Context(), token) {
			if err == nil && strings.HasPrefix(string(item.Token), "s") {
				continue // the scan goes on in the collection
			}
			if !errors.Is(err, store.ErrTokenExpired) {
				t.Errorf("follow after %.10s: %v, want expired", token, err)
			}
			break
		}
	}
	// From the beginning all is there.
	seen := ledger{}
	for item, err := range s.Follow(t.Context(), "") {
		must(t, "follow", err)
		seen.take(t, item)
		if seen.total() == 2 {
			break
		}
	}
}

const oplogMB = 256 // what the harness gives a server

// floodOplog writes until the server has cut the beginning of its oplog off.
func floodOplog(t *testing.T, client *driver.Client) {
	t.Helper()
	oplog := client.Database("local").Collection("oplog.rs")
	first := func() bson.Timestamp {
		for {
			var entry struct {
				Time bson.Timestamp `bson:"ts"`
			}
			err := oplog.FindOne(t.Context(), bson.D{}, options.FindOne().SetSort(bson.D{{Key: "$natural", Value: 1}})).Decode(&entry)
			if cut, ok := errors.AsType[driver.CommandError](err); ok && cut.Name == "CappedPositionLost" {
				continue // it was cut off while it was read
			}
			must(t, "read oplog", err)
			return entry.Time
		}
	}
	before := first()
	ballast := client.Database("ballast").Collection("c", options.Collection().SetWriteConcern(writeconcern.W1()))
	text := strings.Repeat("0123456789abcdef", 512<<10)
	write := func() {
		_, err := ballast.InsertOne(t.Context(), bson.D{{Key: "text", Value: text}})
		must(t, "write ballast", err)
	}
	for range 2 * oplogMB / 8 {
		write()
	}
	// The server cuts only what is older than its last checkpoint, which it makes
	// once a minute.
	var last time.Time
	testharness.Eventually(t, 3*time.Minute, func() bool {
		if time.Since(last) > time.Second {
			write()
			last = time.Now()
		}
		return first().After(before)
	})
}

func TestFollow_MadeUpTokens(t *testing.T) {
	t.Parallel()
	s, _ := shell(t)
	for _, token := range []store.Token{"x", "e", "ezz", "e82", "e82.", "e82.*", "e8263", "t", "t-1", "tx", "t0", "s", "s*", "se30", "seyJwIjpbXX0", "\xff"} {
		for _, err := range s.Follow(t.Context(), token) {
			if !errors.Is(err, store.ErrTokenExpired) {
				t.Errorf("follow after %q: %v, want expired", token, err)
			}
			break
		}
	}
}
