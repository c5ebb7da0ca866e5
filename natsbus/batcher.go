package natsbus

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/effort"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

const (
	defaultBatchMax = 128

	// fewFlying is the number of messages to one aggregate that are under way at once
	// without any that waits for them.
	fewFlying = 4

	maxSpareLines = 1024

	// batchBytes is the size from which on a batch is sent. A command that is half as
	// large goes by itself.
	batchBytes = 64 << 10

	// batchWait bounds how long a command waits for the stream's answer to the one
	// before it.
	batchWait = 20 * time.Millisecond

	// batchForgotten is the time after which an answer is not expected any more.
	batchForgotten = 5 * time.Second
)

// batcher publishes first attempts on the durable lane. As long as an aggregate has few
// messages under way, to which the stream has not answered, a command goes at once and
// by itself. What comes beyond them goes together, in one message, when they are
// answered: the commands would wait for each other at the aggregate anyway. Further
// attempts do not come here.
//
// All that is said of a batch's message by the stream, or by NATS, is said to each of
// its calls (docs/adr/0024-one-message-for-many-commands.md).
type batcher struct {
	client *Client

	mu     sync.Mutex
	lines  map[actor.Address]*line
	spare  []*line           // used before
	flying map[uint64]*batch // by id
	lastID uint64
}

// line is an aggregate that has messages under way. It is guarded by batcher.mu.
type line struct {
	to      actor.Address
	flying  int
	busy    bool   // there was more than few at once: no more go by themselves until none is under way
	waiting *batch // nil: none
}

// batch is one message for an aggregate with several commands.
type batch struct {
	line    *line
	id      uint64
	members []batched
	data    []byte      // encoded commands
	timer   *time.Timer // while it waits
	sent    time.Time
}

// batched is a call's try that is in a batch.
type batched struct {
	call uint64
	try  uint32
}

func newBatcher(c *Client) *batcher {
	return &batcher{client: c, lines: map[actor.Address]*line{}, flying: map[uint64]*batch{}}
}

// takes reports whether a try goes through the batcher.
func (b *batcher) takes(p *pursuit, attempt int) bool {
	return attempt == 1 && p.lane == actor.LaneDurable && b.client.cfg.BatchMax > 1 && len(p.message.Data) < batchBytes/2
}

// publish sends a try, now or with the next batch. The error is that of a message that
// was to go at once; what becomes of a batch comes to its calls.
func (b *batcher) publish(p *pursuit, try uint32, now time.Time) error {
	c := b.client
	if l := b.alone(p.message.Target); l != nil {
		p.call.fly(l)
		err := p.publish(try, 1)
		if err != nil {
			b.landed(p.call.land(p.call.id))
		}
		return err
	}
	reply := ""
	if p.effort.Goal() == effort.GoalOutcome {
		reply = wire.Inbox{Call: p.call.id, Purpose: wire.ForOutcome, Try: try}.Subject(c.prefix)
	}
	if full := b.join(p.message.Target, batched{p.call.id, try}, wire.EncodeCommandWithin(p.message, reply, p.left()), now); full != nil {
		b.send(full)
	}
	return nil
}

// alone has a command go by itself if few messages are under way to its aggregate, and
// returns the line that is to be told of its landing; otherwise nil.
func (b *batcher) alone(to actor.Address) *line {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.line(to)
	if l.busy || l.flying >= fewFlying {
		return nil
	}
	l.flying++
	return l
}

// line returns the line of an aggregate, a new one if it has none. The caller holds mu.
func (b *batcher) line(to actor.Address) *line {
	l := b.lines[to]
	if l != nil {
		return l
	}
	if n := len(b.spare); n > 0 {
		l, b.spare = b.spare[n-1], b.spare[:n-1]
	} else {
		l = &line{}
	}
	l.to, l.busy = to, false
	b.lines[to] = l
	return l
}

// join adds a try to the batch that waits, and returns that if it is to be sent now.
func (b *batcher) join(to actor.Address, m batched, command []byte, now time.Time) *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.line(to)
	w := l.waiting
	if w == nil {
		w = &batch{line: l}
		w.timer = time.AfterFunc(batchWait, func() { b.waited(w) })
		l.waiting, l.busy = w, true
	}
	w.members = append(w.members, m)
	w.data = append(w.data, command...)
	if l.flying > 0 && len(w.members) < b.client.cfg.BatchMax && len(w.data) < batchBytes {
		return nil
	}
	b.takeOff(w, now)
	return w
}

// takeOff notes that the batch that waits is about to be sent. The caller holds mu, and
// sends it.
func (b *batcher) takeOff(w *batch, now time.Time) {
	w.timer.Stop()
	w.line.waiting = nil
	w.line.flying++
	b.lastID++
	w.id, w.sent = b.lastID, now
	b.flying[w.id] = w
}

// waited sends a batch whose time is up.
func (b *batcher) waited(w *batch) {
	b.mu.Lock()
	due := w.line.waiting == w
	if due {
		b.takeOff(w, time.Now())
	}
	b.mu.Unlock()
	if due {
		b.send(w)
	}
}

// send publishes a batch that has taken off.
func (b *batcher) send(one *batch) {
	c := b.client
	err := c.nc.PublishMsg(&nats.Msg{
		Subject: c.stream(one.line.to), Header: wire.BatchHeader(), Data: one.data,
		Reply: wire.Inbox{Call: one.id, Purpose: wire.ForBatch, Try: 1}.Subject(c.prefix),
	})
	if err == nil {
		return
	}
	for _, m := range b.take(one.id) {
		c.put(m.call, arrival{failed: err, try: m.try})
	}
}

// answered takes what comes back for a batch: the stream's answer, or that nobody was
// there.
func (b *batcher) answered(id uint64, msg *nats.Msg) {
	a := arrival{msg: msg}
	if stored(msg.Data) {
		a = arrival{stored: time.Now()}
	}
	for _, m := range b.take(id) {
		if a.msg != nil {
			own := *msg
			own.Subject = wire.Inbox{Call: m.call, Purpose: wire.ForAck, Try: m.try}.Subject(b.client.prefix)
			a.msg = &own
		}
		b.client.put(m.call, a)
	}
}

// take takes a batch from those under way, and returns whose it is: nobody's, if it is
// not among them.
func (b *batcher) take(id uint64) []batched {
	b.mu.Lock()
	one := b.flying[id]
	delete(b.flying, id)
	b.mu.Unlock()
	if one == nil {
		return nil
	}
	b.landed(one.line)
	return one.members
}

// landed notes that a message of a line is not under way any more, and sends what has
// waited for the last one. A nil line is none.
func (b *batcher) landed(l *line) {
	if l == nil {
		return
	}
	b.mu.Lock()
	var next *batch
	l.flying--
	switch {
	case l.flying > 0:
	case l.waiting != nil:
		next = l.waiting
		b.takeOff(next, time.Now())
	default:
		delete(b.lines, l.to)
		if len(b.spare) < maxSpareLines {
			b.spare = append(b.spare, l)
		}
	}
	b.mu.Unlock()
	if next != nil {
		b.send(next)
	}
}

// forget gives up on answers that are long overdue: their calls have tried again.
func (b *batcher) forget(now time.Time) {
	b.mu.Lock()
	var overdue []uint64
	for id, one := range b.flying {
		if now.Sub(one.sent) > batchForgotten {
			overdue = append(overdue, id)
		}
	}
	b.mu.Unlock()
	for _, id := range overdue {
		b.take(id)
	}
}
