package natsbus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// directLane hands the core requests for a partition to its handler: those of callers, and
// those of nodes.
type directLane struct {
	bus       *Bus
	partition actor.Partition
	handler   actor.Handler
	subs      []*nats.Subscription
	local     *localOwner
	msgs      chan *nats.Msg // of all subscriptions
	dropped   int            // by a full queue, as far as told to the event listener
}

func newDirectLane(b *Bus, p actor.Partition, h actor.Handler) (*directLane, error) {
	d := &directLane{bus: b, partition: p, handler: h, msgs: make(chan *nats.Msg, b.cfg.DirectWindow)}
	for _, subject := range []string{b.ns.RequestedOf(p), b.ns.AskedOf(p)} {
		sub, err := b.nc.ChanSubscribe(subject, d.msgs)
		if err != nil {
			d.close()
			return nil, fmt.Errorf("subscribe to the direct lane: %w", err)
		}
		d.subs = append(d.subs, sub)
	}
	return d, nil
}

func (d *directLane) close() {
	for _, sub := range d.subs {
		_ = sub.Unsubscribe()
	}
}

// run hands messages over until ctx ends. The client drops what finds the queue
// full. Since the queue is full then, looking once in half a queue misses none.
func (d *directLane) run(ctx context.Context) {
	defer d.leave()
	interval := max(cap(d.msgs)/2, 1)
	for n := 0; ; n++ {
		select {
		case msg := <-d.msgs:
			if ctx.Err() != nil {
				d.refuse(msg)
				return
			}
			d.hand(ctx, msg)
		case <-ctx.Done():
			return
		}
		if n%interval == 0 {
			d.countDropped()
		}
	}
}

// hand hands one message over. A node's, where callers ask, is for an owner of an earlier
// build, which would not tell the two apart (see family.go).
func (d *directLane) hand(ctx context.Context, msg *nats.Msg) {
	from := origin{lane: actor.LaneDirect, partition: d.partition, nodes: d.bus.ns.IsInternal(msg.Subject)}
	if !from.nodes && wire.First(msg.Header, wire.HeaderRelayed) != "" {
		d.refuse(msg)
		return
	}
	if delivery, ok := d.bus.delivery(ctx, from, msg.Reply, msg); ok {
		d.handler.Direct(delivery)
	}
}

func (d *directLane) countDropped() {
	total := 0
	for _, sub := range d.subs {
		n, err := sub.Dropped()
		if err != nil {
			return
		}
		total += n
	}
	if total == d.dropped {
		return
	}
	if d.bus.cfg.Events.DirectDropped != nil {
		d.bus.cfg.Events.DirectDropped(d.partition, total-d.dropped)
	}
	d.dropped = total
}

// leave gives the subscription up and answers those who wait in the queue, so
// that they need not wait to try elsewhere. What the server sends before it has
// heard is lost, and its callers try again when they lose patience. (Draining
// the subscription would save those, but what nats.go runs for that shares timers
// with the whole process, which virtual time does not allow.)
func (d *directLane) leave() {
	d.close()
	d.bus.local.owners.leave(d.partition, d.local)
	for {
		select {
		case msg := <-d.msgs:
			d.refuse(msg)
		default:
			return
		}
	}
}

func (d *directLane) refuse(msg *nats.Msg) {
	if to := d.bus.responderTo(actor.LaneDirect, msg.Reply, actor.TypeCommand); to != nil {
		to.Respond(actor.Failure(actor.CodeNoOwner, "the partition is being handed over"))
	}
}
