package runtime_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// logBus is a runtime.Bus in memory: a log of commands in one total order, and
// direct delivery. What natsbus does with a server is tested there and in the
// node's tests; here the bus only has to be exact.
type logBus struct {
	earlier    bool // its stream is one of an earlier build
	partitions actor.Partitions
	stream     string

	mu      sync.Mutex
	log     []entry
	read    int                         // entries that somebody has read
	batches int                         // entries with more than one command
	serving map[actor.Partition][]*flow // more than one while a former owner has not noticed
	grown   *sync.Cond
	trimmed uint64                     // by Trim
	apart   map[actor.Partition]uint64 // by TrimPartition
	refuse  error                      // of Serve
	changed map[int]func([]byte)
	joined  int
	mute    bool          // announcements are lost
	left    time.Duration // of all deliveries
	slow    chan struct{} // nil, or: the stream is not read before it is closed
}

// entry is a message of the log: a command, or several for one aggregate that came
// before anybody has read it.
type entry struct {
	partition actor.Partition
	batch     []actor.Delivery
}

var errStreamLost = errors.New("the stream is another one")

// loseStream makes the log anew, as another incarnation, and ends all that reads it.
func (b *logBus) loseStream(next string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stream, b.log, b.read, b.trimmed, b.apart = next, nil, 0, 0, map[actor.Partition]uint64{}
	for _, serving := range b.serving {
		for _, f := range serving {
			f.failed = errStreamLost
			f.cancel()
		}
	}
}

func newLogBus(partitions actor.Partitions) *logBus {
	b := &logBus{partitions: partitions, stream: "stream-1", serving: map[actor.Partition][]*flow{}, apart: map[actor.Partition]uint64{}, changed: map[int]func([]byte){}}
	b.grown = sync.NewCond(&b.mu)
	return b
}

func (b *logBus) Partitions() actor.Partitions { return b.partitions }

func (b *logBus) Head(context.Context) (stream string, last uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stream, uint64(len(b.log)), nil
}

func (b *logBus) Expect() {}

func (b *logBus) Trim(_ context.Context, stream string, upTo uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if stream != b.stream {
		return errStreamLost
	}
	b.trimmed = upTo
	return nil
}

func (b *logBus) TrimPartition(_ context.Context, p actor.Partition, stream string, upTo uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if stream != b.stream {
		return errStreamLost
	}
	b.apart[p] = upTo
	return nil
}

// Announce tells all nodes, the one that announces included.
func (b *logBus) Announce(_ context.Context, message []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, changed := range b.changed {
		if !b.mute {
			changed(message)
		}
	}
	return nil
}

func (b *logBus) Announced(changed func([]byte)) (stop func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.joined++
	n := b.joined
	b.changed[n] = changed
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.changed, n)
	}, nil
}

// publish appends a durable command.
func (b *logBus) publish(m actor.Message, r actor.Responder) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := actor.Delivery{Message: m, Sequence: uint64(len(b.log) + 1), Responder: r, Left: b.left}
	if b.earlier {
		d.Formerly = m.ID.Formerly()
	}
	if last := len(b.log) - 1; last >= b.read && b.log[last].batch[0].Message.Target == m.Target {
		d.Sequence--
		b.log[last].batch = append(b.log[last].batch, d)
		if len(b.log[last].batch) == 2 {
			b.batches++
		}
	} else {
		b.log = append(b.log, entry{b.partitions.Of(m.Target), []actor.Delivery{d}})
	}
	b.grown.Broadcast()
}

// direct delivers at once to all that serve the partition; false: nobody does.
func (b *logBus) direct(m actor.Message, r actor.Responder) bool {
	b.mu.Lock()
	flows, left := slices.Clone(b.serving[b.partitions.Of(m.Target)]), b.left
	b.mu.Unlock()
	served := false
	for _, f := range flows {
		served = f.deliver(actor.Delivery{Message: m, Responder: r, Left: left}) || served
	}
	return served
}

// deliver keeps the promise of actor.Subscription: no call after Stop.
func (f *flow) deliver(d actor.Delivery) bool {
	f.calls.RLock()
	defer f.calls.RUnlock()
	if f.ctx.Err() != nil {
		return false
	}
	f.handler.Direct(d)
	return true
}

type flow struct {
	bus     *logBus
	handler actor.Handler
	after   uint64
	at      atomic.Uint64   // see Position
	ctx     context.Context //nolint:containedctx // the life of the flow
	cancel  context.CancelFunc
	calls   sync.RWMutex // held by those of Direct
	done    chan struct{}
	failed  error
}

func (b *logBus) Serve(_ context.Context, p actor.Partition, stream string, after uint64, h actor.Handler) (actor.Subscription, error) {
	b.mu.Lock()
	refuse := b.refuse
	if stream != b.stream {
		refuse = errStreamLost
	}
	b.mu.Unlock()
	if refuse != nil {
		return nil, refuse
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &flow{bus: b, handler: h, after: after, ctx: ctx, cancel: cancel, done: make(chan struct{})}
	b.mu.Lock()
	b.serving[p] = append(b.serving[p], f)
	b.mu.Unlock()
	context.AfterFunc(ctx, func() {
		b.mu.Lock() // not between the look at ctx and the wait
		defer b.mu.Unlock()
		b.grown.Broadcast()
	})
	f.at.Store(after)
	go f.run(p)
	return f, nil
}

func (f *flow) run(p actor.Partition) {
	defer close(f.done)
	next := int(f.after)
	for {
		f.bus.mu.Lock()
		for next >= len(f.bus.log) && f.ctx.Err() == nil {
			f.bus.grown.Wait()
		}
		if f.ctx.Err() != nil {
			f.bus.serving[p] = slices.DeleteFunc(f.bus.serving[p], func(g *flow) bool { return g == f })
			f.bus.mu.Unlock()
			return
		}
		e, slow := f.bus.log[next], f.bus.slow
		next++
		f.bus.read = max(f.bus.read, next)
		f.bus.mu.Unlock()
		if slow != nil {
			select {
			case <-slow:
			case <-f.ctx.Done():
				continue
			}
		}
		if e.partition == p {
			for i, d := range e.batch {
				d.More = len(e.batch) - 1 - i
				if f.ctx.Err() == nil {
					f.handler.Durable(f.ctx, d)
				}
			}
		}
		if f.ctx.Err() == nil { // else it may not have been taken
			f.at.Store(uint64(next))
		}
	}
}

func (f *flow) Stop(ctx context.Context) error {
	f.cancel()
	f.calls.Lock() // waits for calls of Direct
	defer f.calls.Unlock()
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *flow) Position() uint64 { return f.at.Load() }

func (f *flow) Done() <-chan struct{} { return f.done }

func (f *flow) Err() error {
	f.bus.mu.Lock()
	defer f.bus.mu.Unlock()
	return f.failed
}

// failAny ends the flows of a partition as a lost subscription does. It reports
// whether there was one.
func (b *logBus) failAny(p actor.Partition, err error) bool {
	b.mu.Lock()
	flows := slices.Clone(b.serving[p])
	for _, f := range flows {
		f.failed = err
	}
	b.mu.Unlock()
	for _, f := range flows {
		f.cancel()
	}
	return len(flows) > 0
}
