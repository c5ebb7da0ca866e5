package node

import (
	"context"
	"errors"
	"time"
)

// Each phase of the end has a bound of its own, and a share of the time that is left when
// it begins: what hangs in one of them leaves the others theirs. With shutdownTimeout
// all bounds fit in.
const (
	// handOverTimeout bounds the time for which a node that ends waits for others to
	// take its partitions, and for its balancer to notice.
	handOverTimeout = 15 * time.Second
	// finishTimeout bounds the wait for requests under way.
	finishTimeout = 4 * time.Second
	// giveBackTimeout bounds the finishing of commands, and giving back claims and
	// session.
	giveBackTimeout = 5 * time.Second
)

// phase bounds a phase of the end, which has others behind it.
func phase(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		most = min(most, time.Until(deadline)/2)
	}
	return context.WithTimeout(ctx, most)
}

// Shutdown ends the node in order: its partitions are handed over to other nodes
// if there are any, while its HTTP API still passes requests on to them; then no
// new requests, those under way are finished, and what is left is given back. An
// embedded NATS server that others see then gives away what it leads and has its
// clients move. What is not done when ctx ends is cut. Run returns after it.
//
// Whoever does not send their request or does not read their answer is cut after some
// seconds, which is no error: nothing of the end waits for them.
//
// A balancer finds out some time later that the node is not ready, and may send a
// request into the very moment in which the node closes the connection. Nobody can
// tell then whether it was taken in. So the API lingers, if there are other nodes.
func (n *Node) Shutdown(ctx context.Context) error {
	n.draining.Store(true)
	n.handOver(ctx)
	n.finishRequests(ctx)
	err := n.giveBack(ctx)
	if n.nats != nil && n.nats.listens {
		// Only now: all that came before goes through this server.
		n.gone.ours.Store(true)
		n.client.Close()
		n.conn.Close()
		if n.leases != nil {
			n.leases.Close()
		}
		err = errors.Join(err, n.nats.leave(ctx))
	}
	return n.cfg.hide.Error(err)
}

// handOver returns when others have the node's partitions and know where they are, or
// there are none who take them.
func (n *Node) handOver(ctx context.Context) {
	ctx, cancel := phase(ctx, handOverTimeout)
	defer cancel()
	lingered := time.After(n.cfg.Linger)
	if err := n.runtime.HandOver(ctx); err != nil {
		n.cfg.Logger.WarnContext(ctx, "not everything was handed over", "error", err)
	}
	if len(n.runtime.Status().Partitions) > 0 { // nobody else has them
		return
	}
	select {
	case <-lingered:
	case <-ctx.Done():
	}
}

// finishRequests waits for the requests under way, and cuts those that take too long.
func (n *Node) finishRequests(ctx context.Context) {
	ctx, cancel := phase(ctx, finishTimeout)
	defer cancel()
	if err := n.api.Shutdown(ctx); err != nil {
		n.cfg.Logger.WarnContext(ctx, "requests under way were cut", "after", finishTimeout, "error", err)
		_ = n.api.Close() // it reports what Shutdown did
	}
}

// giveBack finishes what was taken in, and ends the session.
func (n *Node) giveBack(ctx context.Context) error {
	if n.nats != nil && n.nats.listens {
		var cancel context.CancelFunc
		ctx, cancel = phase(ctx, giveBackTimeout)
		defer cancel()
	}
	return n.runtime.Shutdown(ctx)
}
