package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/runtime"
	mongostore "github.com/ganglion-go/ganglion/store/mongo"
	"github.com/ganglion-go/ganglion/testharness/mongod"
)

const (
	rawChanges = "raw change stream, decoded into bson.D, 60,000 documents behind"
	rawBytes   = "raw change stream, bytes alone, 60,000 documents behind"
	ourRelay   = "ours, relay from the change stream to the event stream, 60,000 documents behind"

	// backlog is how many documents are read by each side. Both begin when all of
	// them have been inserted.
	backlog       = 60_000
	backlogBulk   = 1000
	changesBatch  = 1000
	relayDeadline = 2 * time.Minute
)

// feedScenarios measure how fast what was committed can be followed.
func feedScenarios(e *environment) []scenario {
	return []scenario{
		{name: rawChanges, inFlight: 1, measure: e.measureChanges(func(raw bson.Raw) error {
			var change struct {
				Document bson.D `bson:"fullDocument"`
			}
			return bson.Unmarshal(raw, &change)
		})},
		{name: rawBytes, inFlight: 1, measure: e.measureChanges(func(raw bson.Raw) error {
			_, err := raw.LookupErr("fullDocument")
			return err
		})},
		{name: ourRelay, inFlight: 1, measure: e.measureRelay},
	}
}

// fill inserts documents of the shape of our commits, of one event each.
func (e *environment) fill(ctx context.Context, to *mongo.Collection) error {
	unordered := options.InsertMany().SetOrdered(false)
	for range backlog / backlogBulk {
		docs := make([]any, backlogBulk)
		for i := range docs {
			docs[i] = e.document()
		}
		if _, err := to.InsertMany(ctx, docs, unordered); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
	}
	return nil
}

// measureChanges reads a change stream, and uses each document.
func (e *environment) measureChanges(use func(bson.Raw) error) func(context.Context, flags, *mongod.ReplicaSet) (round, error) {
	return func(ctx context.Context, _ flags, _ *mongod.ReplicaSet) (round, error) {
		return e.readChanges(ctx, use)
	}
}

func (e *environment) readChanges(ctx context.Context, use func(bson.Raw) error) (round, error) {
	ctx, cancel := context.WithTimeout(ctx, relayDeadline)
	defer cancel()
	inserts := mongo.Pipeline{{{Key: "$match", Value: bson.D{{Key: "operationType", Value: "insert"}}}}}
	first, err := e.raw.Watch(ctx, inserts)
	if err != nil {
		return round{}, err
	}
	token := first.ResumeToken()
	if err := errors.Join(first.Close(ctx), e.fill(ctx, e.raw)); err != nil {
		return round{}, err
	}
	started := time.Now()
	changes, err := e.raw.Watch(ctx, inserts, options.ChangeStream().SetBatchSize(changesBatch).SetResumeAfter(token))
	if err != nil {
		return round{}, err
	}
	defer func() { _ = changes.Close(ctx) }()
	for n := range backlog {
		if !changes.Next(ctx) {
			return round{}, fmt.Errorf("%d documents of %d: %w", n, backlog, changes.Err())
		}
		if err := use(changes.Current); err != nil {
			return round{}, err
		}
	}
	return rateOf(backlog, time.Since(started)), nil
}

// measureRelay has a relay come to the end of the feed, and stop. Then it measures
// how long the next one takes for what has been inserted meanwhile, until all of it is
// in the event stream of a NATS server in this process (R1, file).
func (e *environment) measureRelay(ctx context.Context, _ flags, _ *mongod.ReplicaSet) (round, error) {
	ctx, cancel := context.WithTimeout(ctx, relayDeadline)
	defer cancel()
	s, err := mongostore.Open(ctx, e.uri, mongostore.Config{Database: database})
	if err != nil {
		return round{}, err
	}
	defer func() { _ = s.Close(context.WithoutCancel(ctx)) }()
	bus, stop, err := e.relayBus(ctx)
	if err != nil {
		return round{}, err
	}
	defer stop()
	commits := e.client.Database(database).Collection("commits")
	if _, err := commits.InsertOne(ctx, e.document()); err != nil {
		return round{}, err
	}
	if _, err := relayUpTo(ctx, s, bus, 1); err != nil {
		return round{}, err
	}
	// The relay before ended with the scan's place. One that has met the change
	// stream goes on in it.
	if _, err := commits.InsertOne(ctx, e.document()); err != nil {
		return round{}, err
	}
	if _, err := relayUpTo(ctx, s, bus, 2); err != nil {
		return round{}, err
	}
	if err := e.fill(ctx, commits); err != nil {
		return round{}, err
	}
	took, err := relayUpTo(ctx, s, bus, 2+backlog)
	if err != nil {
		return round{}, err
	}
	return rateOf(backlog, took), nil
}

func (e *environment) relayBus(ctx context.Context) (*natsbus.Bus, func(), error) {
	dir, err := os.MkdirTemp(e.dir, "relay-")
	if err != nil {
		return nil, nil, err
	}
	ns, err := server.NewServer(&server.Options{
		ServerName: "relay", DontListen: true, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true, MaxPending: 256 << 20,
	})
	if err != nil {
		return nil, nil, err
	}
	ns.Start()
	stop := func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	}
	nc, err := nats.Connect("", nats.InProcessServer(ns))
	if err != nil {
		stop()
		return nil, nil, err
	}
	bus, err := natsbus.Open(ctx, nc, natsbus.Config{})
	if err != nil {
		nc.Close()
		stop()
		return nil, nil, err
	}
	return bus, func() { nc.Close(); stop() }, nil
}

// relayUpTo runs a relay until the event stream has so many events.
func relayUpTo(ctx context.Context, s *mongostore.Store, bus *natsbus.Bus, events uint64) (time.Duration, error) {
	relaying, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	started := time.Now()
	go func() {
		runtime.NewRelay(runtime.RelayConfig{}, s, bus).Run(relaying)
		close(done)
	}()
	defer func() {
		cancel()
		<-done
	}()
	for {
		_, last, err := bus.EventsHead(ctx)
		switch {
		case err == nil && last >= events:
			return time.Since(started), nil
		case ctx.Err() != nil:
			return 0, fmt.Errorf("%d events of %d: %w", last, events, errors.Join(ctx.Err(), err))
		}
		<-time.After(2 * time.Millisecond)
	}
}

func rateOf(n int, took time.Duration) round {
	h := hdrhistogram.New(1, int64(time.Hour/time.Microsecond), 3)
	_ = h.RecordValue(took.Microseconds()) // an hour is above the deadline
	at := time.Duration(h.Max()) * time.Microsecond
	return round{perSecond: float64(n) / took.Seconds(), p50: at, p99: at, max: at}
}
