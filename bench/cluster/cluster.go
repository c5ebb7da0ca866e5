// Package cluster starts what several nodes of a measurement share, and waits until
// they have shared out their partitions.
//
// # Concurrency
//
// The NATS server and the nodes run until they are stopped. [Settle] runs on the goroutine of its
// caller.
//
// # Failures
//
// Errors say what did not start, or who had how many partitions when time was over.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
)

const (
	startTimeout = 60 * time.Second
	// settled is for how long nobody may take or give a partition before nodes count
	// as ready: those that share partitions out do so in their first second.
	settled = 1500 * time.Millisecond
)

// stopTimeout bounds the end of what was started.
const stopTimeout = 20 * time.Second

// Closers ends, backwards, what was started. Its zero value has nothing to end. It is
// not safe for concurrent use.
type Closers struct{ undo []func(context.Context) error }

// OnClose adds what ends something.
func (c *Closers) OnClose(undo func(context.Context) error) { c.undo = append(c.undo, undo) }

// Close ends everything within 20 s, also when ctx has ended. It does so once.
func (c *Closers) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	var errs []error
	for _, undo := range slices.Backward(c.undo) {
		errs = append(errs, undo(ctx))
	}
	c.undo = nil
	return errors.Join(errs...)
}

// NATS is a server with file storage that listens on a free port.
type NATS struct{ server *server.Server }

// StartNATS starts a server that keeps its streams in a folder. The caller stops it.
func StartNATS(dir string) (*NATS, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "bench", Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return nil, fmt.Errorf("NATS server: %w", err)
	}
	n := &NATS{server: s}
	go s.Start()
	if !s.ReadyForConnections(startTimeout) {
		n.Stop()
		return nil, errors.New("NATS server: not ready in time")
	}
	return n, nil
}

// URL returns where clients connect.
func (n *NATS) URL() string { return n.server.ClientURL() }

// Stop ends the server, and returns when it has ended.
func (n *NATS) Stop() {
	n.server.Shutdown()
	n.server.WaitForShutdown()
}

// Member is a node that runs.
type Member struct {
	*node.Node
	ended chan error
}

// Start opens a node and lets it run. The caller stops it.
func Start(ctx context.Context, cfg node.Config, definitions ...actor.Registrable) (*Member, error) {
	n, err := node.Open(ctx, cfg, definitions...)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", cfg.Name, err)
	}
	m := &Member{Node: n, ended: make(chan error, 1)}
	go func() { m.ended <- n.Run(context.WithoutCancel(ctx)) }()
	return m, nil
}

// Stop ends the node, and waits until it has ended, or ctx has.
func (m *Member) Stop(ctx context.Context) error {
	err := errors.Join(m.Shutdown(ctx), m.Close())
	select {
	case ended := <-m.ended:
		return errors.Join(err, ended)
	case <-ctx.Done():
		return errors.Join(err, context.Cause(ctx))
	}
}

// Settle waits until all partitions are served and have stayed where they are for a
// while, whether one node has them all or all share them.
func Settle(ctx context.Context, nodes []*Member) error {
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
