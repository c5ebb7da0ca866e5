package node_test

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/node/testdata/golden/domain"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// goldenBuilds are the builds whose data there is, by commit, as
// testdata/golden/record made it.
var goldenBuilds = []string{"6bff7de"}

// What a killed node of an earlier build has left is gone on with: states, outcomes by
// key, messages, timers, sagas, parked commands and views.
func TestNode_ReadsWhatEarlierBuildsStored(t *testing.T) {
	t.Parallel()
	for _, build := range goldenBuilds {
		for _, store := range []string{"jetstream", "mongo"} {
			t.Run(build+"/"+store, func(t *testing.T) {
				t.Parallel()
				from := filepath.Join("testdata", "golden", build)
				g := &goldenRun{}
				readJSON(t, filepath.Join(from, store+".json"), &g.was)
				cfg := node.Config{DataDir: testharness.TempDir(t), Partitions: 4, Projections: []*projection.Projection{domain.Totals}}
				unpack(t, filepath.Join(from, store+".tar.gz"), cfg.DataDir)
				if store == "mongo" {
					cfg.MongoURI, cfg.MongoDatabase = testharness.SharedMongo(t, 1).URI(), testharness.DatabaseName(t)
					restore(t, filepath.Join(from, "mongo.json.gz"), cfg.MongoURI, cfg.MongoDatabase)
					if err := os.Rename(filepath.Join(cfg.DataDir, "nats-mongo-golden"), filepath.Join(cfg.DataDir, "nats-mongo-"+cfg.MongoDatabase)); err != nil {
						t.Fatal(err)
					}
				}
				g.Local = nodes.Start(t, cfg, domain.Definitions()...)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				g.check(ctx, t)
				g.Stop(t)
				g.Local = nodes.Start(t, cfg, domain.Definitions()...) // and so is what this build has made of it
				g.check(ctx, t)
			})
		}
	}
}

type goldenRun struct {
	*nodes.Local
	was domain.Recorded
}

func (g *goldenRun) check(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, a := range g.was.Answers {
		reply, err := actor.Ask(ctx, g.Client(), domain.Accounts.ID(a.Account), domain.Deposit{Cents: a.Cents}, actor.WithCommandID(actor.CommandID(a.Key)))
		code := ""
		if rejection, ok := errors.AsType[*actor.Rejection](err); ok {
			code = rejection.Code
		} else if err != nil {
			t.Errorf("%s: %v", a.Key, err)
		}
		if reply != a.Reply || code != a.Code {
			t.Errorf("%s is answered with %d, %q, the first time with %d, %q", a.Key, reply, code, a.Reply, a.Code)
		}
	}
	testharness.Eventually(t, 30*time.Second, func() bool { return slices.Equal(g.look(ctx, t, "a-3").Rang, []string{"soon"}) })
	for id, cents := range g.was.Sent {
		testharness.Eventually(t, 30*time.Second, func() bool { return g.look(ctx, t, id).Cents >= cents })
		if got := g.look(ctx, t, id); got.Cents != cents {
			t.Errorf("%s has %d cents of %d that were sent", id, got.Cents, cents)
		}
		if err := g.View(domain.Totals).Wait(ctx, projection.Version(domain.Accounts.ID(id), g.version(ctx, t, id))); err != nil {
			t.Fatal(err)
		}
		if got := g.total(ctx, t, id); got.Cents != cents {
			t.Errorf("the view shows %+v of %s, want %d cents", got, id, cents)
		}
	}
	for id, was := range g.was.States {
		want := was.Statement
		if id == "a-3" {
			want.Rang = []string{"soon"}
		}
		if diff := cmp.Diff(want, g.look(ctx, t, id)); diff != "" {
			t.Errorf("%s (-recorded +now):\n%s", id, diff)
		}
		if now := g.version(ctx, t, id); uint64(now) < was.Version {
			t.Errorf("%s is at version %d, and was at %d", id, now, was.Version)
		}
	}
	for id, was := range g.was.Totals {
		if diff := cmp.Diff(was, g.total(ctx, t, id)); diff != "" {
			t.Errorf("view of %s (-recorded +now):\n%s", id, diff)
		}
	}
	if shown := adminCall(t, http.MethodGet, g.AdminURL()+"/parked", http.StatusOK); !strings.Contains(shown, "account/"+g.was.Parked) || !strings.Contains(shown, "Explode") {
		t.Errorf("parked: %s", shown)
	}
	if _, err := actor.Ask(ctx, g.Client(), domain.Accounts.ID("new"), domain.Deposit{Cents: 1}); err != nil {
		t.Errorf("a new command: %v", err)
	}
}

func (g *goldenRun) look(ctx context.Context, t *testing.T, id string) domain.Statement {
	t.Helper()
	s, err := actor.Read(ctx, g.Client(), domain.Accounts.ID(id), domain.Look{})
	if err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	return s
}

func (g *goldenRun) total(ctx context.Context, t *testing.T, id string) domain.Total {
	t.Helper()
	got, _, err := projection.Get[domain.Total](ctx, g.View(domain.Totals), "totals", id)
	if err != nil {
		t.Fatalf("view of %s: %v", id, err)
	}
	return got
}

func (g *goldenRun) version(ctx context.Context, t *testing.T, id string) actor.Version {
	t.Helper()
	var state struct {
		Version actor.Version `json:"version"`
	}
	status, body := request(ctx, t, http.MethodGet, g.URL()+"/v1/account/"+id)
	if err := json.Unmarshal([]byte(body), &state); err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d %s, %v", id, status, body, err)
	}
	return state.Version
}

func readJSON(t *testing.T, file string, to any) {
	t.Helper()
	data, err := os.ReadFile(file) //nolint:gosec // the test's own
	if err == nil {
		err = json.Unmarshal(data, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func unzip(t *testing.T, file string) io.Reader {
	t.Helper()
	f, err := os.Open(file) //nolint:gosec // the test's own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func unpack(t *testing.T, file, dir string) {
	t.Helper()
	files := tar.NewReader(unzip(t, file))
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, filepath.FromSlash(header.Name)) //nolint:gosec // the test's own
		data, err := io.ReadAll(files)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o700)
		}
		if err == nil {
			err = os.WriteFile(to, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// restore makes a database of what record's dump wrote.
func restore(t *testing.T, file, uri, database string) {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) }()
	db := client.Database(database)
	lines := bufio.NewScanner(unzip(t, file))
	lines.Buffer(nil, 32<<20)
	for lines.Scan() {
		var line struct {
			C       string
			D       bson.Raw
			Options bson.D
			Indexes bson.A
		}
		if err := bson.UnmarshalExtJSON(lines.Bytes(), true, &line); err != nil {
			t.Fatal(err)
		}
		switch {
		case line.D != nil:
			_, err = db.Collection(line.C).InsertOne(t.Context(), line.D)
		default:
			err = db.RunCommand(t.Context(), append(bson.D{{Key: "create", Value: line.C}}, line.Options...)).Err()
			if err == nil && len(line.Indexes) > 0 {
				err = db.RunCommand(t.Context(), bson.D{{Key: "createIndexes", Value: line.C}, {Key: "indexes", Value: line.Indexes}}).Err()
			}
		}
		if err != nil {
			t.Fatalf("%s: %v", line.C, err)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}
