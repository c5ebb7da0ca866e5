package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/bench/cluster"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/testharness/mongod"
)

// environment is what all scenarios share: the replica set, and a node on it
// whose embedded NATS server holds the command stream (one server, R1, file).
type environment struct {
	replicaSet *mongod.ReplicaSet // nil: external
	client     *mongo.Client
	members    []*mongo.Client // one for each
	raw        *mongo.Collection
	template   bson.D // a commit as ours writes it, without its _id
	bytes      int    // of that document
	uri        string
	answers    runtime.Answers // of our node
	starts     int             // of nodes
	node       *cluster.Member // nil while the raw side is measured
	server     string          // version
	dir        string
	versions   [manyCount]atomic.Int64 // of the raw side's aggregates
}

const (
	database    = "ganglion_bench"
	rawDatabase = "ganglion_bench_raw"
)

func open(ctx context.Context, f flags) (_ *environment, err error) {
	e := &environment{}
	if f.Answers == "verified" {
		e.answers = runtime.AnswersVerified
	}
	defer func() {
		if err != nil {
			e.close(ctx)
		}
	}()
	if e.dir, err = os.MkdirTemp("", "ganglion-bench-"); err != nil {
		return nil, err
	}
	uri := f.MongoURI
	if uri == "" {
		if uri, err = e.startReplicaSet(ctx, f); err != nil {
			return nil, err
		}
	}
	if err := e.connect(ctx, uri); err != nil {
		return nil, err
	}
	e.uri = uri
	if err := e.startNode(ctx, &scenario{}); err != nil {
		return nil, err
	}
	return e, e.takeTemplate(ctx)
}

func (e *environment) startReplicaSet(ctx context.Context, f flags) (string, error) {
	binary, err := mongod.Find(ctx, os.Stderr)
	if err != nil {
		return "", err
	}
	e.replicaSet, err = mongod.StartReplicaSet(ctx, mongod.Config{Members: f.Members, CacheMB: f.CacheMB, Dir: e.dir + "/mongo", Binary: binary})
	if err != nil {
		return "", err
	}
	return e.replicaSet.URI(), nil
}

// connect opens the raw side: majority and journal, as ours writes, and enough
// connections that none of the measured flights waits for one.
func (e *environment) connect(ctx context.Context, uri string) error {
	journal := true
	client, err := mongo.Connect(options.Client().ApplyURI(uri).
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journal}).SetMaxPoolSize(300))
	if err != nil {
		return err
	}
	e.client = client
	for _, db := range []string{database, rawDatabase} {
		if err := client.Database(db).Drop(ctx); err != nil {
			return err
		}
	}
	var info struct{ Version string }
	if err := client.Database("admin").RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info); err != nil {
		return err
	}
	e.server = info.Version
	return e.connectMembers(ctx)
}

// connectMembers opens a connection to each member of the replica set by itself.
func (e *environment) connectMembers(ctx context.Context) error {
	var hello struct{ Hosts []string }
	if err := e.client.Database("admin").RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
		return err
	}
	for _, host := range hello.Hosts {
		m, err := mongo.Connect(options.Client().SetHosts([]string{host}).SetDirect(true))
		if err != nil {
			return err
		}
		e.members = append(e.members, m)
	}
	return nil
}

// settle gives every round the same start, on both sides: empty collections, and
// nothing left to flush of what went before on any member. What a write costs grows
// with the collection, and a round of bulk inserts leaves more than a gigabyte. There
// is a node only while our side is measured.
func (e *environment) settle(ctx context.Context, s *scenario) error {
	if err := e.stopNode(ctx); err != nil {
		return err
	}
	raw := e.client.Database(rawDatabase)
	for _, db := range []*mongo.Database{raw, e.client.Database(database)} {
		if err := db.Drop(ctx); err != nil {
			return err
		}
	}
	clustered := options.CreateCollection().SetClusteredIndex(bson.D{{Key: "key", Value: bson.D{{Key: "_id", Value: 1}}}, {Key: "unique", Value: true}})
	if err := raw.CreateCollection(ctx, "commits", clustered); err != nil {
		return err
	}
	e.raw = raw.Collection("commits")
	for _, m := range e.members {
		if err := m.Database("admin").RunCommand(ctx, bson.D{{Key: "fsync", Value: 1}}).Err(); err != nil {
			return err
		}
	}
	if !s.ours {
		return nil
	}
	if err := e.startNode(ctx, s); err != nil {
		return err
	}
	return e.firstCommand(ctx)
}

func (e *environment) startNode(ctx context.Context, s *scenario) (err error) {
	e.starts++
	cfg := node.Config{
		Name: "bench", DataDir: fmt.Sprintf("%s/node-%d", e.dir, e.starts), MongoURI: e.uri, MongoDatabase: database,
		HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Answers: e.answers, NoRelay: !s.relayed, Projections: s.views,
		Logger: logger(),
	}
	if s.embedded {
		cfg.MongoURI = ""
	}
	if s.rights {
		askRights(&cfg)
	}
	e.node, err = cluster.Start(ctx, cfg, accounts())
	return err
}

func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// takeTemplate writes one commit through the node and reads it back, so that the
// raw side inserts documents of the same shape and size.
func (e *environment) takeTemplate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := e.firstCommand(ctx); err != nil {
		return err
	}
	var raw bson.Raw
	if err := e.client.Database(database).Collection("commits").FindOne(ctx, bson.D{}).Decode(&raw); err != nil {
		return err
	}
	var doc bson.D
	if err := bson.Unmarshal(raw, &doc); err != nil {
		return err
	}
	if len(doc) == 0 || doc[0].Key != "_id" {
		return errors.New("a commit does not begin with its _id")
	}
	e.template, e.bytes = doc[1:], len(raw)
	return nil
}

// firstCommand returns when the node serves.
func (e *environment) firstCommand(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, err := actor.Ask(ctx, e.node.Client(), accounts().ID("template-0000"), newDeposit()); err != nil {
		return fmt.Errorf("first command: %w", err)
	}
	return nil
}

// stopNode ends the node, if there is one.
func (e *environment) stopNode(ctx context.Context) error {
	if e.node == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := e.node.Stop(ctx)
	e.node = nil
	return err
}

func newDeposit() deposit {
	return deposit{Amount: 5, Note: "sixty characters of remark, as a small business event has them"}
}

func (e *environment) close(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	_ = e.stopNode(ctx)
	if e.client != nil {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		for _, db := range []string{database, rawDatabase} {
			_ = e.client.Database(db).Drop(ctx)
		}
		for _, m := range append(e.members, e.client) {
			_ = m.Disconnect(ctx)
		}
		cancel()
	}
	if e.replicaSet != nil {
		_ = e.replicaSet.Close() //nolint:contextcheck // it has a bound of its own
	}
	_ = os.RemoveAll(e.dir)
}
