package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/store"
)

// rest finds out when nothing is on its way any more, for tests. What it knows grows with
// each question.
type rest struct {
	mu        sync.Mutex
	token     store.Token // up to here the commits are counted
	committed uint64      // events in them
	position  uint64      // up to here the events of the stream are known
	shown     map[actor.Address]actor.Version
}

// restPoll is the pause between two looks.
const restPoll = 2 * time.Millisecond

// AwaitRest returns nil once nothing is on its way that was caused by what has been
// answered, or accepted, before the call: all commands in the command stream are executed,
// what was committed is in the event stream, what it sends is sent, timers whose time has come have
// fired, effects that were asked for are over, and all projections, sagas and policies have
// taken in all events; and what followed from that, too. Timers that are set for later, and
// what is parked, do not count; nor do effects that are paused, that nobody here carries
// out, or whose next attempt is more than a minute away.
//
// It is for tests and small systems: it reads all events and all stored commands, and
// commits counted with them, so its cost grows with those that came since the last call. While
// others go on sending it may never end but with ctx, whose cause the error then wraps,
// and which tells what was waited for. The error is a [*projection.ParkedError] when a
// projection does not take an event in, as its handler fails.
func (n *Node) AwaitRest(ctx context.Context) error {
	r := &n.rest
	r.mu.Lock()
	defer r.mu.Unlock()
	tick := time.NewTicker(restPoll)
	defer tick.Stop()
	for {
		waits, err := n.restless(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			return n.cfg.hide.Error(err)
		case err == nil && waits == "":
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return n.cfg.hide.Error(errors.Join(fmt.Errorf("not at rest: %s: %w", waits, context.Cause(ctx)), err))
		}
	}
}

// restless returns what is on its way; empty: nothing is. The order of the looks matters:
//
//	commands up to c are finished      what they raised and sent is committed
//	events are as many as committed    what commits send was in the command stream
//	                                   before their events were in the event stream
//	projections are at those events    what routers send is in the command stream
//	no effect is under way             the command that ended one was in the command stream
//	no command came behind c           so nothing that was found has caused another one
func (n *Node) restless(ctx context.Context) (string, error) {
	before, waits, err := n.unfinished(ctx)
	if err != nil || waits != "" {
		return waits, err
	}
	committed, err := n.countCommitted(ctx)
	if err != nil {
		return "the store", err
	}
	_, last, err := n.bus.EventsHead(ctx)
	if err != nil {
		return "the event stream", err
	}
	if last < committed {
		return fmt.Sprintf("%d of %d events are in the event stream", last, committed), nil
	}
	if waits, err = n.awaitProjections(ctx, last); err != nil || waits != "" {
		return waits, err
	}
	if waits, err = n.effectsUnderWay(ctx); err != nil || waits != "" {
		return waits, err
	}
	after, waits, err := n.unfinished(ctx)
	if err == nil && waits == "" && after != before {
		waits = "commands that came meanwhile"
	}
	return waits, err
}

// unfinished returns which command is the last one, and what of all up to it is not done.
func (n *Node) unfinished(ctx context.Context) (last uint64, waits string, err error) {
	now := time.Now()
	if clock := n.cfg.now(); clock != nil {
		now = clock()
	}
	p, err := n.bus.Pending(ctx, now)
	if err != nil {
		return 0, "the command stream", err
	}
	if p.Due > 0 {
		return p.Last, fmt.Sprintf("%d timers are due", p.Due), nil
	}
	waits, err = n.behind(ctx, &p)
	return p.Last, waits, err
}

// behind tells of a partition with commands that are not finished. Of those that other
// nodes serve, the claims tell, a second later.
func (n *Node) behind(ctx context.Context, p *natsbus.Pending) (string, error) {
	done := map[actor.Partition]uint64{}
	for _, s := range n.runtime.Status().Partitions {
		if done[s.Partition] = s.Watermark; s.Unfinished > 0 {
			return fmt.Sprintf("partition %d executes %d commands", s.Partition, s.Unfinished), nil
		}
	}
	var claims map[actor.Partition]uint64
	for in, newest := range p.Commands {
		watermark, own := done[in]
		if !own && claims == nil {
			all, err := n.store.Claims(ctx)
			if err != nil {
				return "the claims", err
			}
			claims = map[actor.Partition]uint64{}
			for _, c := range all {
				claims[actor.Partition(c.Partition)] = c.Watermark.Sequence
			}
		}
		if !own {
			watermark = claims[in]
		}
		if watermark < newest {
			return fmt.Sprintf("partition %d is at command %d of %d", in, watermark, newest), nil
		}
	}
	return "", nil
}

// countCommitted returns how many events are committed.
func (n *Node) countCommitted(ctx context.Context) (uint64, error) {
	if counts, ok := n.store.(interface {
		CountEvents(ctx context.Context) (uint64, error)
	}); ok {
		return counts.CountEvents(ctx)
	}
	r := &n.rest
	end, err := n.store.Now(ctx)
	if err != nil || end == r.token {
		return r.committed, err
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	for item, err := range n.store.Follow(following, r.token) {
		if err != nil {
			return 0, err
		}
		r.token, r.committed = item.Token, r.committed+uint64(len(item.Commit.Events))
		if r.token == end {
			break
		}
	}
	if r.token != end {
		return 0, fmt.Errorf("count commits up to %s: %w", end, context.Cause(ctx))
	}
	return r.committed, nil
}

// awaitProjections waits until all projections show all events up to a position.
func (n *Node) awaitProjections(ctx context.Context, last uint64) (string, error) {
	if n.projections == nil {
		return "", nil
	}
	if err := n.readEvents(ctx, last); err != nil {
		return "the event stream", err
	}
	for _, p := range n.projections.all {
		view := projection.NewView(n.projections.storage, p)
		for source, version := range n.rest.shown {
			err := view.Wait(ctx, projection.Version(source, version))
			if err != nil && !errors.Is(err, projection.ErrNotFollowed) {
				return fmt.Sprintf("%s takes in version %d of %s", p.Name(), version, source), err
			}
		}
	}
	clear(n.rest.shown)
	return "", nil
}

// readEvents notes the newest version of each aggregate that the event stream has.
func (n *Node) readEvents(ctx context.Context, last uint64) error {
	r := &n.rest
	if r.shown == nil {
		r.shown = map[actor.Address]actor.Version{}
	}
	if r.position >= last {
		return nil
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	for e, err := range n.bus.Events(reading, actor.EventFilter{}, r.position) {
		if err != nil {
			return err
		}
		r.shown[e.Source], r.position = e.Version, e.Position
		if e.Position >= last {
			break
		}
	}
	return context.Cause(ctx)
}
