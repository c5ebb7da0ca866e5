package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	mongostore "github.com/ganglion-go/ganglion/store/mongo"
	"github.com/ganglion-go/ganglion/testharness/mongod"
	"github.com/ganglion-go/ganglion/testharness/natsd"
)

// ClusterConfig says how large a cluster is. The zero value of each field means
// the default in its comment.
type ClusterConfig struct {
	Nodes       int             // 3
	NATSServers int             // 3
	Mongods     int             // 3; an odd number
	NoMongo     bool            // the nodes keep their store in JetStream, and there are no mongods
	Partitions  int             // 32
	Lease       time.Duration   // 2 s
	Answers     runtime.Answers // what lets a node answer
	RingMax     int             // outcomes that an activation remembers: 64, so that the store is asked, too
	Activations int             // aggregates that a node keeps in memory: 48, so that they come and go
	Namespace   string          // "chaos"; also the name of the database
	LogLevel    slog.Level      // of the nodes
	Mongod      string          // binary; empty: what mongod.Find gives
	Dir         string          // of data and logs; empty: a temporary one, which Close removes
}

func (c ClusterConfig) withDefaults() ClusterConfig {
	for _, n := range []struct {
		value *int
		to    int
	}{{&c.Nodes, 3}, {&c.NATSServers, 3}, {&c.Mongods, 3}, {&c.Partitions, 32}, {&c.RingMax, 64}, {&c.Activations, 48}} {
		if *n.value == 0 {
			*n.value = n.to
		}
	}
	if c.Lease == 0 {
		c.Lease = 2 * time.Second
	}
	if c.Namespace == "" {
		c.Namespace = "chaos"
	}
	return c
}

// lameDuckGrace is how long a NATS server that ends leaves its clients alone.
const lameDuckGrace = 3 * time.Second

// Cluster is a running cluster of processes.
type Cluster struct {
	Nodes []*Node
	NATS  *natsd.Cluster
	Mongo *mongod.ReplicaSet

	cfg       ClusterConfig
	dir       string
	removeDir bool
	busy      *busy
}

// StartCluster starts all processes and returns when every node is ready, in some
// 10 s. ctx bounds the start alone. Close the cluster when done; nothing runs
// after an error. Errors are those of packages natsd and mongod, among them
// mongod.ErrNotFound where there is no mongod.
func StartCluster(ctx context.Context, cfg ClusterConfig) (_ *Cluster, err error) {
	cfg = cfg.withDefaults()
	c := &Cluster{cfg: cfg, dir: cfg.Dir, removeDir: cfg.Dir == "", busy: newBusy()}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if c.removeDir {
		if c.dir, err = os.MkdirTemp("", "ganglion-chaos-*"); err != nil {
			return nil, err
		}
	}
	if err := c.startServers(ctx); err != nil {
		return nil, err
	}
	for i := range cfg.Nodes {
		n, err := newNode(&cfg, c, i)
		if err != nil {
			return nil, err
		}
		c.Nodes = append(c.Nodes, n)
	}
	return c, c.startNodes(ctx)
}

func (c *Cluster) startServers(ctx context.Context) error {
	dirs := []string{filepath.Join(c.dir, "nats"), filepath.Join(c.dir, "mongo")}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	starting, ctx := errgroup.WithContext(ctx)
	starting.Go(func() (err error) {
		c.NATS, err = natsd.StartCluster(ctx, natsd.Config{
			Servers: c.cfg.NATSServers, Dir: dirs[0], LameDuckGrace: lameDuckGrace,
		})
		return err
	})
	if c.cfg.NoMongo {
		return starting.Wait()
	}
	starting.Go(func() (err error) {
		c.Mongo, err = mongod.StartReplicaSet(ctx, mongod.Config{
			Members: c.cfg.Mongods, Dir: dirs[1], Binary: c.cfg.Mongod, Proxied: true,
			Parameters: map[string]string{"enableTestCommands": "1"}, // fail points
		})
		return err
	})
	return starting.Wait()
}

func (c *Cluster) startNodes(ctx context.Context) error {
	starting, ctx := errgroup.WithContext(ctx)
	for _, n := range c.Nodes {
		starting.Go(func() error { return n.Start(ctx) })
	}
	return starting.Wait()
}

// Heal ends whatever may be wrong: links are whole, everybody runs, clocks are
// right. It returns when all nodes are ready, or with an error when ctx ends.
func (c *Cluster) Heal(ctx context.Context) error {
	c.NATS.Heal()
	for _, m := range c.mongods() {
		m.Proxy().Heal()
		m.Proxy().Latency(0)
		if m.PID() == 0 {
			if err := m.Restart(ctx); err != nil {
				return err
			}
		}
		if err := m.Resume(); err != nil {
			return err
		}
	}
	for _, s := range c.NATS.Servers() {
		if err := errors.Join(s.Start(ctx), s.Resume()); err != nil {
			return err
		}
	}
	for _, n := range c.Nodes {
		n.Heal()
		if err := errors.Join(n.ShiftClock(0), n.HaltClock(false)); err != nil {
			return err
		}
		if n.Running() {
			if err := n.Resume(); err != nil {
				return err
			}
		}
	}
	if err := c.NATS.AwaitReady(ctx); err != nil {
		return err
	}
	if c.Mongo != nil {
		if _, err := c.Mongo.Primary(ctx); err != nil {
			return err
		}
	}
	return c.startNodes(ctx)
}

// Owner is the node that owns a partition, as the first node to answer reads it in
// the store; nil when nobody answers within 2 s, or there is no owner.
func (c *Cluster) Owner(ctx context.Context, p actor.Partition) *Node {
	ctx, cancel := context.WithTimeout(ctx, 2*pollTimeout)
	defer cancel()
	owners := make(chan string, len(c.Nodes))
	var asking sync.WaitGroup
	for _, asked := range c.Nodes {
		asking.Go(func() {
			view, err := asked.cluster(ctx)
			if err == nil && int(p) < len(view.Partitions) {
				owners <- addressOf(&view, view.Partitions[p].Owner)
				cancel() // the others need not answer any more
			}
		})
	}
	asking.Wait()
	close(owners)
	address := <-owners
	for _, n := range c.Nodes {
		if n.settings.HTTPAddr == address {
			return n
		}
	}
	return nil
}

// addressOf is where a live member is reached; empty: it is not there.
func addressOf(view *gateway.ClusterView, name string) string {
	for _, m := range view.Members {
		if m.Name == name && m.State == gateway.MemberLive {
			return m.Address
		}
	}
	return ""
}

func (n *Node) cluster(ctx context.Context) (view gateway.ClusterView, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL()+"/v1/cluster", nil)
	if err != nil {
		return view, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return view, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return view, fmt.Errorf("cluster: %s", resp.Status)
	}
	return view, json.NewDecoder(resp.Body).Decode(&view)
}

// CommandStream is the name of the cluster's command stream.
func (c *Cluster) CommandStream() string { return c.cfg.Namespace + "_COMMANDS" }

// Commits reads the whole history of an aggregate from the store, past any node.
func (c *Cluster) Commits(ctx context.Context, targets []actor.Address) (map[actor.Address][]store.Commit, error) {
	s, done, err := c.openStore(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	defer done()
	found := make(map[actor.Address][]store.Commit, len(targets))
	for _, a := range targets {
		for commit, err := range s.Load(ctx, store.Aggregate(a.String()), 0) {
			if err != nil {
				return nil, fmt.Errorf("load %s: %w", a, err)
			}
			found[a] = append(found[a], commit)
		}
	}
	return found, nil
}

func (c *Cluster) openStore(ctx context.Context) (s store.Store, done func(), err error) {
	if c.Mongo != nil {
		s, err := mongostore.Open(ctx, c.Mongo.URI(), mongostore.Config{Database: c.cfg.Namespace})
		return s, func() { _ = s.Close(context.WithoutCancel(ctx)) }, err
	}
	nc, err := c.NATS.Connect()
	if err != nil {
		return nil, nil, err
	}
	s, err = jetstream.Open(ctx, nc, jetstream.Config{Namespace: c.cfg.Namespace, Replicas: min(c.cfg.NATSServers, 3)})
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return s, nc.Close, nil
}

// mongods are the members of the replica set, if there is one.
func (c *Cluster) mongods() []*mongod.Member {
	if c.Mongo == nil {
		return nil
	}
	return c.Mongo.Members()
}

// logs are the files in which the processes write.
func (c *Cluster) logs() []string {
	var paths []string
	for _, n := range c.Nodes {
		paths = append(paths, n.LogPath())
	}
	if c.NATS != nil {
		for _, s := range c.NATS.Servers() {
			paths = append(paths, s.LogPath())
		}
	}
	for _, m := range c.mongods() {
		paths = append(paths, m.LogPath())
	}
	return paths
}

// Close kills all processes and waits until they are gone. It is idempotent.
func (c *Cluster) Close() error {
	for _, n := range c.Nodes {
		n.close()
	}
	var errs []error
	if c.NATS != nil {
		errs = append(errs, c.NATS.Close())
	}
	if c.Mongo != nil {
		errs = append(errs, c.Mongo.Close())
	}
	if c.removeDir && c.dir != "" {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}
