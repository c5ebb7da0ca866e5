package nodes

import (
	"cmp"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
)

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 30 * time.Second
)

// Local is a node in the process of the test.
type Local struct {
	*node.Node
	ended chan error
}

// Start opens a node, runs it, and waits until it serves a partition, or all of
// them if it has a NATS server of its own and thus cannot share them. Empty
// fields of cfg are a data folder of the test, free ports of the loopback
// interface, and a log into the test's output. The node is closed when the test
// ends.
func Start(t testing.TB, cfg node.Config, definitions ...actor.Registrable) *Local {
	t.Helper()
	l := Standby(t, cfg, definitions...)
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	want := 1
	if cfg.NATSURL == "" {
		want = int(cmp.Or(cfg.Partitions, actor.DefaultPartitions))
	}
	if err := l.AwaitServing(ctx, want); err != nil {
		t.Fatalf("nodes: %v", err)
	}
	return l
}

// Standby is [Start] for a node that need not get a partition: it does not wait.
func Standby(t testing.TB, cfg node.Config, definitions ...actor.Registrable) *Local {
	t.Helper()
	if cfg.DataDir == "" {
		cfg.DataDir = testharness.TempDir(t)
	}
	if cfg.HTTPAddr == "" {
		cfg.HTTPAddr = "127.0.0.1:0"
	}
	if cfg.AdminAddr == "" {
		cfg.AdminAddr = "127.0.0.1:0"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	n, err := node.Open(ctx, cfg, definitions...)
	if err != nil {
		t.Fatalf("nodes: open: %v", err)
	}
	l := &Local{Node: n, ended: make(chan error, 1)}
	go func() { l.ended <- n.Run(context.WithoutCancel(ctx)) }()
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// URL returns the base of the node's HTTP API.
func (l *Local) URL() string { return "http://" + l.HTTPAddr() }

// AdminURL returns the base of the node's admin server.
func (l *Local) AdminURL() string { return "http://" + l.AdminAddr() }

// Stop shuts the node down in order and closes it.
func (l *Local) Stop(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := l.Shutdown(ctx); err != nil {
		t.Errorf("nodes: shutdown: %v", err)
	}
	if err := <-l.ended; err != nil {
		t.Errorf("nodes: run: %v", err)
	}
	_ = l.Close()
}
