package natsbus

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// local is what a bus knows of its own process.
type local struct {
	owners  localOwners
	clients localClients
}

// localOwners are the partitions of this process, by number: a client of the same
// bus hands the first attempt of a direct message to them without a way through
// NATS. Further attempts go by NATS, since the owner may be elsewhere by then.
// What the caller gets is the same on both ways; the guarantees do not come from
// the way (see package runtime), so it does not matter when an owner here is one
// that does not know yet that it has lost its partition.
type localOwners []atomic.Pointer[localOwner]

// localOwner is a partition's handler, as long as it may be called.
type localOwner struct {
	handler actor.Handler
	mu      sync.RWMutex // held by calls of the handler
	left    bool
}

// enter makes a handler reachable. The caller calls leave.
func (l localOwners) enter(p actor.Partition, h actor.Handler) *localOwner {
	o := &localOwner{handler: h}
	l[p].Store(o)
	return o
}

// leave returns when no call of the handler is running or will be made.
func (l localOwners) leave(p actor.Partition, o *localOwner) {
	l[p].CompareAndSwap(o, nil)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.left = true
}

// deliver hands a message over; false: nobody here serves the partition.
func (l localOwners) deliver(p actor.Partition, d actor.Delivery) bool {
	if int(p) >= len(l) {
		return false
	}
	o := l[p].Load()
	if o == nil {
		return false
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.left {
		return false
	}
	o.handler.Direct(d)
	return true
}

// localClients are the clients of a bus. An owner of the same bus brings an outcome
// to them without a way through NATS, on both lanes.
type localClients struct {
	mu  sync.RWMutex
	all []*Client // few: a node has one
}

func (l *localClients) enter(c *Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, c)
}

func (l *localClients) leave(c *Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(l.all, func(other *Client) bool { return other == c })
}

// responderTo finds the client that an inbox belongs to.
func (l *localClients) responderTo(inbox string, read bool) (*localResponder, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, c := range l.all {
		if in, ok := wire.ParseInbox(c.prefix, inbox); ok && in.Purpose == wire.ForOutcome {
			return &localResponder{client: c, call: in.Call, try: in.Try, read: read}, true
		}
	}
	return nil, false
}

// localResponder brings an outcome to a call of this process.
type localResponder struct {
	client *Client
	call   uint64
	try    uint32
	read   bool
}

// Respond implements [actor.Responder].
func (r *localResponder) Respond(o actor.Outcome) {
	call := r.client.calls.find(r.call)
	if call == nil {
		return
	}
	if o.Code == actor.CodeOK { // of any size: it does not go by NATS
		call.put(r.call, arrival{outcome: &o, try: r.try})
		return
	}
	// The rest is rare, and looks as it would after its way: rejections have been
	// JSON, details were cut, and what NATS cannot carry was replaced.
	call.put(r.call, arrival{msg: r.encode(o)})
}

func (r *localResponder) encode(o actor.Outcome) *nats.Msg {
	inbox := wire.Inbox{Call: r.call, Purpose: wire.ForOutcome, Try: r.try}.Subject(r.client.prefix)
	msg := wire.EncodeOutcome(inbox, o)
	if int64(msg.Size()) > r.client.nc.MaxPayload() {
		msg = wire.EncodeOutcome(inbox, tooLarge(o, r.read))
	}
	return msg
}
