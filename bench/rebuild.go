package main

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/testharness/mongod"
)

const (
	rawCursor          = "raw find, decoded into bson.D, 60,000 documents"
	ourRebuild         = "ours, rebuild of a view of 1,000 accounts, 60,000 events"
	ourRebuildEmbedded = "ours, rebuild of a view of 1,000 accounts, 60,000 events, all in JetStream"

	rebuildTimes    = backlog / manyCount // events of each account
	frozenFor       = "s of it the live view stood still"
	rebuilt         = "rebuilt" // prefix of them
	rebuildDeadline = 3 * time.Minute
)

// rebuildScenarios measure how fast a view is made anew from history.
func rebuildScenarios(e *environment) []scenario {
	ours := func(name string, embedded bool) scenario {
		p := balances()
		return scenario{
			name: name, inFlight: 1, ours: true, relayed: true, embedded: embedded, views: []*projection.Projection{p},
			measure: func(ctx context.Context, _ flags, rs *mongod.ReplicaSet) (round, error) {
				return e.rebuild(ctx, p, rebuildTimes, rs)
			},
		}
	}
	return []scenario{
		{name: rawCursor, inFlight: 1, measure: e.readAll},
		ours(ourRebuild, false),
		ours(ourRebuildEmbedded, true),
	}
}

// readAll reads commits of one event each with one cursor, and decodes them.
func (e *environment) readAll(ctx context.Context, _ flags, rs *mongod.ReplicaSet) (round, error) {
	ctx, cancel := context.WithTimeout(ctx, rebuildDeadline)
	defer cancel()
	if err := e.fill(ctx, e.raw); err != nil {
		return round{}, err
	}
	before, started := processorTime(rs), time.Now()
	cursor, err := e.raw.Find(ctx, bson.D{})
	if err != nil {
		return round{}, err
	}
	defer func() { _ = cursor.Close(ctx) }()
	n := 0
	for ; cursor.Next(ctx); n++ {
		var doc bson.D
		if err := cursor.Decode(&doc); err != nil {
			return round{}, err
		}
	}
	took := time.Since(started)
	if err := cursor.Err(); err != nil {
		return round{}, err
	}
	if n != backlog {
		return round{}, fmt.Errorf("%d documents of %d", n, backlog)
	}
	r := rateOf(backlog, took)
	r.cost = processorTime(rs).per(backlog, before)
	return r, nil
}

// rebuild measures the time from the operator's order until the new view has taken the
// place of the live one, which has taken in everything before. Then it looks at what
// the new one shows. Each account has so many events.
func (e *environment) rebuild(ctx context.Context, p *projection.Projection, times int, rs *mongod.ReplicaSet) (round, error) {
	ctx, cancel := context.WithTimeout(ctx, rebuildDeadline)
	defer cancel()
	if err := e.deposit(ctx, addressesOf(rebuilt, manyCount), times); err != nil {
		return round{}, err
	}
	events := int64(manyCount*times + 1) // with that of settle
	if err := e.awaitApplied(ctx, p, events); err != nil {
		return round{}, err
	}
	was, err := e.node.Projections().Show(ctx, p.Name())
	if err != nil {
		return round{}, err
	}
	before, started := processorTime(rs), time.Now()
	if err := e.node.Projections().Rebuild(ctx, p.Name()); err != nil {
		return round{}, err
	}
	var frozen time.Time
	err = e.awaitView(ctx, p, func(s *projection.Status) bool {
		if s.Rebuild != nil && s.Rebuild.Phase == projection.PhaseFreezing && frozen.IsZero() {
			frozen = time.Now()
		}
		return s.Rebuild == nil && s.Generation > was.Generation
	})
	if err != nil {
		return round{}, err
	}
	r := rateOf(int(events), time.Since(started))
	if !frozen.IsZero() { // longer than from one look to the next
		r.more = []figure{{frozenFor, time.Since(frozen).Seconds()}}
	}
	r.cost = processorTime(rs).per(events, before)
	return r, e.checkRebuilt(ctx, p, times)
}

// checkRebuilt makes sure that the view has all events, each once.
func (e *environment) checkRebuilt(ctx context.Context, p *projection.Projection, times int) error {
	shown := 0
	for account, err := range projection.List[shownAccount](ctx, e.node.View(p), balancesName, projection.Range{Prefix: rebuilt + "-"}) {
		if err != nil {
			return err
		}
		if shown++; account.Value.Deposits != int64(times) || account.Value.Version != actor.Version(times) { //nolint:gosec // not negative
			return fmt.Errorf("%s is shown with %+v, and had %d deposits", account.Key, account.Value, times)
		}
	}
	if shown != manyCount {
		return fmt.Errorf("%d accounts are shown, and there are %d", shown, manyCount)
	}
	return nil
}
