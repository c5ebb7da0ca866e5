package runtime

import (
	"context"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// committer writes the batches of all activations. A flush takes whatever is
// there, up to its limits. A batch that finds nothing in flight leaves at once;
// otherwise it waits until an append returns, FlushAhead others wait with it, or
// FlushPatience has passed. So the more there is to write, the larger the
// flushes, of which a store's cost depends far more than on commits
// (docs/adr/0008-a-few-large-flushes.md).
//
// Nothing is written while the lease is lapsed. P1 does not need that: a commit of
// a node that has lost its partitions is a conflict, or the only one. But a node
// that was paused may still read its part of the stream. Say it reads a command
// that was sent after another one took the partition, and writes it, while the
// new owner tells the caller that it met the command after its deadline. The
// lease is looked at after the command was read; the claim went over after the
// lease had lapsed; so all that a former owner can still write was in the stream
// when its successor took over, and refuseExpired knows those. The look comes
// after the batches were taken off the queue: were it before, the process could be
// stopped between the two, and what is read after that would come into the queue,
// and be written, on a look at a lease of long ago.
//
// With a verifier the look at the lease is the store's word, asked for after the
// batches were taken off the queue, that the session lives.
type committer struct {
	store    store.Commits
	lease    *lease
	verifier *verifier // nil: the lease is what is looked at
	cfg      *Config
	mu       sync.Mutex
	queue    []*batch
	since    time.Duration // Clock.Elapsed at which the first of the queue came
	flying   int           // appends in flight
	closed   bool
	wake     chan struct{} // capacity 1
	inFlight sync.WaitGroup
}

func newCommitter(s store.Commits, l *lease, cfg *Config) *committer {
	return &committer{store: s, lease: l, cfg: cfg, wake: make(chan struct{}, 1)}
}

// submit queues a batch. Its activation is told by settle. The queue is bounded
// by the number of activations: each has at most one batch in it.
func (c *committer) submit(b *batch) {
	c.mu.Lock()
	closed := c.closed
	if !closed {
		if len(c.queue) == 0 {
			c.since = c.cfg.Clock.Elapsed()
		}
		c.queue = append(c.queue, b)
	}
	c.mu.Unlock()
	if closed {
		b.owner.settled(b, store.ErrUnknown)
		return
	}
	c.resume()
}

// resume lets the committer look again whether it can write.
func (c *committer) resume() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run flushes until ctx ends, and then waits for the appends in flight, which
// end soon after ctx. Batches that are still queued are not written.
func (c *committer) run(ctx context.Context) {
	defer c.abandon()
	defer c.inFlight.Wait()
	for {
		flush := c.next(ctx)
		if flush == nil {
			return
		}
		c.inFlight.Go(func() {
			c.write(ctx, flush)
			c.landed()
		})
	}
}

// landed makes room for another append.
func (c *committer) landed() {
	c.mu.Lock()
	c.flying--
	c.mu.Unlock()
	c.resume()
}

// abandon settles what will not be written, now and later.
func (c *committer) abandon() {
	c.mu.Lock()
	queue := c.queue
	c.queue, c.closed = nil, true
	c.mu.Unlock()
	for _, b := range queue {
		b.owner.settled(b, store.ErrUnknown)
	}
}

// next waits for batches, the lease and a free flight, and takes them off the
// queue; nil: ctx has ended.
func (c *committer) next(ctx context.Context) []*batch {
	for {
		var patience <-chan time.Time
		if c.mayWrite() {
			flush, wait := c.take()
			if flush != nil && c.mayWrite() {
				return flush
			}
			c.putBack(flush)
			if wait > 0 {
				patience = time.After(wait)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
		case <-patience:
		}
	}
}

// mayWrite is the look at the lease. With a verifier, write waits instead.
func (c *committer) mayWrite() bool { return c.verifier != nil || c.lease.valid() }

// take returns what is to be written now, or else for how long at the most that
// should be waited for which is there; 0: until resume.
func (c *committer) take() (flush []*batch, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 || c.flying == c.cfg.Flights {
		return nil, 0
	}
	if c.flying > 0 && len(c.queue) < c.cfg.FlushAhead {
		if wait := c.since + c.cfg.FlushPatience - c.cfg.Clock.Elapsed(); wait > 0 {
			return nil, wait
		}
	}
	n, bytes := 0, 0
	for n < len(c.queue) && n < c.cfg.FlushCommits && bytes < c.cfg.FlushBytes {
		bytes += c.queue[n].bytes
		n++
	}
	flush = c.queue[:n:n]
	c.queue = c.queue[n:]
	if len(c.queue) == 0 {
		c.queue = nil
	}
	c.since = c.cfg.Clock.Elapsed()
	c.flying++
	return flush, 0
}

// putBack undoes a take.
func (c *committer) putBack(flush []*batch) {
	if flush == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(flush, c.queue...)
	c.flying--
}

// write appends what may be written, and tells the activations.
//
// A batch whose partition has been left meanwhile is not written. Its claim may
// have been released: whoever leaves a partition waits for its writes, but not
// without a bound, and while the store is away nothing comes to an end.
//
//	owner A                            store          node B
//	batch waits: the store is away     (away)
//	has waited long enough to leave
//	releases the claim                 (back)
//	                                                  takes the partition
//	                                                  meets the command too late,
//	                                                  says: not executed
//	writes the batch
//
// After this look the append takes WriteTimeout at the most, for which leaving waits.
func (c *committer) write(ctx context.Context, flush []*batch) {
	if c.verifier != nil {
		if err := c.verifier.await(ctx); err != nil {
			for _, b := range flush {
				b.owner.settled(b, store.ErrUnknown)
			}
			return
		}
	}
	flush = withoutLeft(flush)
	if len(flush) == 0 {
		return
	}
	commits := make([]store.Commit, len(flush))
	for i, b := range flush {
		commits[i] = b.commit
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.WriteTimeout)
	defer cancel()
	start := c.cfg.Clock.Elapsed()
	results := c.store.Append(ctx, commits)
	failed := 0
	for i, b := range flush {
		if results[i] != nil {
			failed++
		}
		b.owner.settled(b, results[i])
	}
	if c.cfg.Listener.Flushed != nil {
		c.cfg.Listener.Flushed(len(flush), failed, c.cfg.Clock.Elapsed()-start)
	}
}

// withoutLeft settles the batches whose partition has been left, and returns the
// others.
func withoutLeft(flush []*batch) []*batch {
	kept := flush[:0]
	for _, b := range flush {
		if b.owner.partition.ctx.Err() == nil {
			kept = append(kept, b)
			continue
		}
		b.owner.settled(b, store.ErrUnknown)
	}
	return kept
}
