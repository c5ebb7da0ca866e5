package natsd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/testharness/netproxy"
)

// apiTimeout bounds one request of JetStream's API.
const apiTimeout = 5 * time.Second

// Config says how [StartCluster] runs a cluster. The zero value is one server in
// a temporary directory.
type Config struct {
	// Servers is how many to run. 0 means 1; 3 are the least for replicated streams.
	Servers int

	// Dir holds stores and logs. Empty means a temporary directory that Close removes.
	Dir string

	// SyncAlways makes the servers write through to the disk before they acknowledge.
	SyncAlways bool

	// LameDuckGrace is how long a server leaves its clients alone once it has told
	// them that it ends, see [Server.LameDuck]. 0 means what a server does by itself:
	// 10 s, and it takes up to 2 min to close those that are left.
	LameDuckGrace time.Duration
}

// Cluster is a running cluster of child processes. Servers are addressed by their
// index, from 0.
type Cluster struct {
	servers   []*Server
	links     map[[2]int]*netproxy.Proxy // by pair, the lower index first
	dir       string
	removeDir bool
}

// StartCluster starts the servers and waits until JetStream has a leader that all
// of them follow: under 1 s for one server, 1 to 5 s for three. ctx bounds the
// start alone. Nothing keeps running after an error.
func StartCluster(ctx context.Context, cfg Config) (_ *Cluster, err error) {
	if cfg.Servers == 0 {
		cfg.Servers = 1
	}
	c := &Cluster{links: map[[2]int]*netproxy.Proxy{}, removeDir: cfg.Dir == ""}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if c.removeDir {
		if cfg.Dir, err = os.MkdirTemp("", "ganglion-natsd-*"); err != nil {
			return nil, err
		}
	}
	c.dir = cfg.Dir
	if err := c.prepare(cfg); err != nil {
		return nil, err
	}
	for _, s := range c.servers {
		if err := s.launch(); err != nil {
			return nil, err
		}
	}
	for _, s := range c.servers {
		if err := s.await(ctx); err != nil {
			return nil, err
		}
	}
	return c, c.AwaitReady(ctx)
}

// prepare makes the servers and a link for each pair of them, which the one with
// the higher index dials.
func (c *Cluster) prepare(cfg Config) error {
	for i := range cfg.Servers {
		s, err := newServer(cfg, i)
		if err != nil {
			return err
		}
		c.servers = append(c.servers, s)
		for j, other := range c.servers[:i] {
			link, err := netproxy.New(other.ports[2].Addr())
			if err != nil {
				return err
			}
			c.links[[2]int{j, i}] = link
			s.settings.Routes = append(s.settings.Routes, "nats-route://"+link.Addr())
		}
	}
	return nil
}

// Servers are the servers by index. Do not change the slice.
func (c *Cluster) Servers() []*Server { return c.servers }

// URL is the URLs of all servers, separated by commas, as nats.Connect takes it.
func (c *Cluster) URL() string {
	urls := make([]string, len(c.servers))
	for i, s := range c.servers {
		urls[i] = s.URL()
	}
	return strings.Join(urls, ",")
}

// Link is the network between two different servers: ToTarget is from the higher
// index to the lower one.
func (c *Cluster) Link(a, b int) *netproxy.Link { return c.links[[2]int{min(a, b), max(a, b)}].Link }

// Isolate cuts a server off from all other servers, and not from clients.
func (c *Cluster) Isolate(server int) {
	for pair, link := range c.links {
		if pair[0] == server || pair[1] == server {
			link.Cut()
		}
	}
}

// Heal ends all cuts and delays between servers.
func (c *Cluster) Heal() {
	for _, link := range c.links {
		link.Heal()
		link.Latency(0)
	}
}

// jetStreamState is a part of what a server's monitoring tells of JetStream.
type jetStreamState struct {
	Meta *struct {
		Leader   string `json:"leader"`
		Size     int    `json:"cluster_size"`
		Replicas []struct {
			Current bool `json:"current"`
			Offline bool `json:"offline"`
		} `json:"replicas"`
	} `json:"meta_cluster"`
}

// AwaitReady waits until a server leads JetStream and all others follow it. It
// fails with [ErrNotReady] when ctx ends.
func (c *Cluster) AwaitReady(ctx context.Context) error {
	for !c.ready(ctx) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNotReady, context.Cause(ctx))
		case <-time.After(pollInterval):
		}
	}
	return nil
}

func (c *Cluster) ready(ctx context.Context) bool {
	if len(c.servers) == 1 {
		return c.servers[0].monitor(ctx, "/healthz", &struct{}{}) == nil
	}
	for _, s := range c.servers {
		var state jetStreamState
		if s.monitor(ctx, "/jsz", &state) != nil || state.Meta == nil || state.Meta.Leader != s.Name() || state.Meta.Size != len(c.servers) {
			continue
		}
		current := 1
		for _, r := range state.Meta.Replicas {
			if r.Current && !r.Offline {
				current++
			}
		}
		if current == len(c.servers) {
			return true
		}
	}
	return false
}

// Connect opens a connection to any server, which moves to another one when its
// own goes away. The caller closes it.
func (c *Cluster) Connect() (*nats.Conn, error) {
	nc, err := nats.Connect(c.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.RetryOnFailedConnect(true))
	if err != nil {
		return nil, fmt.Errorf("connect to nats: %w", err)
	}
	return nc, nil
}

// StreamLeader is the server that leads a stream. It fails with [ErrNoLeader], or
// with the errors of JetStream.
func (c *Cluster) StreamLeader(ctx context.Context, stream string) (*Server, error) {
	nc, err := c.Connect()
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open jetstream: %w", err)
	}
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", stream, err)
	}
	if info := s.CachedInfo().Cluster; info != nil {
		for _, server := range c.servers {
			if server.Name() == info.Leader {
				return server, nil
			}
		}
	} else if len(c.servers) == 1 {
		return c.servers[0], nil
	}
	return nil, fmt.Errorf("%w: %s", ErrNoLeader, stream)
}

// StepDown makes the leader of a stream resign. It does not wait for the next one.
// (The leader of JetStream itself takes such a request from the system account
// alone: kill it instead.)
func (c *Cluster) StepDown(ctx context.Context, stream string) error {
	nc, err := c.Connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if _, err := nc.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil); err != nil {
		return fmt.Errorf("step down the leader of %s: %w", stream, err)
	}
	return nil
}

// DeleteStream deletes a stream with all that is in it.
func (c *Cluster) DeleteStream(ctx context.Context, stream string) error {
	nc, err := c.Connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("open jetstream: %w", err)
	}
	if err := js.DeleteStream(ctx, stream); err != nil {
		return fmt.Errorf("delete stream %s: %w", stream, err)
	}
	return nil
}

// Close kills the servers, waits until they are gone, and removes the directory
// if it was a temporary one. It is idempotent.
func (c *Cluster) Close() error {
	var errs []error
	for _, s := range c.servers {
		s.close()
	}
	for _, link := range c.links {
		errs = append(errs, link.Close())
	}
	c.servers = nil
	if c.removeDir && c.dir != "" {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}
