package natsbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

const (
	beginPatience  = 500 * time.Millisecond
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

// errNotTakenIn: the trunk has not come to open a source for the lane.
var errNotTakenIn = errors.New("the trunk has not taken the partition in")

var errReconnected = errors.New("connection was lost and made again, or closed")

// durableLane hands a partition's stored commands to its handler, one after
// another. It reads them from a feed of its own, or from the trunk, or, while it
// moves from the one to the other, from both: each has all of the partition's
// messages above the cursor in order, so whichever is next above the cursor in
// either is the next one. Its goroutine is the only one that touches it, but for
// what is atomic.
type durableLane struct {
	bus       *Bus
	partition actor.Partition
	stream    string // identity of the stream that the cursor is of
	earlier   earlier
	handler   actor.Handler
	cursor    atomic.Uint64 // all of the partition up to here is done with
	feed      *feed         // nil while the trunk brings everything
	branch    atomic.Pointer[branch]
	rejoin    int // ticks until the trunk may be tried again
	waited    int // ticks without a feed and without a source of the trunk
}

func newDurableLane(b *Bus, p actor.Partition, stream string, after uint64, h actor.Handler) *durableLane {
	d := &durableLane{bus: b, partition: p, stream: stream, earlier: b.earlierOf(stream), handler: h}
	d.cursor.Store(after)
	return d
}

// open makes a feed that goes on after the cursor.
func (d *durableLane) open(ctx context.Context) (err error) {
	d.feed, err = d.bus.openFeed(ctx, feedConfig{
		name: "p" + wire.FormatPartition(d.partition), filters: []string{d.bus.ns.StoredIn(d.partition)},
		stream: d.stream, start: d.cursor.Load() + 1, window: d.bus.cfg.Window,
	})
	return err
}

// begin joins the trunk, or opens a feed if the lane begins too far back for that. A
// request is lost with the leader that would have answered it, and its answer with the
// server that was about to: whoever waits for it in vain asks again.
func (d *durableLane) begin(ctx context.Context) error {
	if b := d.bus.trunk.joinBare(ctx, d); b != nil {
		d.branch.Store(b)
		return nil
	}
	for patience := beginPatience; ; patience = min(2*patience, reopenTimeout) {
		err := d.openWithin(ctx, patience)
		if err == nil || ctx.Err() != nil || !mayPass(err) || !pause(ctx, reopenMinPause) {
			return err
		}
	}
}

func (d *durableLane) openWithin(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return d.open(ctx)
}

func (d *durableLane) closeFeed() {
	if d.feed != nil {
		d.feed.close()
		d.feed = nil
	}
}

func (d *durableLane) close() {
	d.closeFeed()
	if b := d.branch.Load(); b != nil {
		d.bus.trunk.leave(b)
	}
}

// run hands messages over until ctx ends or the lane cannot go on, and returns why.
func (d *durableLane) run(ctx context.Context) error {
	defer d.close()
	status := d.bus.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer d.bus.nc.RemoveStatusListener(status)
	if d.feed != nil {
		d.join(ctx)
	}
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
		d.closeFeed()
		if err := d.reopen(ctx, status); err != nil {
			return err
		}
	}
}

// consume hands messages over as long as what it reads from is sound. A handler
// that blocks stops it from reading: the window of its feed fills, and the server
// sends no more, or its branch of the trunk fills, and is cut.
func (d *durableLane) consume(ctx context.Context, status <-chan nats.Status) error {
	tick := time.NewTicker(d.bus.cfg.Heartbeat)
	defer tick.Stop()
	for {
		var own <-chan *nats.Msg
		var shared <-chan numbered
		if d.feed != nil {
			own = d.feed.msgs
		}
		b := d.branch.Load()
		if b != nil {
			shared = b.msgs
		}
		var err error
		select {
		case msg := <-own:
			err = d.takeOwn(ctx, msg)
		case n, ok := <-shared:
			err = d.takeShared(ctx, b, n, ok)
			for run := 0; err == nil && ok && run < runLength && len(shared) > 0; run++ {
				n, ok = <-shared
				err = d.takeShared(ctx, b, n, ok)
			}
		case <-tick.C:
			err = d.tick(ctx)
		case <-status:
			if d.feed != nil || d.bus.nc.IsClosed() {
				err = errReconnected
			}
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// runLength is how many waiting messages are taken without a look at anything
// else: a select over many channels costs more than a message.
const runLength = 64

// rejoinAfter is the number of ticks that a lane which was too slow for the trunk
// stays on a feed of its own.
const rejoinAfter = 30

// tick looks after the feed, and joins the trunk once the lane has caught up.
func (d *durableLane) tick(ctx context.Context) error {
	d.rejoin--
	if d.feed == nil {
		return d.tickBare()
	}
	if b := d.branch.Load(); b != nil {
		d.leaveFeed(b)
	} else if d.rejoin <= 0 {
		d.join(ctx)
	}
	if d.feed == nil {
		return nil
	}
	return d.feed.tick()
}

// bareTicks is how many ticks a lane without a feed waits for the trunk to take it in.
const bareTicks = 2

// tickBare has a lane get a feed of its own if the trunk, which it has joined without
// one, does not come to take it in.
func (d *durableLane) tickBare() error {
	if b := d.branch.Load(); b == nil || b.source.Load() != nil {
		d.waited = 0
		return nil
	}
	if d.waited++; d.waited < bareTicks {
		return nil
	}
	d.waited = 0
	return errNotTakenIn
}

// join makes the lane a member of the trunk if it has next to nothing to catch up
// with.
func (d *durableLane) join(ctx context.Context) {
	if d.feed.flow.Pending() <= uint64(d.bus.cfg.Window/2) {
		d.branch.Store(d.bus.trunk.join(ctx, d))
	}
}

// takeOwn takes a message of the lane's own feed.
func (d *durableLane) takeOwn(ctx context.Context, msg *nats.Msg) error {
	sequence, err := d.feed.accept(msg)
	if err != nil {
		return err
	}
	if sequence == 0 {
		d.advance(d.feed.flow.Reached())
		return nil
	}
	return d.take(ctx, sequence, msg)
}

// takeShared takes a message of the trunk, and leaves the lane's own feed when
// the trunk has caught up with it.
func (d *durableLane) takeShared(ctx context.Context, b *branch, n numbered, ok bool) error {
	if !ok {
		d.branch.Store(nil)
		d.rejoin = rejoinAfter
		if d.feed == nil {
			return errCut
		}
		return nil
	}
	if err := d.take(ctx, n.sequence, n.msg); err != nil {
		return err
	}
	b.taken.Add(1)
	if d.feed != nil {
		d.leaveFeed(b)
	}
	return nil
}

// leaveFeed gives the lane's own feed up when the trunk is as far as the lane:
// whatever is above the cursor is or will be in the branch then.
func (d *durableLane) leaveFeed(b *branch) {
	if s := b.source.Load(); s != nil && s.reached.Load() >= d.cursor.Load() {
		d.closeFeed()
	}
}

// take hands one message over, or skips it when the lane has had it already or
// nobody can execute it.
func (d *durableLane) take(ctx context.Context, sequence uint64, msg *nats.Msg) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if sequence <= d.cursor.Load() {
		return nil
	}
	if err := d.hand(ctx, sequence, msg); err != nil {
		return err
	}
	d.advance(sequence)
	return nil
}

// hand hands over the commands of a message: one, or those of a batch.
func (d *durableLane) hand(ctx context.Context, sequence uint64, msg *nats.Msg) error {
	all, err := commandsOf(msg)
	if err != nil {
		d.bus.malformed(ctx, actor.LaneDurable, msg.Subject, nil, err)
		d.handler.Durable(ctx, actor.Delivery{Sequence: sequence, Unreadable: unreadable(msg, err)})
		return context.Cause(ctx)
	}
	from := origin{lane: actor.LaneDurable, partition: d.partition, nodes: d.bus.ns.IsInternal(msg.Subject) || sequence <= d.earlier.upTo, stored: wire.ParseStored(msg.Reply)}
	for i, c := range all {
		inbox := wire.First(c.Header, wire.HeaderReply)
		delivery, ok := d.bus.delivery(ctx, from, inbox, &nats.Msg{Subject: msg.Subject, Header: c.Header, Data: c.Data})
		if ok {
			delivery.Sequence, delivery.More = sequence, len(all)-1-i
			delivery.Formerly = d.earlier.formerly(delivery.Message.ID)
			d.handler.Durable(ctx, delivery)
		}
		if ctx.Err() != nil { // the handler may have returned without having taken it
			return context.Cause(ctx)
		}
	}
	return nil
}

func (d *durableLane) advance(sequence uint64) {
	if sequence > d.cursor.Load() {
		d.cursor.Store(sequence)
	}
}

// position returns the sequence up to which everything of the partition has been
// handed over. It is safe for concurrent use.
//
// The trunk puts a message into the branch, counts it, and only then says that it
// has reached its sequence; when it cuts a branch, it takes the source away before
// that. So when as much was taken as was put in after the look at what was reached,
// and the branch has the source still, all up to there is done with.
func (d *durableLane) position() uint64 {
	at := d.cursor.Load()
	b := d.branch.Load()
	if b == nil {
		return at
	}
	s := b.source.Load()
	if s == nil {
		return at
	}
	reached := s.reached.Load()
	if pushed := b.pushed.Load(); b.taken.Load() >= pushed && b.source.Load() == s {
		at = max(at, reached)
	}
	return at
}

// reopen replaces a broken feed by one that starts after the cursor. It tries
// for as long as it makes sense to.
func (d *durableLane) reopen(ctx context.Context, status <-chan nats.Status) error {
	var lostSince time.Time
	wait, patience := reopenMinPause, beginPatience
	for ; ; wait, patience = min(2*wait, reopenMaxPause), min(2*patience, reopenTimeout) {
		forget(status)
		err := d.openWithin(ctx, patience)
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

// origin is where a message came from.
type origin struct {
	lane      actor.Lane
	partition actor.Partition
	nodes     bool  // from where nodes alone may publish
	stored    int64 // nanoseconds since 1970, by the clock of the stream's leader; 0: it was not
}

// delivery decodes a message for a handler. ok is false for one that nobody can
// execute; whoever waits for it has then been told. A stored one that nobody waits for
// is handed over as it is.
func (b *Bus) delivery(ctx context.Context, from origin, inbox string, msg *nats.Msg) (_ actor.Delivery, ok bool) {
	m, err := b.decode(from, msg)
	to := b.responderTo(from.lane, inbox, m.Type)
	var left time.Duration
	if err == nil {
		left, err = b.left(ctx, from, msg.Header)
	}
	if err == nil {
		return actor.Delivery{Message: m, Responder: to, Left: left}, true
	}
	b.malformed(ctx, from.lane, msg.Subject, to, err)
	if from.lane == actor.LaneDurable && to == nil {
		return actor.Delivery{Unreadable: unreadable(msg, err)}, true
	}
	return actor.Delivery{}, false
}

// decode reads a message. What only the runtime may send is believed of no other: who
// may send commands could otherwise have an aggregate take a timer for fired, or any
// aggregate get any command as the refusal of his own. Nor is a caller believed on whose
// behalf a message is, and a caller is outside, whatever the message says.
func (b *Bus) decode(from origin, msg *nats.Msg) (actor.Message, error) {
	to, err := b.ns.Target(msg.Subject, from.partition, b.partitions)
	if err != nil {
		return actor.Message{}, err
	}
	m, err := wire.DecodeMessage(to, from.lane, msg.Header, msg.Data)
	switch {
	case err != nil:
	case from.lane == actor.LaneDurable && m.Type != actor.TypeCommand:
		err = fmt.Errorf("a read on the durable lane: %w", wire.ErrWire)
	case !from.nodes || from.lane == actor.LaneDirect:
		err = m.Foreign()
	}
	if !from.nodes {
		m.Outside, m.Metadata.User = true, ""
	}
	return m, err
}
