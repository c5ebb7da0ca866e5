package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// EarlierNodesError says that nodes of an earlier build are at work, which this build
// cannot run beside: they would not see what it sends. It wraps [ErrEarlierNodes].
type EarlierNodesError struct {
	Nodes []string // their names
}

// Error names them.
func (e *EarlierNodesError) Error() string {
	return fmt.Sprintf("%v: %s. End all of them, then start this build: what they have accepted waits in the streams",
		ErrEarlierNodes, strings.Join(e.Nodes, ", "))
}

// Unwrap returns [ErrEarlierNodes].
func (e *EarlierNodesError) Unwrap() error { return ErrEarlierNodes }

// awaitNoOthers returns nil once it is seen that no node is at work beside this one. A
// session alone proves nothing: that of a node that was killed looks alive until
// somebody declares it dead. So its beat must be seen to move, for which this waits for
// as long as one renewal lets a node answer.
func (n *Node) awaitNoOthers(ctx context.Context) error {
	first, err := n.liveSessions(ctx)
	if err != nil || len(first) == 0 {
		return err
	}
	wait := n.cfg.Lease
	for i := range first {
		wait = max(wait, first[i].Lease)
	}
	n.cfg.Logger.InfoContext(ctx, "waits to see whether nodes of an earlier build are at work", "sessions", len(first), "for", wait)
	tick := time.NewTicker(max(wait/20, 10*time.Millisecond))
	defer tick.Stop()
	for end := time.Now().Add(wait); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		now, err := n.liveSessions(ctx)
		if err != nil {
			return err
		}
		if alive := moved(first, now); len(alive) > 0 {
			e := &EarlierNodesError{}
			for _, s := range alive {
				e.Nodes = append(e.Nodes, s.Name)
			}
			return e
		}
	}
	return nil
}

// liveSessions returns the sessions that nobody has declared dead, without that of a
// predecessor that is known to be gone.
func (n *Node) liveSessions(ctx context.Context) ([]store.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, schemaTimeout)
	defer cancel()
	sessions, err := n.store.Sessions(ctx)
	if err != nil {
		return nil, fmt.Errorf("look up other nodes: %w", err)
	}
	return slices.DeleteFunc(sessions, func(s store.Session) bool {
		return s.Dead || s.Name == n.cfg.Name && n.soleHolder() && n.dir.opened(s.Incarnation)
	}), nil
}
