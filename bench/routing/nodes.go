package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/ganglion-go/ganglion/bench/cluster"
	"github.com/ganglion-go/ganglion/node"
)

// startNodes starts one NATS server and nodes that share it and the replica set.
func startNodes(ctx context.Context, e *environment, _ *flags, servers int) (_ *fleet, err error) {
	fl := &fleet{}
	defer func() {
		if err != nil {
			_ = fl.Close(ctx) // err says more
		}
	}()
	dir, err := os.MkdirTemp(e.dir, "nodes-")
	if err != nil {
		return nil, err
	}
	fl.OnClose(func(context.Context) error { return os.RemoveAll(dir) })
	nats, err := cluster.StartNATS(filepath.Join(dir, "nats"))
	if err != nil {
		return nil, err
	}
	fl.OnClose(func(context.Context) error {
		nats.Stop()
		return nil
	})
	var nodes []*cluster.Member
	for i := range servers {
		n, err := fl.addNode(ctx, node.Config{
			Name: "node-" + strconv.Itoa(i+1), NATSURL: nats.URL(), MongoURI: e.uri, MongoDatabase: database,
			HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
			Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		})
		if err != nil {
			return nil, fmt.Errorf("start node: %w", err)
		}
		nodes = append(nodes, n)
	}
	fl.counts = func(ctx context.Context) (counts, error) { return scrape(ctx, nodes) }
	return fl, cluster.Settle(ctx, nodes)
}

func (fl *fleet) addNode(ctx context.Context, cfg node.Config) (*cluster.Member, error) {
	n, err := cluster.Start(ctx, cfg, accounts())
	if err != nil {
		return nil, err
	}
	fl.OnClose(n.Stop)
	fl.targets = append(fl.targets, &url.URL{Scheme: "http", Host: n.HTTPAddr()})
	return n, nil
}

// scrape reads how often nodes have thrown a state away: because of a conflict,
// and for whatever reason.
func scrape(ctx context.Context, nodes []*cluster.Member) (counts, error) {
	var sum counts
	for _, n := range nodes {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.AdminAddr()+"/metrics", nil)
		if err != nil {
			return sum, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return sum, fmt.Errorf("scrape: %w", err)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(resp.Body)
		_ = resp.Body.Close() // read to its end, or err says why not
		if err != nil {
			return sum, fmt.Errorf("scrape: %w", err)
		}
		for _, m := range families["ganglion_discarded_total"].GetMetric() {
			times := int64(m.GetCounter().GetValue())
			sum.retries += times
			for _, l := range m.GetLabel() {
				if l.GetName() == "reason" && l.GetValue() == "conflict" {
					sum.conflicts += times
				}
			}
		}
	}
	return sum, nil
}
