package natsbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

const (
	reopenTimeout  = 2 * time.Second
	reopenMinPause = 50 * time.Millisecond
	reopenMaxPause = 2 * time.Second

	// lossGrace is how long the server must say that there is no stream before it
	// is believed: one that is just recovering its streams says so, too.
	lossGrace = 2 * time.Second

	// missedHeartbeats is the number of ticks without a sign of life after which a
	// feed counts as broken. The first may follow the last sign at once.
	missedHeartbeats = 3
)

var errReconnected = errors.New("connection was lost and made again, or closed")

// durableLane hands a partition's stored commands to its handler, one after
// another. Its goroutine is the only one that touches it.
type durableLane struct {
	bus       *Bus
	partition actor.Partition
	stream    string // identity of the stream that the cursor is of
	handler   actor.Handler
	cursor    uint64 // sequence of the last message that is done with
	feed      *feed
}

func newDurableLane(b *Bus, p actor.Partition, stream string, after uint64, h actor.Handler) *durableLane {
	return &durableLane{bus: b, partition: p, stream: stream, handler: h, cursor: after}
}

// open makes the first feed.
func (d *durableLane) open(ctx context.Context) (err error) {
	d.feed, err = d.bus.openFeed(ctx, d.partition, d.stream, d.cursor+1)
	return err
}

func (d *durableLane) close() {
	if d.feed != nil {
		d.feed.close()
	}
}

// run hands messages over until ctx ends or the lane cannot go on, and returns why.
func (d *durableLane) run(ctx context.Context) error {
	defer d.close()
	status := d.bus.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer d.bus.nc.RemoveStatusListener(status)
	for {
		cause := d.consume(ctx, status)
		switch {
		case ctx.Err() != nil:
			return cause
		case d.bus.nc.IsClosed():
			return nats.ErrConnectionClosed
		}
		if d.bus.cfg.Events.ConsumerReset != nil {
			d.bus.cfg.Events.ConsumerReset(d.partition, cause)
		}
		d.bus.cfg.Logger.DebugContext(ctx, "consumer reset", slog.Uint64("partition", uint64(d.partition)), slog.Any("cause", cause))
		d.feed.close()
		if err := d.reopen(ctx, status); err != nil {
			return err
		}
	}
}

// consume hands messages over as long as the feed is sound. A handler that
// blocks stops it from reading, so that the feed's window fills and the server
// sends no more.
func (d *durableLane) consume(ctx context.Context, status <-chan nats.Status) error {
	tick := time.NewTicker(d.bus.cfg.Heartbeat)
	defer tick.Stop()
	quiet := 0
	for {
		select {
		case msg := <-d.feed.msgs:
			quiet = 0
			if err := d.take(ctx, msg); err != nil {
				return err
			}
		case <-tick.C:
			if quiet++; quiet >= missedHeartbeats {
				return errSilence
			}
		case <-status:
			return errReconnected
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// take hands one message over, or skips it when nobody can execute it.
func (d *durableLane) take(ctx context.Context, msg *nats.Msg) error {
	sequence, err := d.feed.flow.Accept(msg)
	if err != nil {
		return err
	}
	if sequence == 0 {
		return d.feed.pull()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	inbox := wire.First(msg.Header, wire.HeaderReply)
	if delivery, ok := d.bus.delivery(d.partition, actor.LaneDurable, inbox, msg); ok {
		delivery.Sequence = sequence
		d.handler.Durable(ctx, delivery)
	}
	d.cursor = sequence
	return d.feed.pull()
}

// reopen replaces a broken feed by one that starts after the cursor. It tries
// for as long as it makes sense to.
func (d *durableLane) reopen(ctx context.Context, status <-chan nats.Status) error {
	var lostSince time.Time
	for wait := reopenMinPause; ; wait = min(2*wait, reopenMaxPause) {
		forget(status)
		attempt, cancel := context.WithTimeout(ctx, reopenTimeout)
		err := d.open(attempt)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case d.bus.nc.IsClosed():
			return nats.ErrConnectionClosed
		case !errors.Is(err, ErrStreamLost):
			lostSince = time.Time{}
		case !errors.Is(err, ErrNotProvisioned):
			return err
		case lostSince.IsZero():
			lostSince = time.Now()
		case time.Since(lostSince) >= lossGrace:
			return err
		}
		if !pause(ctx, wait+rand.N(wait)) {
			return context.Cause(ctx)
		}
	}
}

// forget drops changes of the connection that came before the next try.
func forget(status <-chan nats.Status) {
	for {
		select {
		case <-status:
		default:
			return
		}
	}
}

// delivery decodes a message for a handler. ok is false for one that nobody can
// execute; whoever waits for it has then been told.
func (b *Bus) delivery(p actor.Partition, lane actor.Lane, inbox string, msg *nats.Msg) (actor.Delivery, bool) {
	m, err := b.decode(p, lane, msg)
	to := b.responderTo(inbox, m.Type)
	if err == nil {
		return actor.Delivery{Message: m, Responder: to}, true
	}
	if b.cfg.Events.Malformed != nil {
		b.cfg.Events.Malformed(lane, msg.Subject, err)
	}
	b.cfg.Logger.Debug("message skipped", slog.String("subject", msg.Subject), slog.Any("error", err))
	if to != nil {
		to.Respond(actor.Failure(actor.CodeMalformed, err.Error()))
	}
	return actor.Delivery{}, false
}

func (b *Bus) decode(p actor.Partition, lane actor.Lane, msg *nats.Msg) (actor.Message, error) {
	to, err := b.ns.Target(msg.Subject, p, b.partitions)
	if err != nil {
		return actor.Message{}, err
	}
	m, err := wire.DecodeMessage(to, lane, msg.Header, msg.Data)
	if err == nil && lane == actor.LaneDurable && m.Type != actor.TypeCommand {
		err = fmt.Errorf("a read on the durable lane: %w", wire.ErrWire)
	}
	return m, err
}
