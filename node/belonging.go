package node

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/store"
)

// ErrOtherCluster says that the store and the streams do not belong together: one of
// them is another cluster's. The error names both sides.
var ErrOtherCluster = errors.New("store and streams do not belong together")

const (
	bindTimeout = 30 * time.Second
	bindPause   = 250 * time.Millisecond
)

// bind records in the store to which namespace and partitions it belongs, unless it
// says so already, and refuses a store of another namespace. partitions is 0 before the
// streams are known.
func (n *Node) bind(ctx context.Context, partitions actor.Partitions) (store.Binding, error) {
	ctx, cancel := context.WithTimeout(ctx, bindTimeout)
	defer cancel()
	bound, err := n.store.Bind(ctx, n.cfg.Namespace, uint32(partitions))
	for err != nil && !errors.Is(err, store.ErrCorrupt) && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(bindPause):
			bound, err = n.store.Bind(ctx, n.cfg.Namespace, uint32(partitions))
		}
	}
	if err != nil {
		return bound, fmt.Errorf("bind store and streams: %w", err)
	}
	if bound.Namespace != n.cfg.Namespace {
		return bound, fmt.Errorf("%w: store %s (%s) belongs to namespace %q, this node is of namespace %q: two clusters need a store each",
			ErrOtherCluster, bound.Store, n.storeName(), bound.Namespace, n.cfg.Namespace)
	}
	if bound.Partitions == 0 && partitions == 0 {
		bound.Partitions, err = n.dividedInto(ctx)
	}
	return bound, err
}

// dividedInto returns into how many partitions the aggregates of a store are divided that
// was filled by a build which did not record it, as its claims say: a cluster that has
// run has claimed all partitions. It is 0 when they do not tell.
func (n *Node) dividedInto(ctx context.Context) (uint32, error) {
	claims, err := n.store.Claims(ctx)
	if err != nil {
		return 0, fmt.Errorf("read claims: %w", err)
	}
	all := uint32(len(claims)) //nolint:gosec // at most 16,384
	for _, c := range claims {
		if uint32(c.Partition) >= all {
			return 0, nil
		}
	}
	if bits.OnesCount32(all) != 1 {
		return 0, nil
	}
	return all, nil
}

// bound completes the binding once the streams are there.
func (n *Node) bound(ctx context.Context) error {
	is, err := n.bind(ctx, n.bus.Partitions())
	if err == nil && is.Partitions != uint32(n.bus.Partitions()) {
		err = &natsbus.PartitionsError{Configured: n.bus.Partitions(), Found: actor.Partitions(is.Partitions), InStore: true}
	}
	return n.belonging(err)
}

// belonging is ErrOtherCluster for what natsbus says about that.
func (n *Node) belonging(err error) error {
	if errors.Is(err, natsbus.ErrOtherStore) || errors.Is(err, natsbus.ErrPartitionsMismatch) {
		return fmt.Errorf("%w: %w", ErrOtherCluster, err)
	}
	return err
}

// storeName says to people which store the node has. It has no secrets.
func (n *Node) storeName() string {
	if n.cfg.embeddedStore() {
		return "JetStream, namespace " + n.cfg.Namespace
	}
	return fmt.Sprintf("MongoDB database %s at %s", n.cfg.MongoDatabase, mongoHosts(n.cfg.MongoURI))
}

// mongoHosts returns the hosts of a connection string, without what stands before and
// after them.
func mongoHosts(uri string) string {
	_, rest, _ := strings.Cut(uri, "://")
	rest, _, _ = strings.Cut(rest, "?")
	// A password may hold a slash that nobody has escaped.
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest = rest[at+1:]
	}
	hosts, _, _ := strings.Cut(rest, "/")
	return hosts
}
