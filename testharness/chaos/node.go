package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/testharness/internal/child"
	"github.com/ganglion-go/ganglion/testharness/internal/loopback"
	"github.com/ganglion-go/ganglion/testharness/netproxy"
)

const (
	pollInterval  = 20 * time.Millisecond
	pollTimeout   = time.Second
	relaunchPause = 300 * time.Millisecond
	logTailBytes  = 8 << 10
)

// ErrNotRunning reports that the addressed node is down.
var ErrNotRunning = errors.New("chaos: node is not running")

// Node is one Ganglion node of a [Cluster], a process with a way to each server
// that can be cut.
type Node struct {
	index    int
	settings nodeSettings
	logPath  string
	ports    []*loopback.Port // of the API and of administration
	egress   *netproxy.Egress
	nats     []string // addresses
	mongods  []string

	mu    sync.Mutex
	proc  *child.Process // the running child, or the last one
	clock clockSetting
}

// newNode prepares a node. Every other node has a name of its own choosing, and
// so does not know that its predecessor is dead when it is started again.
func newNode(cfg *ClusterConfig, c *Cluster, index int) (_ *Node, err error) {
	dir := filepath.Join(c.dir, fmt.Sprintf("node-%d", index))
	n := &Node{index: index, logPath: dir + ".log"}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	for range 2 {
		port, err := loopback.Reserve()
		if err != nil {
			return nil, err
		}
		n.ports = append(n.ports, port)
	}
	if n.egress, err = netproxy.NewEgress(); err != nil {
		return nil, err
	}
	for _, s := range c.NATS.Servers() {
		n.nats = append(n.nats, s.Addr())
	}
	for _, m := range c.mongods() {
		n.mongods = append(n.mongods, m.Addr())
	}
	n.settings = nodeSettings{
		Namespace: cfg.Namespace, DataDir: dir, NATSURL: c.NATS.URL(),
		MongoDatabase: cfg.Namespace,
		HTTPAddr:      n.ports[0].Addr(), AdminAddr: n.ports[1].Addr(),
		Partitions: actor.Partitions(cfg.Partitions), Replicas: min(cfg.NATSServers, 3), Lease: cfg.Lease, Answers: cfg.Answers,
		LogLevel: cfg.LogLevel, Egress: n.egress.Addr(), ClockFile: dir + ".clock",
		RingMax: cfg.RingMax, Activations: cfg.Activations,
	}
	if c.Mongo != nil {
		n.settings.MongoURI = c.Mongo.URI()
	}
	if index%2 == 1 {
		n.settings.Name = fmt.Sprintf("named-%d", index)
	}
	return n, nil
}

// Index is the node's place in [Cluster.Nodes].
func (n *Node) Index() int { return n.index }

// URL is the base of the node's HTTP API, in all its lives.
func (n *Node) URL() string { return "http://" + n.settings.HTTPAddr }

// AdminURL is the base of the node's administration, in all its lives.
func (n *Node) AdminURL() string { return "http://" + n.settings.AdminAddr }

// LogPath is the file with everything that the node wrote, over all its restarts.
func (n *Node) LogPath() string { return n.logPath }

// Running reports whether the process is there, also while it is paused.
func (n *Node) Running() bool {
	p := n.process()
	return p != nil && !p.Gone()
}

// Kill ends the node with SIGKILL and returns when it is gone. It is idempotent.
func (n *Node) Kill() {
	if p := n.process(); p != nil {
		p.Kill()
	}
}

// Pause stops the process with SIGSTOP until [Node.Resume].
func (n *Node) Pause() error { return n.signal((*child.Process).Pause) }

// Resume lets a paused node go on.
func (n *Node) Resume() error { return n.signal((*child.Process).Resume) }

// Terminate asks the node to end in order, and kills it when ctx ends before that.
func (n *Node) Terminate(ctx context.Context) error {
	if err := n.signal(func(p *child.Process) error { return p.Signal(syscall.SIGTERM) }); err != nil {
		return err
	}
	select {
	case <-n.process().Exited():
		return nil
	case <-ctx.Done():
		n.Kill()
		return fmt.Errorf("node %d did not end in order: %w", n.index, context.Cause(ctx))
	}
}

// Start starts a node that is down, and waits until it is ready. One that ends
// instead, for example since a server that it needs does not answer, is started
// again until ctx ends, as a supervisor would. It waits for one that runs, too.
func (n *Node) Start(ctx context.Context) error {
	for {
		if !n.Running() {
			if err := n.launch(); err != nil {
				return err
			}
		}
		if n.Ready(ctx) {
			return nil
		}
		pause := time.After(pollInterval)
		if !n.Running() {
			pause = time.After(relaunchPause)
		}
		select {
		case <-pause:
		case <-ctx.Done():
			return fmt.Errorf("node %d is not ready: %w; the end of its log:\n%s", n.index, context.Cause(ctx), n.Log())
		}
	}
}

func (n *Node) launch() error {
	text, err := json.Marshal(n.settings)
	if err != nil {
		return err
	}
	p, err := child.Start(os.Args[0], nil, []string{envNode + "=" + string(text)}, n.logPath)
	if err != nil {
		return fmt.Errorf("start node %d: %w", n.index, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.proc = p
	return nil
}

// Ready asks the node whether it should be sent requests: it has a valid lease
// and reaches NATS and the store. It need not own a partition.
func (n *Node) Ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.AdminURL()+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// ToNATS is the network between the node and each NATS server.
func (n *Node) ToNATS() []*netproxy.Link { return n.links(n.nats) }

// ToStore is the network between the node and each mongod, or each NATS server
// where the store is JetStream.
func (n *Node) ToStore() []*netproxy.Link {
	if len(n.mongods) == 0 {
		return n.ToNATS()
	}
	return n.links(n.mongods)
}

func (n *Node) links(addresses []string) []*netproxy.Link {
	links := make([]*netproxy.Link, len(addresses))
	for i, a := range addresses {
		links[i] = n.egress.Link(a)
	}
	return links
}

// Heal ends all cuts and delays of the node.
func (n *Node) Heal() { n.egress.Heal() }

// ShiftClock moves the node's wall time away from the machine's, by nothing for
// d = 0. The node follows within some 20 ms, and keeps the shift over restarts.
func (n *Node) ShiftClock(d time.Duration) error {
	return n.setClock(func(s *clockSetting) { s.shift = d })
}

// HaltClock stops the node's clocks, those that measure leases included, and lets
// them go on from where they stood. Only nodes whose answers are verified keep their
// promises then. The node follows within some 20 ms.
func (n *Node) HaltClock(halted bool) error {
	return n.setClock(func(s *clockSetting) { s.halted = halted })
}

func (n *Node) setClock(change func(*clockSetting)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.clock)
	return n.clock.write(n.settings.ClockFile)
}

// Log returns the end of what the node has written.
func (n *Node) Log() string {
	data, err := os.ReadFile(n.logPath)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(data[max(0, len(data)-logTailBytes):]))
}

func (n *Node) signal(send func(*child.Process) error) error {
	if !n.Running() {
		return fmt.Errorf("%w: node %d", ErrNotRunning, n.index)
	}
	return send(n.process())
}

func (n *Node) process() *child.Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc
}

func (n *Node) close() {
	n.Kill()
	if n.egress != nil {
		_ = n.egress.Close()
	}
	for _, p := range n.ports {
		p.Release()
	}
}
