package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/testharness/mongod"
)

// scenario is a load that is measured. do carries out some operations and
// returns how many they were.
type scenario struct {
	name     string
	inFlight int
	ours     bool
	relayed  bool                     // our node also brings all events out into the event stream
	embedded bool                     // our node keeps everything in JetStream
	rights   bool                     // our node asks who sends a request, and what he may do
	views    []*projection.Projection // of our node

	begin   func(ctx context.Context) (end func(), err error) // before each round, not measured; nil: nothing to do
	do      func(ctx context.Context, worker int) (int, error)
	timed   func(ctx context.Context, worker int) (time.Duration, error)             // in the place of do: one operation, which says how long it took
	measure func(ctx context.Context, f flags, rs *mongod.ReplicaSet) (round, error) // in the place of do: it measures by itself
}

// once carries out operations, and returns how many, and how long they took.
func (s *scenario) once(ctx context.Context, worker int) (n int, took time.Duration, err error) {
	if s.timed != nil {
		took, err = s.timed(ctx, worker)
		return 1, took, err
	}
	began := time.Now()
	n, err = s.do(ctx, worker)
	return n, time.Since(began), err
}

// round is one round of the scenario.
func (s *scenario) round(ctx context.Context, f flags, rs *mongod.ReplicaSet) (round, error) {
	if s.measure != nil {
		return s.measure(ctx, f, rs)
	}
	if s.begin != nil {
		end, err := s.begin(ctx)
		if err != nil {
			return round{}, err
		}
		defer end()
	}
	return s.run(ctx, f, rs)
}

const (
	rawOne     = "raw insertOne, 1 in flight"
	rawMany    = "raw insertOne, 256 in flight"
	manyCount  = 1000
	bulkFlight = 4
)

// scenarios has the two sides of a ratio close to each other, and what leaves the members
// much to clear away at the end.
func scenarios(e *environment) []scenario {
	lanes := []struct {
		name    string
		options []actor.CallOption
	}{{"durable", nil}, {"direct", []actor.CallOption{actor.Direct()}}}
	all := []scenario{{name: rawOne, inFlight: 1, do: e.insertOne}}
	for _, lane := range lanes {
		all = append(all, e.commands(manyCount, 1, lane.name, lane.options))
	}
	all = append(all, scenario{name: rawMany, inFlight: 256, do: e.insertOne})
	for _, lane := range lanes {
		for _, n := range []struct{ aggregates, inFlight int }{{manyCount, 256}, {manyCount, 1024}, {1, 256}, {1, 1024}} {
			all = append(all, e.commands(n.aggregates, n.inFlight, lane.name, lane.options))
		}
	}
	for _, lane := range lanes {
		all = append(all, scenario{
			name: fmt.Sprintf("ours, %d aggregates that refuse, 256 in flight, %s", manyCount, lane.name), inFlight: 256, ours: true,
			do: e.refused(lane.name, lane.options),
		})
	}
	for _, n := range []int{1, 256, 1024} {
		all = append(all, scenario{
			name: fmt.Sprintf("ours, reads of %d aggregates, %d in flight", manyCount, n), inFlight: n, ours: true, do: e.read(manyCount),
		})
	}
	for _, lane := range lanes {
		relayed := e.commands(manyCount, 1024, lane.name, lane.options)
		relayed.name += ", relayed"
		relayed.relayed = true
		all = append(all, relayed)
	}
	return slices.Concat(all, httpScenarios(e), viewScenarios(e), sagaScenarios(e), traderScenarios(e), rebuildScenarios(e), feedScenarios(e), []scenario{
		{name: "raw bulk of 200, 4 in flight", inFlight: bulkFlight, do: e.insertBulk(200)},
		{name: "raw bulk of 1000, 4 in flight", inFlight: bulkFlight, do: e.insertBulk(1000)},
	})
}

func (e *environment) commands(aggregates, inFlight int, lane string, opts []actor.CallOption) scenario {
	return scenario{
		name: oursName(aggregates, inFlight, lane), inFlight: inFlight, ours: true, do: e.ask(aggregates, lane, opts),
	}
}

func oursName(aggregates, inFlight int, lane string) string {
	if aggregates == 1 {
		return fmt.Sprintf("ours, one hot aggregate, %d in flight, %s", inFlight, lane)
	}
	return fmt.Sprintf("ours, %d aggregates, %d in flight, %s", aggregates, inFlight, lane)
}

// document returns a commit of one of as many aggregates as ours has, at its
// next version: the keys grow in as many places of the collection.
func (e *environment) document() bson.D {
	n := rand.IntN(manyCount)
	id := bson.D{{Key: "a", Value: fmt.Sprintf("account/raw-%06d", n)}, {Key: "v", Value: e.versions[n].Add(1)}}
	return append(bson.D{{Key: "_id", Value: id}}, e.template...)
}

func (e *environment) insertOne(ctx context.Context, _ int) (int, error) {
	_, err := e.raw.InsertOne(ctx, e.document())
	return 1, err
}

func (e *environment) insertBulk(size int) func(context.Context, int) (int, error) {
	unordered := options.InsertMany().SetOrdered(false)
	return func(ctx context.Context, _ int) (int, error) {
		docs := make([]any, size)
		for i := range docs {
			docs[i] = e.document()
		}
		_, err := e.raw.InsertMany(ctx, docs, unordered)
		return size, err
	}
}

func (e *environment) ask(aggregates int, lane string, opts []actor.CallOption) func(context.Context, int) (int, error) {
	addresses := make([]actor.Address, aggregates)
	kind := accounts()
	for i := range addresses {
		addresses[i] = kind.ID(fmt.Sprintf("%s-%d-%06d", lane, aggregates, i))
	}
	return func(ctx context.Context, _ int) (int, error) {
		_, err := actor.Ask(ctx, e.node.Client(), addresses[rand.IntN(len(addresses))], newDeposit(), opts...)
		return 1, err
	}
}

// refused asks aggregates that have no events for what they refuse.
func (e *environment) refused(lane string, opts []actor.CallOption) func(context.Context, int) (int, error) {
	kind := accounts()
	return func(ctx context.Context, _ int) (int, error) {
		to := kind.ID(fmt.Sprintf("refusing-%s-%06d", lane, rand.IntN(manyCount)))
		_, err := actor.Ask(ctx, e.node.Client(), to, overdraw{Amount: 1}, opts...)
		if !errors.Is(err, errOverdrawn) {
			return 0, fmt.Errorf("not refused: %w", err)
		}
		return 1, nil
	}
}

// read asks owners for the balances of aggregates, which come into memory with the
// first reads.
func (e *environment) read(aggregates int) func(context.Context, int) (int, error) {
	kind := accounts()
	return func(ctx context.Context, _ int) (int, error) {
		_, err := actor.Read(ctx, e.node.Client(), kind.ID(fmt.Sprintf("read-%06d", rand.IntN(aggregates))), balance{})
		return 1, err
	}
}
