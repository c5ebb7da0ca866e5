package lineage

import (
	"context"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// Bounds limit a tree.
type Bounds struct {
	Depth   int // levels below the root
	Breadth int // branches of one node
	Nodes   int // of the whole tree
}

// Tree returns a command with what it has caused, level by level, until a bound is reached
// or ctx has ended: what was not looked up says so. first is the place of the first branch
// of the root that is shown.
func (r *Reader) Tree(ctx context.Context, root *Command, first int, bounds Bounds) Node {
	top := Node{
		Branch: Branch{To: root.Aggregate, ID: root.ID, Name: root.Name}, State: Decided, Command: *root,
	}
	left := bounds.Nodes
	seen := map[string]bool{top.key(): true}
	level := []*Node{&top}
	for depth := 0; depth < bounds.Depth && len(level) > 0; depth++ {
		var below []*Node
		for _, n := range level {
			if n.State != Decided || r.hidden(n.To.Kind) {
				continue
			}
			skip := 0
			if n == &top {
				skip = first
			}
			r.grow(ctx, n, skip, min(bounds.Breadth, left))
			left -= len(n.Children)
			for i := range n.Children {
				child := &n.Children[i]
				if seen[child.key()] { // ids are derived: it cannot cause itself, but a stored one may say so
					continue
				}
				seen[child.key()] = true
				below = append(below, child)
			}
		}
		level = below
	}
	for _, n := range level {
		if n.State == Decided && !r.hidden(n.To.Kind) {
			branches, _ := r.Branches(&n.Command)
			n.More = len(branches)
		}
	}
	return top
}

// grow adds the branches of a node.
func (r *Reader) grow(ctx context.Context, n *Node, first, most int) {
	branches, faults := r.Branches(&n.Command)
	n.Faults = faults
	branches = branches[min(first, len(branches)):]
	n.More = max(len(branches)-most, 0)
	branches = branches[:len(branches)-n.More]
	n.Children = make([]Node, len(branches))
	for i := range branches {
		n.Children[i] = r.resolve(ctx, branches[i])
	}
}

// resolve finds out what became of a branch.
func (r *Reader) resolve(ctx context.Context, b Branch) Node {
	n := Node{Branch: b, State: NotLooked}
	switch {
	case b.How == ByCancel:
		n.State = Nothing
	case r.hidden(b.To.Kind):
		n.State = Concealed
	case ctx.Err() != nil:
	case b.To.Validate() != nil:
		n.State = Nowhere
	default:
		r.lookUp(ctx, &n)
	}
	return n
}

func (r *Reader) lookUp(ctx context.Context, n *Node) {
	look, err := r.FindSince(ctx, n.To, n.ID, n.since)
	switch {
	case ended(ctx, err):
		return
	case err != nil:
		n.State, n.Reason = Failed, err.Error()
		return
	case look.Found:
		n.State, n.Command = Decided, look.Command
		return
	}
	parked, found, err := r.Parking.FindParked(ctx, store.Aggregate(n.To.String()), string(n.ID))
	switch {
	case ended(ctx, err):
	case err != nil:
		n.State, n.Reason = Failed, err.Error()
	case found:
		n.State, n.Reason = Parked, parked.Reason
	case n.How == ByTimer && n.At.After(r.Now()):
		n.State = Waits
	case look.Complete:
		n.State = Nowhere
	default:
		n.State, n.Reached = Farther, look.Reached
	}
}

// Beyond looks for a command behind a version of the history of its target, or, if that is 0,
// from a time on.
func (r *Reader) Beyond(ctx context.Context, to actor.Address, id actor.CommandID, after actor.Version, since time.Time) (Look, error) {
	switch {
	case r.hidden(to.Kind):
		return Look{Complete: true}, nil
	case after == 0:
		return r.FindSince(ctx, to, id, since)
	default:
		return r.Find(ctx, to, id, after)
	}
}
