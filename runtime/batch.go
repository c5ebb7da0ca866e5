package runtime

import (
	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// delivery is a message in the node.
type delivery struct {
	actor.Delivery
	arrived  int64 // Clock.Elapsed
	decided  int64 // microseconds since 1970 at which it was first decided here, by this node's clock: its handler's Now; 0: it was not
	panics   int32 // of its handler
	replayed bool  // was in the stream before the node took the partition
	alone    bool  // goes into a commit of its own: one with others was too large
	indexed  bool  // its outcome goes into the store's index of keys
	early    bool  // a firing that has been waited for once

	// attempted: it was in a commit whose outcome was not success. That commit
	// may yet become durable, so it can no longer be told that it was not executed.
	attempted bool

	refuse *actor.Outcome // decided: with this; nil: not yet
	rare   *rareDelivery  // what few have: every message has a delivery, and its size is a cost; nil: none of it
}

// rareDelivery is what a message has of which something failed, or which the runtime watches.
type rareDelivery struct {
	incident string        // under which the log has what failed; empty: nothing yet
	ended    chan struct{} // closed when the partition is done with it; nil: nobody waits for that
	hasEnded bool          // ended is closed; guarded by partition.mu
	executed func()        // called when its handler has returned; nil: nobody waits for that
	waits    actor.Code    // why no node can execute it, as it is about to be parked
}

// rarely returns what the message has of that, to be changed by whoever handles it.
func (d *delivery) rarely() *rareDelivery {
	if d.rare == nil {
		d.rare = &rareDelivery{}
	}
	return d.rare
}

// waits returns why no node can execute the message, if it is to be parked for that.
func (d *delivery) waits() actor.Code {
	if d.rare == nil {
		return ""
	}
	return d.rare.waits
}

// metBefore reports whether the command may have met another owner, or this one,
// earlier: it is not its caller's first attempt, or nobody can tell, or the
// stream held it before this node took the partition.
func (d *delivery) metBefore() bool {
	_, stamped := d.Message.ID.Stamped()
	return d.Message.Attempt > 1 || !stamped || d.replayed
}

// endLocked wakes who waits for the message's end. The caller holds partition.mu.
func (d *delivery) endLocked() {
	if r := d.rare; r != nil && r.ended != nil && !r.hasEnded {
		close(r.ended)
		r.hasEnded = true
	}
}

// batch is a commit being gathered or written, with all answers that stand on it.
type batch struct {
	owner    *activation
	commit   store.Commit
	answers  []answer // in the order of decision: of its own commands, and of what was decided after them
	bytes    int
	snapshot *store.Snapshot // of the state just after the commit; nil: none is due

	asked     []actor.Outgoing // of the world
	performed []string         // the timers of effects that are over with the commit
}

func (b *batch) add(a answer, dec *actor.Decision) command {
	for _, e := range dec.Events {
		b.commit.Events = append(b.commit.Events, store.Event(e))
		b.bytes += len(e.Data)
	}
	for i := range dec.Out {
		b.commit.Out = append(b.commit.Out, storedOutgoing(&dec.Out[i]))
		b.bytes += outgoingBytes(&dec.Out[i])
		if _, ok := actor.EffectOf(dec.Out[i].Timer); ok {
			b.asked = append(b.asked, dec.Out[i])
		}
	}
	if timer := a.delivery.Message.Timer; timer != "" {
		if _, ok := actor.EffectOf(timer); ok {
			b.performed = append(b.performed, timer)
		}
	}
	o, of := storedOutcome(a.delivery, a.outcome, len(dec.Events))
	o.Hidden = int(b.commit.Last() - store.Version(a.outcome.Version)) //nolint:gosec // versions of one history
	b.bytes += o.Size()
	b.commit.Outcomes = append(b.commit.Outcomes, o)
	b.answers = append(b.answers, a)
	return of
}

// markAttempted marks the commands whose outcomes are in the commit.
func (b *batch) markAttempted() {
	ids := make(map[string]bool, len(b.commit.Outcomes))
	for i := range b.commit.Outcomes {
		ids[b.commit.Outcomes[i].CommandID] = true
	}
	for _, a := range b.answers {
		if a.delivery.Message.Type == actor.TypeCommand && ids[string(a.delivery.Message.ID)] {
			a.delivery.attempted = true
		}
	}
}

// full reports whether nothing more should be gathered.
func (b *batch) full(cfg *Config) bool {
	return len(b.commit.Events) >= cfg.BatchEvents || len(b.commit.Out) >= cfg.BatchEvents || b.bytes >= cfg.BatchBytes ||
		b.crowded(cfg) || b.answers[0].delivery.alone
}

// crowded reports whether no more answers should stand on the batch. Without
// this limit, reads that come in as fast as they are decided would put off the
// writing of what they stand on for ever.
func (b *batch) crowded(cfg *Config) bool { return len(b.answers) >= 2*cfg.BatchEvents }

// find returns what the commit says of a command, and the version after it.
func (b *batch) find(id string) (found store.Recorded, ok bool) {
	b.commit.OutcomeVersions(func(o *store.Outcome, v store.Version) {
		if !ok && o.CommandID == id {
			found, ok = store.Recorded{Outcome: *o, Version: v}, true
		}
	})
	return found, ok
}

// mailbox is a first-in-first-out queue of deliveries.
type mailbox struct {
	items  []*delivery
	head   int
	direct int // direct deliveries among them
}

func (q *mailbox) len() int { return len(q.items) - q.head }

func (q *mailbox) push(d *delivery) {
	q.items = append(q.items, d)
	q.direct += directCount(d)
}

func (q *mailbox) pop() *delivery {
	d := q.items[q.head]
	q.items[q.head] = nil
	q.head++
	q.direct -= directCount(d)
	switch {
	case q.head == len(q.items) && cap(q.items) > 64:
		q.items, q.head = nil, 0
	case q.head == len(q.items):
		q.items, q.head = q.items[:0], 0
	case q.head >= 1024:
		q.items = append(make([]*delivery, 0, q.len()*2), q.items[q.head:]...)
		q.head = 0
	}
	return d
}

// pushFront puts deliveries before all others, in their order.
func (q *mailbox) pushFront(ds []*delivery) {
	q.items = append(append(make([]*delivery, 0, len(ds)+q.len()), ds...), q.items[q.head:]...)
	q.head = 0
	for _, d := range ds {
		q.direct += directCount(d)
	}
}

func directCount(d *delivery) int {
	if d.Sequence == 0 {
		return 1
	}
	return 0
}
