package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/ganglion-go/ganglion/bench/cluster"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/load"
	"github.com/ganglion-go/ganglion/examples/trader/views"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/testharness/mongod"
)

const (
	traderClients = 16
	rawOfClients  = "raw insertOne, 16 in flight"
	ourTrader     = "ours, the trading application on two nodes, transactions of 16 HTTP clients"

	// The figures of ourTrader beside the transactions that were started.
	tradesPerSecond  = "trades/s"
	commitsPerSecond = "commits/s"
	restAfter        = "s until all is at rest"

	traderRest     = 2 * time.Minute
	traderDeadline = 6 * time.Minute // beside the load
)

// traderScenarios measure a whole application.
func traderScenarios(e *environment) []scenario {
	return []scenario{
		{name: rawOfClients, inFlight: traderClients, do: e.insertOne},
		{name: ourTrader, inFlight: traderClients, measure: e.measureTrader},
	}
}

// trader is nodes of the trading application on one NATS server and the replica set.
type trader struct {
	cluster.Closers

	nodes []*cluster.Member
	bus   *natsbus.Bus // a reader's own
}

func (e *environment) startTrader(ctx context.Context, nodes int, shown []*projection.Projection) (_ *trader, err error) {
	t := &trader{}
	defer func() {
		if err != nil {
			_ = t.Close(ctx) // err says more
		}
	}()
	dir, err := os.MkdirTemp(e.dir, "trader-")
	if err != nil {
		return nil, err
	}
	t.OnClose(func(context.Context) error { return os.RemoveAll(dir) })
	server, err := cluster.StartNATS(dir)
	if err != nil {
		return nil, err
	}
	t.OnClose(func(context.Context) error {
		server.Stop()
		return nil
	})
	for n := range nodes {
		member, err := cluster.Start(ctx, node.Config{
			Name: fmt.Sprintf("trader-%d", n+1), NATSURL: server.URL(), MongoURI: e.uri, MongoDatabase: database,
			HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Answers: e.answers, Linger: -1, Projections: shown, Logger: logger(),
		}, domain.Definitions()...)
		if err != nil {
			return nil, err
		}
		t.OnClose(member.Stop)
		t.nodes = append(t.nodes, member)
	}
	if err := t.connect(ctx, server.URL()); err != nil {
		return nil, err
	}
	return t, cluster.Settle(ctx, t.nodes)
}

// connect opens a bus that no node uses.
func (t *trader) connect(ctx context.Context, url string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	t.OnClose(func(context.Context) error {
		nc.Close()
		return nil
	})
	t.bus, err = natsbus.Open(ctx, nc, natsbus.Config{})
	return err
}

// measureTrader has clients start transactions over HTTP at the first of two nodes, for
// the warm-up and then for the duration, which is what counts. It waits until all
// sagas are at rest, and fails if any answer was wrong or anything has come from nowhere.
func (e *environment) measureTrader(ctx context.Context, f flags, rs *mongod.ReplicaSet) (_ round, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.Warmup+f.Duration+traderDeadline)
	defer cancel()
	t, err := e.startTrader(ctx, 2, views.All())
	if err != nil {
		return round{}, err
	}
	defer func() { err = errors.Join(err, t.Close(ctx)) }()
	m := &market{t: t, commits: e.client.Database(database).Collection("commits"), cfg: load.Config{
		URLs: []string{"http://" + t.nodes[0].HTTPAddr()}, Users: 6, Books: 3, Clients: traderClients, CancelShare: 0.1, Lane: load.LaneDurable,
		PasswordHash: "$2a$10$x", RequestTimeout: 15 * time.Second, ResolveWithin: time.Minute, SettleWithin: traderRest,
	}}
	if err := m.seed(ctx); err != nil {
		return round{}, err
	}
	warmup := m.driver(1, max(f.Warmup, time.Millisecond))
	defer warmup.client.Close()
	before, err := warmup.Balance(ctx)
	if err != nil {
		return round{}, err
	}
	warmup.Run(ctx, nil)
	measured := m.driver(2, f.Duration)
	defer measured.client.Close()
	r, err := m.trade(ctx, measured, rs)
	if err != nil {
		return round{}, err
	}
	ended := time.Now()
	for _, d := range []*driver{warmup, measured} {
		if _, err := d.Settle(ctx); err != nil {
			return round{}, d.wrong(err)
		}
	}
	r.more = append(r.more, figure{restAfter, time.Since(ended).Seconds()})
	measured.Verify(ctx, before)
	return r, errors.Join(warmup.wrong(nil), measured.wrong(nil))
}

// market is the application under load.
type market struct {
	t       *trader
	cfg     load.Config
	commits *mongo.Collection
}

// driver is a load with what it has seen.
type driver struct {
	*load.Driver
	client   *load.Client
	recorder *load.Recorder
}

func (m *market) driver(seed uint64, duration time.Duration) *driver {
	cfg := m.cfg
	cfg.Seed, cfg.Duration = seed, duration
	d := &driver{recorder: load.NewRecorder()}
	d.client = load.NewClient(cfg, d.recorder)
	d.Driver = load.NewDriver(cfg, d.client, d.recorder, time.Now())
	return d
}

// wrong returns an error if an answer was wrong, with all that is known.
func (d *driver) wrong(err error) error {
	if d.recorder.Wrong() == 0 {
		return err
	}
	_ = d.recorder.WriteReport(os.Stderr, 0) // err says that there were some
	return errors.Join(err, fmt.Errorf("%d wrong answers", d.recorder.Wrong()))
}

func (m *market) seed(ctx context.Context) error {
	recorder := load.NewRecorder()
	client := load.NewClient(m.cfg, recorder)
	defer client.Close()
	if err := load.Seed(ctx, client, recorder, m.cfg, func(int, int) {}); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	return nil
}

// trade runs a load and counts what comes of it meanwhile.
func (m *market) trade(ctx context.Context, d *driver, rs *mongod.ReplicaSet) (round, error) {
	tradesBefore, commitsBefore, err := m.counts(ctx)
	if err != nil {
		return round{}, err
	}
	before, started := processorTime(rs), time.Now()
	d.Run(ctx, nil)
	took := time.Since(started).Seconds()
	n := d.recorder.Transactions()
	cost := processorTime(rs).per(n, before)
	trades, commits, err := m.counts(ctx)
	if err != nil {
		return round{}, err
	}
	return round{
		perSecond: float64(n) / took, failed: d.recorder.Wrong(), cost: cost,
		p50: d.recorder.TransactionTime(50), p99: d.recorder.TransactionTime(99), max: d.recorder.TransactionTime(100),
		more: []figure{{tradesPerSecond, float64(trades-tradesBefore) / took}, {commitsPerSecond, float64(commits-commitsBefore) / took}},
	}, nil
}

// counts returns how many trades are in the event stream, and commits in the store.
func (m *market) counts(ctx context.Context) (trades, commits int64, err error) {
	types, err := m.t.bus.EventTypes(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, t := range types {
		if t.Kind == domain.OrderBooks.Behavior().Kind() && t.Name == "tradeExecuted.v1" {
			trades += int64(t.Count) //nolint:gosec // far below
		}
	}
	commits, err = m.commits.EstimatedDocumentCount(ctx)
	return trades, commits, err
}
