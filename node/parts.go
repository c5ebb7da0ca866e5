package node

import (
	"context"
	"log/slog"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/store"
)

// Gateway returns the node's HTTP API, as an ordinary handler. It serves whether the node
// runs or not, and has none of the node's guards: hosts and origins are of its own server.
func (n *Node) Gateway() *gateway.Gateway { return n.gateway }

// GatewayConfig returns what the node's HTTP API was made with, its history and its view of
// the cluster among it, for another gateway beside it. The streams of that one end with
// [gateway.Gateway.EndStreams], see [Node.Stopping].
func (n *Node) GatewayConfig() gateway.Config { return n.served }

// History reads events and states out of a store, for a gateway in a process that is no
// node. It is safe for concurrent use.
type History struct{ history }

// NewHistory returns a history of the definitions in a store, see [OpenStore]. The logger
// gets interruptions of the store's feed; nil: nothing is logged.
func NewHistory(s store.Store, logger *slog.Logger, definitions ...actor.Registrable) *History {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &History{history{store: s, behaviors: behaviorsOf(definitions), watch: newWatch(s, logger), replays: make(chan struct{}, replaysMax)}}
}

// Run has streams of events follow the store's feed, until ctx ends, and returns its error.
// Without it they look for themselves, every few seconds.
func (h *History) Run(ctx context.Context) error {
	h.watch.run(ctx)
	return ctx.Err()
}

// NewCluster returns the view of a cluster for a gateway in a process that is no node: from
// the store of its nodes (see [OpenStore]), a bus of its namespace, and the connection of
// that bus, over which nodes are asked how far they are.
func NewCluster(namespace string, s store.Leases, bus *natsbus.Bus, conn *nats.Conn) gateway.Cluster {
	return &cluster{
		namespace: namespace, store: s, partitions: bus.Partitions(), backlog: bus.Backlog,
		peers: &peers{conn: conn, namespace: namespace},
	}
}
