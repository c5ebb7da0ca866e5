package node_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	mongostore "github.com/ganglion-go/ganglion/store/mongo"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// envLarge is for how many aggregates the pages of the dashboard are measured.
const envLarge = "GANGLION_DASHBOARD"

const (
	largeFew       = 300    // aggregates, where nobody asks for more
	largeEvents    = 10     // of each, in commits of 1, 2, 3 and 4
	largeCommits   = 4      // of each
	longEvents     = 10_000 // of one aggregate, in as many commits
	largeTries     = 5      // of each page
	largeJetStream = 10     // a tenth of the aggregates is in the JetStream store
)

type (
	tally       struct{ Sum int64 }
	tallyCredit struct {
		actor.Replies[int64]
		Amount int64
	}
	tallyCredited struct{ Amount int64 }
)

func tallies() *actor.Aggregate[tally] {
	return actor.Define("tally", func(d *actor.Definition[tally]) {
		actor.On(d, func(l *tally, ctx *actor.Context, c tallyCredit) (int64, error) {
			ctx.Raise(tallyCredited{Amount: c.Amount})
			return l.Sum, nil
		})
		actor.Apply(d, func(l *tally, e tallyCredited) { l.Sum += e.Amount })
	})
}

const longTally = "long"

func tallyID(i int) string { return fmt.Sprintf("L%07d", i) }

// largeCommit is commit k of tally i: its last one sends a command to the next, which
// is the first of that.
func largeCommit(begin time.Time, p actor.Partitions, i, k int) store.Commit {
	of := actor.Address{Kind: "tally", ID: tallyID(i)}
	at := begin.Add(time.Duration(i*largeCommits+k) * time.Millisecond)
	first := store.Version(1 + k*(k+1)/2)
	c := store.Commit{Aggregate: store.Aggregate(of.String()), First: first, Partition: store.Partition(p.Of(of)), Time: at.UnixMicro()}
	for range k + 1 {
		c.Events = append(c.Events, store.Event{Name: "tallyCredited.v1", Data: []byte(`{"Amount":1}`)})
	}
	id, cause := string(largeID(begin, i, k)), ""
	if k == 0 && i > 0 {
		sender := actor.Address{Kind: "tally", ID: tallyID(i - 1)}
		cause = string(largeID(begin, i-1, largeCommits-1))
		id = string(largeSent(begin, i-1, sender, cause))
	}
	c.Outcomes = []store.Outcome{{
		CommandID: id, Name: "tallyCredit", Events: k + 1, Reply: fmt.Append(nil, int(first)+k),
		Metadata: store.Metadata{User: "ann", Causation: cause},
	}}
	if k == largeCommits-1 {
		next := actor.Address{Kind: "tally", ID: tallyID(i + 1)}
		c.Out = []store.Outgoing{{
			ID: string(largeSent(begin, i, of, id)), To: store.Aggregate(next.String()), Name: "tallyCredit", Data: []byte(`{"Amount":1}`),
			Metadata: store.Metadata{Correlation: id, Causation: id, User: "ann"},
		}}
	}
	return c
}

func largeID(begin time.Time, i, k int) actor.CommandID {
	n := i*largeCommits + k
	return actor.StampID(begin.UnixMilli()+int64(n), 0, uint64(n))
}

func largeSent(begin time.Time, i int, sender actor.Address, command string) actor.CommandID {
	at := begin.Add(time.Duration(i*largeCommits+largeCommits-1) * time.Millisecond)
	return actor.InternalID(at, "out", sender.String(), command, "0")
}

// longCommit is commit v of the long tally.
func longCommit(begin time.Time, p actor.Partitions, v int) store.Commit {
	of := actor.Address{Kind: "tally", ID: longTally}
	return store.Commit{
		Aggregate: store.Aggregate(of.String()), First: store.Version(v), Partition: store.Partition(p.Of(of)), Time: begin.Add(time.Duration(v) * time.Millisecond).UnixMicro(),
		Outcomes: []store.Outcome{{CommandID: string(actor.StampID(begin.UnixMilli()+int64(v), 1, uint64(v))), Name: "tallyCredit", Events: 1, Reply: fmt.Append(nil, v), Metadata: store.Metadata{User: "ann"}}},
		Events:   []store.Event{{Name: "tallyCredited.v1", Data: []byte(`{"Amount":1}`)}},
	}
}

// document is a commit of these tests in the form in which the MongoDB store keeps it.
func document(c *store.Commit) bson.D {
	events := bson.A{}
	for range c.Events {
		events = append(events, bson.D{{Key: "n", Value: "tallyCredited.v1"}, {Key: "d", Value: bson.D{{Key: "Amount", Value: int64(1)}}}})
	}
	metadata := func(m store.Metadata) (d bson.D) {
		for _, f := range []struct{ key, value string }{{"correlation", m.Correlation}, {"causation", m.Causation}, {"user", m.User}} {
			if f.value != "" {
				d = append(d, bson.E{Key: f.key, Value: f.value})
			}
		}
		return d
	}
	o := &c.Outcomes[0]
	var reply int64
	_, _ = fmt.Sscan(string(o.Reply), &reply)
	d := bson.D{
		{Key: "_id", Value: bson.D{{Key: "a", Value: string(c.Aggregate)}, {Key: "v", Value: int64(c.First)}}},
		{Key: "t", Value: c.Time},
		{Key: "p", Value: int64(c.Partition)},
		{Key: "k", Value: "tally"},
		{Key: "cmd", Value: bson.A{bson.D{{Key: "id", Value: o.CommandID}, {Key: "name", Value: o.Name}, {Key: "n", Value: int64(o.Events)}, {Key: "r", Value: reply}, {Key: "md", Value: metadata(o.Metadata)}}}},
		{Key: "ev", Value: events},
	}
	for i := range c.Out {
		out := &c.Out[i]
		d = append(d, bson.E{Key: "out", Value: bson.A{bson.D{
			{Key: "to", Value: string(out.To)},
			{Key: "name", Value: out.Name},
			{Key: "id", Value: out.ID},
			{Key: "d", Value: bson.D{{Key: "Amount", Value: int64(1)}}},
			{Key: "md", Value: metadata(out.Metadata)},
		}}})
	}
	return d
}

// checkDocument makes sure that documents are exactly what the store writes.
func checkDocument(t *testing.T, uri string, db *mongo.Database, c *store.Commit) {
	t.Helper()
	s, err := mongostore.Open(t.Context(), uri, mongostore.Config{Database: db.Name()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(t.Context()) }()
	if err := s.Append(t.Context(), []store.Commit{*c})[0]; err != nil {
		t.Fatal(err)
	}
	stored, err := db.Collection("commits").FindOne(t.Context(), bson.D{{Key: "_id.a", Value: string(c.Aggregate)}}).Raw()
	if err != nil {
		t.Fatal(err)
	}
	made, err := bson.Marshal(document(c))
	if err != nil || !bytes.Equal(stored, made) {
		t.Fatalf("the store writes\n%s\nand the test\n%s, %v", stored, bson.Raw(made), err)
	}
}

// fillBulk writes the documents of all commits, in the order of their keys.
func fillBulk(t *testing.T, db *mongo.Database, commits func(yield func(store.Commit))) {
	t.Helper()
	const batch, writers = 4000, 3
	batches, failed := make(chan []any), make(chan error, writers)
	into := db.Collection("commits", options.Collection().SetWriteConcern(writeconcern.W1()))
	var writing sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for docs := range batches {
				if _, err := into.InsertMany(t.Context(), docs, options.InsertMany().SetOrdered(false)); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	var docs []any
	commits(func(c store.Commit) {
		if docs = append(docs, document(&c)); len(docs) == batch {
			batches <- docs
			docs = nil
		}
	})
	if len(docs) > 0 {
		batches <- docs
	}
	close(batches)
	writing.Wait()
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
}

// largePages are the pages that are measured.
func largePages(aggregates, longest int) []string {
	middle := "tally/" + tallyID(aggregates/2)
	long, half := "tally/"+longTally, fmt.Sprint(longest/2)
	return []string{
		"/dashboard/", "/dashboard/partitions", "/dashboard/kinds", "/dashboard/kinds/tally", "/dashboard/projections", "/dashboard/effects",
		"/dashboard/parked", "/dashboard/actions", "/dashboard/aggregates",
		page("aggregates", "kind", "tally"), page("aggregates", "kind", "tally", "prefix", "L0"), page("aggregates", "kind", "tally", "prefix", "L00000"),
		page("aggregates", "kind", "tally", "after", tallyID(aggregates/2)), page("aggregates", "kind", "tally", "prefix", "nothing"),
		page("aggregate", "of", middle), page("aggregate", "of", long), page("aggregate", "of", long, "order", "oldest"),
		page("aggregate", "of", long, "before", half), page("aggregate", "of", "tally/nobody"),
		page("state", "of", middle), page("state", "of", long), page("state", "of", long, "version", half, "from", "1"),
		page("command", "of", middle, "version", "1"), page("command", "of", middle, "version", fmt.Sprint(largeEvents)),
		page("command", "of", long, "version", half),
		page("farther", "of", long, "command", "nothing", "after", fmt.Sprint(longest/3)), page("tail", "kind", "tally"), page("send", "of", middle, "command", "tallyCredit"),
	}
}

// scan is a read of commits that the profiler has seen.
type scan struct {
	Op       string   `bson:"op"`
	Plan     string   `bson:"planSummary"`
	Examined int      `bson:"docsExamined"`
	Returned int      `bson:"nreturned"`
	Command  bson.Raw `bson:"command"`
}

// TestDashboard_LargeData measures each page of the dashboard over a store that was filled in
// bulk: GANGLION_DASHBOARD aggregates of ten events, and one of 10,000. No page reads commits
// that it does not need, as MongoDB's profiler sees it.
func TestDashboard_LargeData(t *testing.T) {
	aggregates := testenv.Times(t, envLarge, largeFew)
	begin := time.UnixMilli(1_780_000_000_000).UTC()
	const partitions = 8
	t.Run("MongoDB", func(t *testing.T) { largeMongo(t, begin, partitions, aggregates) })
	t.Run("JetStream", func(t *testing.T) { largeStream(t, begin, partitions, max(aggregates/largeJetStream, largeFew)) })
}

func largeMongo(t *testing.T, begin time.Time, partitions actor.Partitions, aggregates int) {
	uri, database := testharness.SharedMongo(t, 1).URI(), testharness.DatabaseName(t)
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) })
	forms := client.Database(database + "f")
	sample := largeCommit(begin, partitions, 7, largeCommits-1)
	sample.First = 1 // of a store that has nothing before it
	checkDocument(t, uri, forms, &sample)
	_ = forms.Drop(t.Context())
	n := nodes.Start(t, node.Config{
		DataDir: t.TempDir(), MongoURI: uri, MongoDatabase: database, NoRelay: true, Partitions: partitions, DashboardCommands: true,
	}, tallies())
	db := client.Database(database)
	t.Cleanup(func() { _ = db.Drop(context.WithoutCancel(t.Context())) })
	filling := time.Now()
	fillBulk(t, db, func(yield func(store.Commit)) {
		for i := range aggregates {
			for k := range largeCommits {
				yield(largeCommit(begin, partitions, i, k))
			}
		}
		for v := range longOf(aggregates) {
			yield(longCommit(begin, partitions, v+1))
		}
	})
	t.Logf("%d aggregates, %d events, %d commits: filled in %v", aggregates+1, aggregates*largeEvents+longOf(aggregates), aggregates*largeCommits+longOf(aggregates), time.Since(filling).Round(time.Millisecond))
	// Reads are of what a majority has: the fill before this write is in it.
	settled := db.Collection("settled", options.Collection().SetWriteConcern(writeconcern.Majority()))
	if _, err := settled.InsertOne(t.Context(), bson.D{{Key: "at", Value: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	checkLarge(t, n, aggregates)
	if err := db.CreateCollection(t.Context(), "system.profile", options.CreateCollection().SetCapped(true).SetSizeInBytes(64<<20)); err != nil {
		t.Fatal(err)
	}
	if err := db.RunCommand(t.Context(), bson.D{{Key: "profile", Value: 2}, {Key: "slowms", Value: 0}}).Err(); err != nil {
		t.Fatal(err)
	}
	measureLarge(t, n, aggregates, longOf(aggregates), func(since time.Time) []scan {
		cursor, err := db.Collection("system.profile").Find(t.Context(), bson.D{
			{Key: "ns", Value: database + ".commits"}, {Key: "ts", Value: bson.D{{Key: "$gte", Value: since}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		var all []scan
		if err := cursor.All(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		return all
	})
}

func largeStream(t *testing.T, begin time.Time, partitions actor.Partitions, aggregates int) {
	server := testharness.NATS(t, testharness.WithListener())
	n := nodes.Start(t, node.Config{NATSURL: server.URL(), NoRelay: true, Partitions: partitions, DashboardCommands: true}, tallies())
	conn, err := nats.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	s, err := jetstream.Open(t.Context(), conn, jetstream.Config{Namespace: "ganglion", Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	long := longOf(aggregates)
	filling := time.Now()
	var writing sync.WaitGroup
	writing.Go(func() {
		for v := range long {
			appendAll(t, s, longCommit(begin, partitions, v+1))
		}
	})
	const batch, writers = 500, 4
	for w := range writers {
		writing.Go(func() {
			for from := w * batch; from < aggregates; from += writers * batch {
				for k := range largeCommits {
					var commits []store.Commit
					for i := from; i < min(from+batch, aggregates); i++ {
						commits = append(commits, largeCommit(begin, partitions, i, k))
					}
					appendAll(t, s, commits...)
				}
			}
		})
	}
	writing.Wait()
	if t.Failed() {
		return
	}
	t.Logf("%d aggregates, %d commits: filled in %v", aggregates+1, aggregates*largeCommits+long, time.Since(filling).Round(time.Millisecond))
	checkLarge(t, n, aggregates)
	measureLarge(t, n, aggregates, long, func(time.Time) []scan { return nil })
}

// appendAll appends commits of different aggregates.
func appendAll(t *testing.T, s store.Commits, commits ...store.Commit) {
	for _, err := range s.Append(t.Context(), commits) {
		if err != nil {
			t.Error(err)
			return
		}
	}
}

// longOf is how many events the long tally has: fewer beside the tests of other packages.
func longOf(aggregates int) int {
	if aggregates == largeFew {
		return 600
	}
	return longEvents
}

// checkLarge reads some of what was filled in over the HTTP API, and has one of them decide.
func checkLarge(t *testing.T, n *nodes.Local, aggregates int) {
	t.Helper()
	c := caller{t, n.URL()}
	for range 20 {
		id := tallyID(rand.IntN(aggregates))
		if a := c.do(http.MethodGet, "/v1/tally/"+id, ""); a.status != http.StatusOK || string(a.body) != `{"version":10,"state":{"Sum":10}}` {
			t.Fatalf("%s: %d %s", id, a.status, a.body)
		}
		if a := c.do(http.MethodGet, "/v1/tally/"+id+"/events", ""); strings.Count(string(a.body), "tallyCredited.v1") != largeEvents {
			t.Fatalf("%s: %d %s", id, a.status, a.body)
		}
	}
	if a := c.post("/v1/tally/"+tallyID(0)+"/tallyCredit", `{"Amount":5}`); a.status != http.StatusOK || !strings.Contains(string(a.body), `"version":11`) {
		t.Fatalf("a command: %d %s", a.status, a.body)
	}
}

// measureLarge looks at each page several times.
func measureLarge(t *testing.T, n *nodes.Local, aggregates, long int, scans func(since time.Time) []scan) {
	t.Helper()
	b := &browser{t: t, base: n.AdminURL(), http: http.DefaultClient}
	limit := bound(time.Second, envLarge)
	var report strings.Builder
	for _, p := range largePages(aggregates, long) {
		begin := time.Now().Add(-time.Millisecond)
		var took []time.Duration
		shown := 0
		for range largeTries {
			start := time.Now()
			status, text := b.get(p)
			took = append(took, time.Since(start))
			if status == http.StatusOK && !strings.Contains(text, "cannot be read") && !strings.Contains(text, "cannot be made") {
				shown++
				continue
			}
			t.Logf("%s: %d\n%s", p, status, text)
		}
		// A page that cannot be read within its bound says so: on a machine that is busy with other
		// tests, that may be.
		if shown == 0 || shown < largeTries && os.Getenv(envLarge) != "" {
			t.Errorf("%s was shown %d times of %d", p, shown, largeTries)
		}
		slices.Sort(took)
		read, returned := 0, 0
		for _, s := range scans(begin) {
			read, returned = read+s.Examined, returned+s.Returned
			if strings.Contains(s.Plan, "COLLSCAN") || s.Examined > 2*s.Returned+8 {
				t.Errorf("%s scans commits: %s %s, %d examined for %d: %s", p, s.Op, s.Plan, s.Examined, s.Returned, s.Command)
			}
		}
		fmt.Fprintf(&report, "%8s %8s %9d %9d  %s\n", took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), read/largeTries, returned/largeTries, p)
		if took[len(took)-1] > limit {
			t.Errorf("%s took %v", p, took)
		}
	}
	t.Logf("%d aggregates\n%8s %8s %9s %9s  %s\n%s", aggregates, "median", "most", "examined", "returned", "page", &report)
}
