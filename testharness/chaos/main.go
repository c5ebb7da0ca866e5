package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/natsd"
	"github.com/ganglion-go/ganglion/testharness/netproxy"
)

// envNode holds the settings of the node that a process is to be.
const envNode = "GANGLION_TESTHARNESS_NODE"

const drainTimeout = 20 * time.Second

// nodeSettings is what a child process has to know.
type nodeSettings struct {
	Name, Namespace, DataDir string
	NATSURL, MongoURI        string
	HTTPAddr, AdminAddr      string
	MongoDatabase, Egress    string
	Partitions               actor.Partitions
	Replicas                 int
	Lease                    time.Duration
	Answers                  runtime.Answers
	LogLevel                 slog.Level
	ClockFile                string
	RingMax, Activations     int
}

// Main is the TestMain of a package that runs clusters whose nodes serve the given
// definitions. Nodes and NATS servers are this same binary, started again; in such
// a process Main serves and runs no test. Otherwise it is [testharness.Main].
func Main(m *testing.M, definitions ...actor.Registrable) {
	MainWith(m, node.Config{}, definitions...)
}

// MainWith is [Main] for nodes that have more than definitions, as [node.MainWith]:
// projections, for example. The cluster sets what is its own in cfg: names, addresses,
// servers, the lease and the log's level among it.
func MainWith(m *testing.M, cfg node.Config, definitions ...actor.Registrable) {
	if RunChildWith(cfg, definitions...) {
		return
	}
	testharness.Main(m)
}

// RunChild is what [Main] does in a child process, for programs that are no test:
// it returns false at once in any other process, and true when the caller should
// return from its main.
func RunChild(definitions ...actor.Registrable) bool {
	return RunChildWith(node.Config{}, definitions...)
}

// RunChildWith is [RunChild] as [MainWith] is [Main].
func RunChildWith(cfg node.Config, definitions ...actor.Registrable) bool {
	if natsd.RunChild() {
		return true
	}
	text := os.Getenv(envNode)
	if text == "" {
		return false
	}
	if err := serveNode(text, cfg, definitions); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
	return true
}

func serveNode(text string, cfg node.Config, definitions []actor.Registrable) error {
	var s nodeSettings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s.apply(&cfg)
	n, err := node.Open(ctx, cfg, definitions...)
	if err != nil {
		return err
	}
	defer func() { _ = n.Close() }()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(context.WithoutCancel(ctx)) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	return errors.Join(n.Shutdown(drain), <-ended)
}

// apply sets what the cluster decides.
func (s *nodeSettings) apply(cfg *node.Config) {
	cfg.Name, cfg.Namespace, cfg.DataDir = s.Name, s.Namespace, s.DataDir
	cfg.NATSURL, cfg.MongoURI, cfg.MongoDatabase = s.NATSURL, s.MongoURI, s.MongoDatabase
	cfg.HTTPAddr, cfg.AdminAddr = s.HTTPAddr, s.AdminAddr
	cfg.Partitions, cfg.Replicas, cfg.Lease, cfg.Answers, cfg.LogLevel = s.Partitions, s.Replicas, s.Lease, s.Answers, s.LogLevel
	cfg.Dial = netproxy.DialThrough(s.Egress)
	cfg.Limits.Clock, cfg.Limits.RingMax, cfg.Limits.MaxActivations = newBrokenClock(s.ClockFile), s.RingMax, s.Activations
}
