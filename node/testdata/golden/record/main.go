// Command record makes golden data: a data folder, and with -mongo also a dump of the
// database, as a node of this build leaves them when it is killed. It is run by hand, in
// a checkout of the build whose data is wanted, with this folder copied into it:
//
//	go run ./node/testdata/golden/record -out DIR [-mongo]
package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/node/testdata/golden/domain"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/testharness/mongod"
)

func main() {
	out := flag.String("out", "", "folder for what is recorded")
	onMongo := flag.Bool("mongo", false, "keep commits and views in MongoDB")
	data := flag.String("data", "", "of the child process: its data folder")
	uri := flag.String("uri", "", "of the child process: of MongoDB")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var err error
	if *data != "" {
		err = child(ctx, *out, *data, *uri)
	} else {
		err = record(ctx, *out, *onMongo)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// cutOff is the exit status of a child that has recorded everything.
const cutOff = 42

const database = "golden"

func record(ctx context.Context, out string, onMongo bool) error {
	dir, err := os.MkdirTemp("", "golden")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	name, uri := "jetstream", ""
	if onMongo {
		rs, err := mongod.StartReplicaSet(ctx, mongod.Config{})
		if err != nil {
			return err
		}
		defer func() { _ = rs.Close() }()
		name, uri = "mongo", rs.URI()
	}
	self := exec.CommandContext(ctx, os.Args[0], "-out", filepath.Join(out, name+".json"), "-data", dir, "-uri", uri)
	self.Stdout, self.Stderr = os.Stdout, os.Stderr
	if err := self.Run(); self.ProcessState == nil || self.ProcessState.ExitCode() != cutOff {
		return fmt.Errorf("the recording node: %w", err)
	}
	if onMongo {
		if err := dump(ctx, uri, database, filepath.Join(out, "mongo.json.gz")); err != nil {
			return err
		}
	}
	return pack(dir, filepath.Join(out, name+".tar.gz"))
}

// child is a node that ends as if it were killed.
func child(ctx context.Context, out, data, uri string) error {
	if err := os.WriteFile(filepath.Join(data, "name"), []byte("golden\n"), 0o600); err != nil { // not the machine's
		return err
	}
	n, err := node.Open(ctx, node.Config{
		DataDir: data, Partitions: 4, HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", LogLevel: slog.LevelWarn,
		MongoURI: uri, MongoDatabase: database, Projections: []*projection.Projection{domain.Totals},
	}, domain.Definitions()...)
	if err != nil {
		return err
	}
	go func() { log.Print(n.Run(ctx)) }()
	if err := n.AwaitServing(ctx, 4); err != nil {
		return err
	}
	r, err := live(ctx, n)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, append(text, '\n'), 0o600); err != nil {
		return err
	}
	os.Exit(cutOff)
	return nil
}

// live does what there is to be recorded.
func live(ctx context.Context, n *node.Node) (*domain.Recorded, error) {
	r := &domain.Recorded{States: map[string]domain.State{}, Totals: map[string]domain.Total{}, Sent: map[string]int64{}}
	c := n.Client()
	ask := func(id string, cmd actor.Asking[actor.None]) error {
		_, err := actor.Ask(ctx, c, domain.Accounts.ID(id), cmd)
		return err
	}
	ids := []string{"welcome", "bonus"}
	for i := range 6 {
		id := fmt.Sprint("a-", i)
		ids = append(ids, id)
		for j := range 25 + i { // beyond a snapshot
			if _, err := actor.Ask(ctx, c, domain.Accounts.ID(id), domain.Deposit{Cents: int64(100 + j), Note: fmt.Sprint("n", j%3)}); err != nil {
				return nil, err
			}
		}
	}
	steps := []error{
		ask("a-0", domain.Transfer{To: "a-1", Cents: 7}),
		ask("a-0", domain.Transfer{To: "a-2", Cents: -7}), // refused
		ask("a-3", domain.Remind{Name: "soon", At: time.Now().Add(40 * time.Second)}),
		ask("a-4", domain.Remind{Name: "far", At: time.Date(2199, 12, 31, 0, 0, 0, 0, time.UTC)}),
	}
	if err := errors.Join(steps...); err != nil {
		return nil, err
	}
	r.Parked = "a-5"
	if err := ask(r.Parked, domain.Explode{}); err == nil {
		return nil, errors.New("nothing exploded")
	}
	for i := range 20 { // what the sagas do is over when the account has all
		time.Sleep(500 * time.Millisecond)
		s, err := actor.Read(ctx, c, domain.Accounts.ID("welcome"), domain.Look{})
		if err != nil || s.Cents == 6 && i > 8 {
			break
		}
	}
	for i, cents := range []int64{5, 0, 9, -1} {
		a := domain.Answer{Account: "a-1", Key: fmt.Sprint("key-", i), Cents: cents}
		a.Reply, a.Code = deposit(ctx, c, a)
		r.Answers = append(r.Answers, a)
	}
	for i := range 8 { // the last word on this aggregate is a refusal that no commit holds
		a := domain.Answer{Account: "a-2", Key: fmt.Sprint("refused-", i), Cents: -int64(i)}
		a.Reply, a.Code = deposit(ctx, c, a)
		r.Answers = append(r.Answers, a)
	}
	for _, id := range ids {
		reply, err := actor.Read(ctx, c, domain.Accounts.ID(id), domain.Look{})
		if err != nil {
			return nil, err
		}
		version, err := history(ctx, n, id)
		if err != nil {
			return nil, err
		}
		r.States[id] = domain.State{Version: version, Statement: reply}
		if t, found, err := projection.Get[domain.Total](ctx, n.View(domain.Totals), "totals", id); err != nil {
			return nil, err
		} else if found {
			r.Totals[id] = t
		}
	}
	for i := range 10 { // some of them are in the stream alone when the node ends
		id := fmt.Sprint("late-", i%3)
		if err := actor.Send(ctx, c, domain.Accounts.ID(id), domain.Deposit{Cents: int64(i + 1)}); err != nil {
			return nil, err
		}
		r.Sent[id] += int64(i + 1)
	}
	return r, nil
}

func deposit(ctx context.Context, c actor.Client, a domain.Answer) (reply int64, code string) {
	reply, err := actor.Ask(ctx, c, domain.Accounts.ID(a.Account), domain.Deposit{Cents: a.Cents}, actor.WithCommandID(actor.CommandID(a.Key)))
	if rejection, ok := errors.AsType[*actor.Rejection](err); ok {
		return 0, rejection.Code
	}
	if err != nil {
		log.Fatal(err)
	}
	return reply, ""
}

// history waits until the view is level and returns the version.
func history(ctx context.Context, n *node.Node, id string) (uint64, error) {
	_, version, err := stateOf(ctx, n, id)
	if err != nil {
		return 0, err
	}
	if id != "a-3" && id != "a-4" { // whose last events are not the view's
		return version, n.View(domain.Totals).Wait(ctx, projection.Version(domain.Accounts.ID(id), actor.Version(version)))
	}
	return version, nil
}

func pack(dir, to string) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Mode: 0o600, Size: int64(len(data))}); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	return errors.Join(err, w.Close(), z.Close(), f.Close())
}

func line(to io.Writer, d bson.D) error {
	text, err := bson.MarshalExtJSON(d, true, false)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(to, "%s\n", text)
	return err
}

func indexesOf(ctx context.Context, c *mongo.Collection) ([]bson.Raw, error) {
	cursor, err := c.Indexes().List(ctx)
	if err != nil {
		return nil, err
	}
	var all []bson.Raw
	for cursor.Next(ctx) {
		if _, err := cursor.Current.LookupErr("clustered"); err != nil {
			all = append(all, append(bson.Raw(nil), cursor.Current...))
		}
	}
	return all, cursor.Err()
}

// dump writes lines of canonical extended JSON: a collection with its options and
// indexes, and behind it each of its documents.
func dump(ctx context.Context, uri, from, to string) error {
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return err
	}
	defer func() { _ = client.Disconnect(ctx) }()
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	specs, err := client.Database(from).ListCollectionSpecifications(ctx, bson.D{})
	if err != nil {
		return err
	}
	for _, spec := range specs {
		name := spec.Name
		indexes, err := indexesOf(ctx, client.Database(from).Collection(name))
		if err != nil {
			return err
		}
		if err := line(z, bson.D{{Key: "c", Value: name}, {Key: "options", Value: spec.Options}, {Key: "indexes", Value: indexes}}); err != nil {
			return err
		}
		cursor, err := client.Database(from).Collection(name).Find(ctx, bson.D{})
		if err != nil {
			return err
		}
		for cursor.Next(ctx) {
			if err := line(z, bson.D{{Key: "c", Value: name}, {Key: "d", Value: cursor.Current}}); err != nil {
				return err
			}
		}
		if err := cursor.Err(); err != nil {
			return err
		}
	}
	return errors.Join(z.Close(), f.Close())
}
