package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/testharness/mongod"
)

// database is dropped before each round.
const database = "ganglion_routing"

// environment is what all ways share: the replica set, and a connection to it
// that only looks on.
type environment struct {
	replicaSet *mongod.ReplicaSet // nil: it was there before
	client     *mongo.Client
	uri        string
	version    string
	dir        string
}

func openEnvironment(ctx context.Context, f *flags) (_ *environment, err error) {
	e := &environment{uri: f.MongoURI}
	defer func() {
		if err != nil {
			e.close(ctx)
		}
	}()
	if e.dir, err = os.MkdirTemp("", "ganglion-routing-"); err != nil {
		return nil, err
	}
	if e.uri == "" {
		binary, err := mongod.Find(ctx, os.Stderr)
		if err != nil {
			return nil, err
		}
		e.replicaSet, err = mongod.StartReplicaSet(ctx, mongod.Config{Members: f.Members, CacheMB: f.CacheMB, Dir: e.dir + "/mongo", Binary: binary})
		if err != nil {
			return nil, err
		}
		e.uri = e.replicaSet.URI()
	}
	if e.client, err = mongo.Connect(options.Client().ApplyURI(e.uri)); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	var info struct{ Version string }
	if err := e.admin(ctx, "buildInfo", &info); err != nil {
		return nil, err
	}
	e.version = info.Version
	return e, nil
}

func (e *environment) admin(ctx context.Context, command string, into any) error {
	err := e.client.Database("admin").RunCommand(ctx, bson.D{{Key: command, Value: 1}}).Decode(into)
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

// settle gives every round the same start: an empty database, and nothing left to
// flush of what went before.
func (e *environment) settle(ctx context.Context) error {
	if err := e.client.Database(database).Drop(ctx); err != nil {
		return fmt.Errorf("drop database: %w", err)
	}
	return e.admin(ctx, "fsync", &bson.D{})
}

func (e *environment) close(ctx context.Context) {
	if e.client != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		_ = e.client.Database(database).Drop(ctx)
		_ = e.client.Disconnect(ctx)
		cancel()
	}
	if e.replicaSet != nil {
		_ = e.replicaSet.Close() //nolint:contextcheck // it has a bound of its own
	}
	_ = os.RemoveAll(e.dir)
}

// yardstick is what the primary counts: the same measure for all ways, which
// knows nothing of how they are made.
type yardstick struct {
	reads  int64 // find and aggregate commands
	writes int64 // insert commands, of any number of documents
}

func (y yardstick) minus(z yardstick) yardstick {
	return yardstick{reads: y.reads - z.reads, writes: y.writes - z.writes}
}

func (e *environment) yardstick(ctx context.Context) (yardstick, error) {
	type total struct {
		Total int64 `bson:"total"`
	}
	var status struct {
		Metrics struct {
			Commands struct {
				Find      total `bson:"find"`
				Aggregate total `bson:"aggregate"`
				Insert    total `bson:"insert"`
			} `bson:"commands"`
		} `bson:"metrics"`
	}
	if err := e.admin(ctx, "serverStatus", &status); err != nil {
		return yardstick{}, err
	}
	c := status.Metrics.Commands
	return yardstick{reads: c.Find.Total + c.Aggregate.Total, writes: c.Insert.Total}, nil
}
