package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"github.com/ganglion-go/ganglion/testharness/mongod"
)

const (
	replicaSet   = "trader"
	mongoEndMax  = 20 * time.Second
	mongoAskMax  = 3 * time.Second
	mongoCacheGB = "0.25"

	codeAlreadyInitialized = 23
)

// Mongod is the subcommand that runs a member of a MongoDB replica set, as a child. The
// first of the members makes the set, once all of them answer.
type Mongod struct {
	Addr    string   `default:"127.0.0.1:27017" help:"Address to listen on. MongoDB asks nobody who they are: keep it on loopback, or in a network that is yours alone." placeholder:"HOST:PORT"`
	Members []string `required:"" help:"Addresses of all members; one or three." placeholder:"HOST:PORT,..."`
	DataDir string   `required:"" type:"path" help:"Folder of its data."`
	Binary  string   `type:"path" help:"The mongod to run. Default: what GANGLION_MONGOD names, that on PATH, or one that is fetched." placeholder:"FILE"`
}

var errMember = errors.New("--addr is one of --members, of which there is an odd number")

// Run runs the member until ctx ends.
func (c *Mongod) Run(ctx context.Context) error {
	host, port, err := hostPort("--addr", c.Addr)
	if err == nil && (!slices.Contains(c.Members, c.Addr) || len(c.Members)%2 == 0) {
		err = errMember
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if c.Binary == "" {
		if c.Binary, err = mongod.Find(ctx, os.Stderr); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(c.DataDir, privateMode); err != nil {
		return err
	}
	child, err := start(c.Binary, []string{
		"--replSet", replicaSet, "--bind_ip", host, "--port", strconv.Itoa(port), "--dbpath", c.DataDir,
		"--wiredTigerCacheSizeGB", mongoCacheGB, "--oplogSize", "256", "--setParameter", "diagnosticDataCollectionEnabled=false",
	}, nil, false, os.Stdout)
	if err != nil {
		return err
	}
	defer child.end(mongoEndMax, nil)
	initiating, cancel := context.WithCancel(ctx)
	defer cancel()
	if c.Members[0] == c.Addr {
		made := make(chan struct{})
		go func() { defer close(made); c.initiate(initiating) }()
		defer func() { cancel(); <-made }()
	}
	select {
	case <-ctx.Done():
		return nil
	case <-child.exited:
		return fmt.Errorf("%s has ended: %w", filepath.Base(c.Binary), errors.Join(child.err, errEnded))
	}
}

var errEnded = errors.New("nobody asked it to")

// initiate makes the replica set, unless there is one, once all members answer.
func (c *Mongod) initiate(ctx context.Context) {
	members := bson.A{}
	for i, addr := range c.Members {
		members = append(members, bson.D{{Key: "_id", Value: i}, {Key: "host", Value: addr}})
		for asking := true; asking; {
			asking = command(ctx, addr, bson.D{{Key: "hello", Value: 1}}) != nil
			if asking && !pause(ctx) {
				return
			}
		}
	}
	for {
		err := command(ctx, c.Members[0], bson.D{{Key: "replSetInitiate", Value: bson.D{
			{Key: "_id", Value: replicaSet},
			{Key: "members", Value: members},
			{Key: "settings", Value: bson.D{{Key: "electionTimeoutMillis", Value: 2000}, {Key: "heartbeatTimeoutSecs", Value: 2}, {Key: "chainingAllowed", Value: false}}},
		}}})
		if known, ok := errors.AsType[mongo.ServerError](err); ok && known.HasErrorCode(codeAlreadyInitialized) {
			return
		}
		if err == nil || !pause(ctx) {
			return
		}
		_, _ = fmt.Fprintln(os.Stderr, "the replica set is not made yet:", err)
	}
}

// pause waits a little; false: ctx has ended.
func pause(ctx context.Context) bool {
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// command has one member carry out an administrator's command.
func command(ctx context.Context, addr string, body bson.D) (err error) {
	ctx, cancel := context.WithTimeout(ctx, mongoAskMax)
	defer cancel()
	client, err := mongo.Connect(options.Client().SetHosts([]string{addr}).SetDirect(true).SetServerSelectionTimeout(mongoAskMax))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Disconnect(context.WithoutCancel(ctx))) }()
	return client.Database("admin").RunCommand(ctx, body).Err()
}

// mongoURI is the connection string of a replica set.
func mongoURI(members []string) string {
	return "mongodb://" + strings.Join(members, ",") + "/?replicaSet=" + replicaSet
}

// mongoReady asks whether the set has a primary.
func mongoReady(members []string) func(context.Context) error {
	return func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, mongoAskMax)
		defer cancel()
		client, err := mongo.Connect(options.Client().ApplyURI(mongoURI(members)).SetServerSelectionTimeout(mongoAskMax))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, client.Disconnect(context.WithoutCancel(ctx))) }()
		return client.Ping(ctx, readpref.Primary())
	}
}
