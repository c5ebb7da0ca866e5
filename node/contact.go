package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// errServersApart reports that the server of this node is alone.
var errServersApart = errors.New("the NATS server of this node sees no other")

// contact returns how the runtime finds out whether messages reach this node while its
// store does, which says nothing where both are in one process or in one server: then it
// is nil.
func (n *Node) contact() func(ctx context.Context) error {
	switch {
	case n.cfg.embeddedStore() || n.cfg.embeddedNATS() && !n.cfg.clustered():
		return nil
	case n.cfg.clustered():
		q := &quorum{server: n.nats}
		return func(ctx context.Context) error {
			if q.present() == 1 {
				return errServersApart
			}
			return n.bus.Reach(ctx)
		}
	default:
		return n.echoes[0].ask
	}
}

// openEchoes prepares to find out that messages do not arrive.
func (n *Node) openEchoes() error {
	if n.cfg.embeddedNATS() {
		return nil // nobody takes rights away there
	}
	for _, conn := range []*nats.Conn{n.conn, n.leases} {
		if conn == nil {
			continue
		}
		e, err := newEcho(conn, n.cfg.Logger, n.cfg.CutAfter)
		if err != nil {
			return err
		}
		n.echoes = append(n.echoes, e)
	}
	return nil
}

// goneConn ends a node whose connection to NATS has been closed for good, as nats.go does
// upon some errors of a server: it would serve nobody, and a supervisor starts it again.
type goneConn struct {
	ours atomic.Bool // the node itself closes its connections
	once sync.Once
	gone chan struct{}
	err  error // written before gone is closed
}

func newGoneConn() *goneConn { return &goneConn{gone: make(chan struct{})} }

// closed is a handler of nats.go.
func (g *goneConn) closed(nc *nats.Conn) {
	if g.ours.Load() {
		return
	}
	g.once.Do(func() {
		g.err = nc.LastError()
		close(g.gone)
	})
}

// run returns [ErrNATSClosed] once a connection is closed, and nil when ctx ends before.
func (g *goneConn) run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-g.gone:
		return fmt.Errorf("%w: %w", ErrNATSClosed, errors.Join(g.err, nats.ErrConnectionClosed))
	}
}
