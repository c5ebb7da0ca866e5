package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/ganglion-go/ganglion/projection"
)

// group brings commits that come at the same time into one atomic batch. A batch costs
// a server about as much as a single message does where each is written through to the
// disk, and every event that a cluster raises moves a checkpoint of each projection that
// wants it: by themselves these writes keep a disk busy that the commits need.
//
// While a batch is under way, what comes gathers for the next one. A lone commit waits
// for nothing.
//
// The commits of a batch are not atomic together: if one of them is refused, so are all,
// and nothing is stored. They are then tried one by one, and each gets its own answer.
type group struct {
	storage *Storage

	mu      sync.Mutex
	waiting []*grouped
	flights int
}

// grouped is one commit on its way.
type grouped struct {
	messages []*nats.Msg
	done     chan struct{} // closed when last and err are set
	last     uint64
	err      error
}

// publish stores all messages or none, and returns the sequence of the last; the
// others precede it without gaps. A caller whose ctx ends does not know what becomes of
// them.
func (g *group) publish(ctx context.Context, messages []*nats.Msg) (last uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("%w: %w", projection.ErrUnavailable, err)
	}
	one := &grouped{messages: messages, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, one)
	fly := g.flights < maxBatches && (g.flights == 0 || len(g.waiting) >= enoughForABatch)
	if fly {
		g.flights++
	}
	g.mu.Unlock()
	if fly {
		go g.fly(context.WithoutCancel(ctx)) // for others, too
	}
	select {
	case <-one.done:
		return one.last, one.err
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", projection.ErrUnknown, ctx.Err())
	}
}

// enoughForABatch is how many commits are sent beside a batch that is under way.
const enoughForABatch = 32

// fly sends what waits until nothing does.
func (g *group) fly(ctx context.Context) {
	for {
		batch := g.take()
		if batch == nil {
			return
		}
		g.send(ctx, batch)
		for _, one := range batch {
			close(one.done)
		}
	}
}

// take returns as many commits as fit into a batch; nil: none waits, and the flight is
// over.
func (g *group) take() (batch []*grouped) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, messages := 0, 0
	for n < len(g.waiting) && (n == 0 || messages+len(g.waiting[n].messages) <= maxBatch) {
		messages += len(g.waiting[n].messages)
		n++
	}
	if n == 0 {
		g.flights--
		return nil
	}
	batch, g.waiting = g.waiting[:n:n], g.waiting[n:]
	if len(g.waiting) == 0 {
		g.waiting = nil
	}
	return batch
}

func (g *group) send(ctx context.Context, batch []*grouped) {
	if len(batch) > 1 {
		var messages []*nats.Msg
		for _, one := range batch {
			messages = append(messages, one.messages...)
		}
		last, err := g.batch(ctx, messages)
		if err == nil || errors.Is(err, projection.ErrUnknown) {
			last -= uint64(len(messages))
			for _, one := range batch {
				last += uint64(len(one.messages))
				one.last, one.err = last, err
			}
			return
		}
	}
	for _, one := range batch {
		one.last, one.err = g.batch(ctx, one.messages)
	}
}

// batch stores all messages or none.
func (g *group) batch(ctx context.Context, messages []*nats.Msg) (last uint64, err error) {
	s := g.storage
	ctx, cancel := s.bound(ctx)
	defer cancel()
	for _, m := range messages { // of an earlier try
		m.Header.Del(headerBatch)
		m.Header.Del(headerBatchSequence)
		m.Header.Del(headerBatchCommit)
	}
	if len(messages) == 1 {
		return s.request(ctx, messages[0])
	}
	id := nuid.Next()
	for i, m := range messages {
		m.Header.Set(headerBatch, id)
		m.Header.Set(headerBatchSequence, strconv.Itoa(i+1))
		if i == len(messages)-1 {
			break
		}
		if err := s.nc.PublishMsg(m); err != nil { // without its last message a batch is never stored
			return 0, fmt.Errorf("%w: %w", projection.ErrUnavailable, err)
		}
	}
	m := messages[len(messages)-1]
	m.Header.Set(headerBatchCommit, "1")
	return s.request(ctx, m)
}
