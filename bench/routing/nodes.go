package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
)

const (
	startTimeout = 60 * time.Second
	// settled is for how long nobody may take or give a partition before a fleet
	// counts as ready: nodes that share partitions out do so in their first second.
	settled = 1500 * time.Millisecond
)

// startNodes starts one NATS server and nodes that share it and the replica set.
func startNodes(ctx context.Context, e *environment, _ *flags, servers int) (_ *fleet, err error) {
	fl := &fleet{}
	defer func() {
		if err != nil {
			_ = fl.close(ctx) // err says more
		}
	}()
	dir, err := os.MkdirTemp(e.dir, "nodes-")
	if err != nil {
		return nil, err
	}
	fl.onClose(func(context.Context) error { return os.RemoveAll(dir) })
	natsURL, err := fl.startNATS(filepath.Join(dir, "nats"))
	if err != nil {
		return nil, err
	}
	var nodes []*node.Node
	for i := range servers {
		n, err := fl.addNode(ctx, node.Config{
			Name: "node-" + strconv.Itoa(i+1), NATSURL: natsURL, MongoURI: e.uri, MongoDatabase: database,
			HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
			Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		})
		if err != nil {
			return nil, fmt.Errorf("start node: %w", err)
		}
		nodes = append(nodes, n)
	}
	fl.counts = func(ctx context.Context) (counts, error) { return scrape(ctx, nodes) }
	return fl, awaitPartitions(ctx, nodes)
}

// startNATS starts a server with file storage that listens on a free port.
func (fl *fleet) startNATS(dir string) (string, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "bench", Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return "", fmt.Errorf("NATS server: %w", err)
	}
	fl.onClose(func(context.Context) error {
		s.Shutdown()
		s.WaitForShutdown()
		return nil
	})
	go s.Start()
	if !s.ReadyForConnections(startTimeout) {
		return "", errors.New("NATS server: not ready in time")
	}
	return s.ClientURL(), nil
}

func (fl *fleet) addNode(ctx context.Context, cfg node.Config) (*node.Node, error) {
	n, err := node.Open(ctx, cfg, accounts())
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Run(context.WithoutCancel(ctx)) }()
	fl.onClose(func(ctx context.Context) error {
		err := errors.Join(n.Shutdown(ctx), <-ended)
		return errors.Join(err, n.Close())
	})
	fl.targets = append(fl.targets, &url.URL{Scheme: "http", Host: n.HTTPAddr()})
	return n, nil
}

// awaitPartitions waits until all partitions are served and have stayed where
// they are for a while, whether one node has them all or all share them.
func awaitPartitions(ctx context.Context, nodes []*node.Node) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	var last []int
	since := time.Now()
	for {
		now := make([]int, len(nodes))
		total := 0
		for i, n := range nodes {
			now[i] = len(n.Status().Partitions)
			total += now[i]
		}
		if total != int(actor.DefaultPartitions) || !slices.Equal(now, last) {
			last, since = now, time.Now()
		}
		if time.Since(since) >= settled {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("partitions by node %v: %w", now, context.Cause(ctx))
		case <-poll.C:
		}
	}
}

// scrape reads how often nodes have thrown a state away: because of a conflict,
// and for whatever reason.
func scrape(ctx context.Context, nodes []*node.Node) (counts, error) {
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
