package runtime

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ganglion-go/ganglion/internal/placement"
)

// contact finds out whether messaging answers this node, for all its incarnations. One
// that is without an answer for [Config.CutAfter] is cut: its session says so, and
// connected nodes get its partitions (docs/adr/0036-cut-from-messaging.md).
type contact struct {
	node *Node
	cut  atomic.Bool
}

// The share of Config.CutAfter that lies between two questions, and that one is waited
// for.
const (
	contactEvery    = 30
	contactPatience = 5
)

// run asks until ctx ends.
func (c *contact) run(ctx context.Context) {
	cfg := &c.node.cfg
	var since time.Duration // of the first question without an answer since the last answer
	answered := true
	for {
		asked := cfg.Clock.Elapsed()
		patience := cfg.CutAfter / contactPatience
		if left := since + cfg.CutAfter - asked; !answered && left > 0 {
			patience = min(patience, max(left, cfg.CutAfter/contactEvery))
		}
		err := c.ask(ctx, patience)
		now := cfg.Clock.Elapsed()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			answered = true
			if c.cut.Load() {
				cfg.Logger.InfoContext(ctx, "messaging answers again, this node takes partitions again", "node", cfg.Name)
				c.node.setCut(false)
			}
		default:
			if answered {
				answered, since = false, asked
			}
			if now-since >= cfg.CutAfter && !c.cut.Load() {
				cfg.Logger.ErrorContext(ctx, "this node is cut off from messaging, connected nodes get its partitions",
					"node", cfg.Name, "since", now-since, "error", err)
				c.node.setCut(true)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(cfg.CutAfter / contactEvery):
		}
	}
}

func (c *contact) ask(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return c.node.cfg.Reach(ctx)
}

// setCut has the session say whether the node is cut. The lock makes it one after the
// other with the beginning of an incarnation, which says what is so then.
func (n *Node) setCut(cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.contact.cut.Store(cut)
	if n.current != nil {
		n.current.setCut(cut)
	}
}

func (in *incarnation) setCut(cut bool) {
	in.placer.tell(func(m *placement.Machine, _ time.Duration) { m.Cut(cut) })
	in.askRenewal()
}
