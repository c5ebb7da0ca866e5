package runtime

import (
	"context"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// relayQueue holds the commits that the feed has brought and that are not relayed
// yet, up to a number of events and bytes. One goroutine puts, one takes.
type relayQueue struct {
	maxEvents, maxBytes int
	grown, room         chan struct{} // capacity 1

	mu            sync.Mutex
	items         []store.FeedItem
	events, bytes int
	inHand        int64 // time of the oldest commit that was taken and is not done with; 0: none
}

func newRelayQueue(maxEvents, maxBytes int) *relayQueue {
	return &relayQueue{maxEvents: maxEvents, maxBytes: maxBytes, grown: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// put waits for room. A commit alone may go beyond the limits.
func (q *relayQueue) put(ctx context.Context, item store.FeedItem) error {
	for !q.tryPut(item) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-q.room:
		}
	}
	wakeUp(q.grown)
	return nil
}

func (q *relayQueue) tryPut(item store.FeedItem) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) > 0 && (q.events >= q.maxEvents || q.bytes >= q.maxBytes) {
		return false
	}
	q.items = append(q.items, item)
	q.events += len(item.Commit.Events)
	q.bytes += item.Commit.Size()
	return true
}

// take returns everything that is there, and waits until there is something, or until. It counts
// as pending until [relayQueue.done].
func (q *relayQueue) take(ctx context.Context, until <-chan time.Time) ([]store.FeedItem, error) {
	for {
		q.mu.Lock()
		items := q.items
		q.items, q.events, q.bytes = nil, 0, 0
		if len(items) > 0 {
			q.inHand = items[0].Commit.Time
		}
		q.mu.Unlock()
		if len(items) > 0 {
			wakeUp(q.room)
			return items, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-q.grown:
		case <-until:
			return nil, nil
		}
	}
}

// done says that what was taken is relayed.
func (q *relayQueue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.inHand = 0
}

// oldest returns the time of the oldest commit that was put and is not done with, 0
// without one.
func (q *relayQueue) oldest() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.inHand != 0:
		return q.inHand
	case len(q.items) > 0:
		return q.items[0].Commit.Time
	}
	return 0
}

func wakeUp(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
