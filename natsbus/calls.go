package natsbus

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/effort"
)

// maxUnread bounds the messages that may wait in one call. More come only from
// somebody who answers again and again.
const maxUnread = 32

// call is one Deliver or Enqueue that waits for messages to its inbox. It is
// used again for later calls, with other ids.
type call struct {
	wake  chan struct{} // capacity 1
	timer *time.Timer   // of the goroutine that makes the call
	read  []arrival     // likewise

	mu     sync.Mutex
	id     uint64 // 0 between calls
	goal   effort.Goal
	asks   int64 // partition that is asked on the direct lane; -1: none
	moved  bool  // that one has a new owner
	nextID uint64
	unread []arrival
	line   *line // a try is under way in it; nil: none
}

// arrival is what has come for a call: a message, an outcome from an owner in the
// same process, the word of the stream that it has stored the command, or that the
// connection has not taken it.
type arrival struct {
	msg     *nats.Msg
	outcome *actor.Outcome
	try     uint32    // of outcome, or that failed
	stored  time.Time // when the stream's word came; zero: it is something else
	failed  error     // why the try could not be sent
}

// put leaves an arrival for the call with that id, unless that one is over. A call
// that is after more than the stream's word reads that when it wakes for another
// reason.
func (c *call) put(id uint64, a arrival) {
	c.mu.Lock()
	current := c.id == id && len(c.unread) < maxUnread
	wake := current && (a.stored.IsZero() || c.goal == effort.GoalStored)
	if current {
		c.unread = append(c.unread, a)
	}
	c.mu.Unlock()
	if wake {
		c.notify()
	}
}

func (c *call) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// fly notes that a try is under way in a line.
func (c *call) fly(l *line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line = l
}

// land returns the line in which a try of the call with that id is under way, and notes
// that it is not any more.
func (c *call) land(id uint64) *line {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id != id {
		return nil
	}
	l := c.line
	c.line = nil
	return l
}

// take returns what is unread. It is valid until the next take.
func (c *call) take() []arrival {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read, c.unread = c.unread, c.read[:0]
	return c.read
}

// calls holds the calls in flight, a bounded number of them. The id of a call is
// its slot plus a multiple of the number of slots, so a message finds its call
// without a map, and one that comes late finds another id.
type calls struct {
	slots []atomic.Pointer[call]

	mu   sync.Mutex
	free []*call // used before, ready for use
	made int
}

func newCalls(limit int) *calls { return &calls{slots: make([]atomic.Pointer[call], limit)} }

// begin returns a call with a new id, or nil when the limit is reached.
func (cs *calls) begin(g effort.Goal) *call {
	c := cs.idle()
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.id, c.goal, c.asks, c.moved = c.nextID, g, -1, false
	c.nextID += uint64(len(cs.slots))
	return c
}

func (cs *calls) idle() *call {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if n := len(cs.free); n > 0 {
		c := cs.free[n-1]
		cs.free = cs.free[:n-1]
		return c
	}
	if cs.made == len(cs.slots) {
		return nil
	}
	c := &call{
		wake:   make(chan struct{}, 1),
		timer:  time.NewTimer(time.Hour),
		nextID: uint64(cs.made + len(cs.slots)),
	}
	cs.slots[cs.made].Store(c)
	cs.made++
	return c
}

// end makes the call ready for the next one. Messages that come late for this
// one are dropped from now on.
func (cs *calls) end(c *call) {
	c.timer.Stop()
	c.mu.Lock()
	c.id = 0
	clear(c.unread)
	c.unread = c.unread[:0]
	c.mu.Unlock()
	clear(c.read)
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.free = append(cs.free, c)
}

// ask notes which partition's owner a call asks.
func (c *call) ask(p actor.Partition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asks = int64(p)
}

// ownerChanged reports whether the partition has a new owner since the last time.
func (c *call) ownerChanged() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	moved := c.moved
	c.moved = false
	return moved
}

// moved wakes the calls that wait for an owner of a partition.
func (cs *calls) moved(p actor.Partition) {
	for i := range cs.slots {
		c := cs.slots[i].Load()
		if c == nil {
			return
		}
		c.mu.Lock()
		waits := c.id != 0 && c.asks == int64(p)
		c.moved = c.moved || waits
		c.mu.Unlock()
		if waits {
			c.notify()
		}
	}
}

// find returns the call that had the id last, perhaps a later one by now.
func (cs *calls) find(id uint64) *call { return cs.slots[id%uint64(len(cs.slots))].Load() }

// notifyAll wakes every call in flight, and some that are not.
func (cs *calls) notifyAll() {
	for i := range cs.slots {
		c := cs.slots[i].Load()
		if c == nil {
			return
		}
		c.notify()
	}
}
