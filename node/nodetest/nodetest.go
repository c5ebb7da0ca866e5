package nodetest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/testharness"
)

const (
	// Patience bounds every wait of this package.
	Patience = 30 * time.Second

	// Partitions is how many a cluster has whose configuration names none. Fewer start
	// sooner; of so many, each of a few nodes has some, whatever their names are.
	Partitions actor.Partitions = 16

	// Lease is that of nodes whose configuration names none: a start waits for a sixth of it.
	Lease = 600 * time.Millisecond
)

// Node is a running node. It has all that [node.Node] has.
type Node struct {
	*node.Node
	t           testing.TB
	cfg         node.Config
	definitions []actor.Registrable
	network     *network
	client      *http.Client
	ended       chan error
}

// Start opens a node as [node.Open] does, runs it, and returns when it serves. It is closed
// when the test ends. It cannot run in a bubble of testing/synctest: a node listens.
//
// Of the configuration are replaced: the folder, the servers, secrets and certificates
// (NATS, MongoDB), which are the test's own; the addresses of the HTTP API and of the admin
// server, which are of the loopback interface, with ports that are free; and the name. The
// number of partitions is [Partitions], the lease [Lease], and the log goes into the test's
// output, unless it says otherwise. All else is as it is: Setup, Handler, projections, limits.
func Start(t testing.TB, cfg node.Config, definitions ...actor.Registrable) *Node {
	t.Helper()
	nats := testharness.NATS(t, testharness.WithServerOptions(func(o *server.Options) {
		o.MaxPayload, o.MaxPending, o.JetStreamMaxStore = 8<<20, 256<<20, 1<<40 // as the embedded server
	}))
	return open(t, own(t, cfg), newNetwork(nats), definitions)
}

// own replaces what leads to other systems.
func own(t testing.TB, cfg node.Config) node.Config {
	cfg.Name, cfg.DataDir = "", testharness.TempDir(t)
	cfg.NATSURL, cfg.NATSURLFile, cfg.NATSCreds = "nats://"+natsAddress, "", ""
	cfg.NATSTLSCA, cfg.NATSTLSCert, cfg.NATSTLSKey = "", "", ""
	cfg.NATSClusterAddr, cfg.NATSRoutes, cfg.NATSSecretFile, cfg.NATSClientAddr = "", nil, "", ""
	cfg.MongoURI, cfg.MongoURIFile, cfg.AdminTokenFile = "", "", ""
	cfg.HTTPAddr, cfg.AdminAddr = anyPort, anyPort
	cfg.Replicas = 1
	if cfg.Partitions == 0 {
		cfg.Partitions = Partitions
	}
	if cfg.Lease == 0 {
		cfg.Lease = Lease
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	return cfg
}

func open(t testing.TB, cfg node.Config, w *network, definitions []actor.Registrable) *Node {
	t.Helper()
	n := &Node{t: t, cfg: w.configured(cfg), network: w, definitions: definitions}
	n.client = newClient(t)
	t.Cleanup(n.Kill)
	n.run()
	return n
}

// run opens the node and waits until it serves. A node alone has all partitions.
func (n *Node) run() {
	n.t.Helper()
	ctx, cancel := n.patience()
	defer cancel()
	opened, err := node.Open(ctx, n.cfg, n.definitions...)
	if errors.Is(err, syscall.EADDRINUSE) { // somebody has taken the port meanwhile
		n.cfg.HTTPAddr, n.cfg.AdminAddr = anyPort, anyPort
		opened, err = node.Open(ctx, n.cfg, n.definitions...)
	}
	if err != nil {
		n.t.Fatalf("nodetest: open the node: %v", err)
	}
	n.Node, n.ended = opened, make(chan error, 1)
	n.cfg.HTTPAddr, n.cfg.AdminAddr = opened.HTTPAddr(), opened.AdminAddr() // of the next one, too
	n.network.nodes++
	running := context.WithoutCancel(ctx)
	go func(ended chan<- error) { ended <- opened.Run(running) }(n.ended)
	want := int(n.cfg.Partitions)
	if n.network.nodes > 1 {
		want = 1
	}
	if err := opened.AwaitServing(ctx, want); err != nil {
		n.t.Fatalf("nodetest: the node does not serve: %v", err)
	}
}

// patience returns the context of one wait. It outlives the test's own, for what comes at its end.
func (n *Node) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(n.t.Context()), Patience)
}

// URL returns the base of what the node serves over HTTP: its Handler, or the gateway.
func (n *Node) URL() string { return "http://" + n.HTTPAddr() }

// AdminURL returns the base of the node's admin server.
func (n *Node) AdminURL() string { return "http://" + n.AdminAddr() }

// HTTP returns a client whose connections end with the test. It keeps no cookies.
func (n *Node) HTTP() *http.Client { return n.client }

// WaitView waits until a view shows the events of an aggregate up to a version, such as
// the one that came with a reply. It ends the test if an event of it is parked.
func (n *Node) WaitView(p *projection.Projection, source actor.Address, version actor.Version) {
	n.t.Helper()
	ctx, cancel := n.patience()
	defer cancel()
	if err := n.View(p).Wait(ctx, projection.Version(source, version)); err != nil {
		n.t.Fatalf("nodetest: version %d of %s in %s: %v", version, source, p.Name(), err)
	}
}

// AtRest waits until nothing is on its way any more: commands that were sent, sagas and
// policies, timers whose time has come, effects with their retries, views, and what follows
// from all that; see
// [node.Node.AwaitRest]. It ends the test if an event is parked for a projection.
func (n *Node) AtRest() {
	n.t.Helper()
	ctx, cancel := n.patience()
	defer cancel()
	if err := n.AwaitRest(ctx); err != nil {
		n.t.Fatalf("nodetest: %v", err)
	}
}

// Await waits until the state of an aggregate is as until says, and returns what was read
// then: of a saga, say, that has asked for an effect, or of one that ends. See
// [actor.Await]. It ends the test if that is not so within [Patience].
func Await[V any](n *Node, of actor.Address, until func(actor.Shown[V]) bool) actor.Shown[V] {
	n.t.Helper()
	ctx, cancel := n.patience()
	defer cancel()
	shown, err := actor.Await(ctx, n.Client(), of, until)
	if err != nil {
		n.t.Fatalf("nodetest: %v; its state is %+v", err, shown.State)
	}
	return shown
}

// Kill ends the node at once, as the death of its process does: it hands nothing over, and
// gives nothing back. It does nothing to a node that has ended.
func (n *Node) Kill() {
	n.t.Helper()
	if n.ended == nil {
		return
	}
	_ = n.Close()
	n.stopped()
}

// Stop ends the node in order.
func (n *Node) Stop() {
	n.t.Helper()
	if n.ended == nil {
		return
	}
	ctx, cancel := n.patience()
	defer cancel()
	if err := n.Shutdown(ctx); err != nil {
		n.t.Errorf("nodetest: shut the node down: %v", err)
	}
	_ = n.Close()
	n.stopped()
}

func (n *Node) stopped() {
	n.t.Helper()
	if err := <-n.ended; err != nil {
		n.t.Errorf("nodetest: the node could not go on: %v", err)
	}
	n.ended = nil
	n.network.nodes--
	n.client.CloseIdleConnections()
}

// Restart kills the node, unless it has ended, and opens it again on what it has stored,
// under the same addresses.
func (n *Node) Restart() {
	n.t.Helper()
	n.Kill()
	n.run()
}

// Join opens another node of the same cluster, with the same configuration and
// definitions. It returns when that serves a partition. With few partitions, none may be its
// own: names are by chance, and decide whose each is.
func (n *Node) Join() *Node {
	n.t.Helper()
	cfg := n.cfg
	cfg.DataDir, cfg.HTTPAddr, cfg.AdminAddr = testharness.TempDir(n.t), anyPort, anyPort
	return open(n.t, cfg, n.network, n.definitions)
}
