package runtime

import (
	"errors"
	goruntime "runtime"
	"sync"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// activation is one aggregate in memory: its mailbox, its state, and the
// decisions that are on their way to the store.
//
// At most one goroutine runs it. It is started by post or settled when there is
// work, and ends when there is none.
type activation struct {
	partition *partition
	behavior  *actor.Behavior
	address   actor.Address

	// Guarded by partition.mu: the place among the least recently used.
	newer, older *activation
	used         int64 // Clock.Elapsed

	mu         sync.Mutex // never held while calling out, or while taking partition.mu
	mailbox    mailbox
	settlement *settlement // of inFlight, to be taken in
	running    bool
	struggling bool // is counted as such
	resting    bool // has given back what only a busy one needs

	// Of the running goroutine, or under mu while none runs.
	pending    []string        // effects that are not over as of durable commits, sorted; nil: none
	instance   *actor.Instance // nil: to be loaded before the next decision
	ring       *outcomeRing
	position   store.Position // highest durable command decided
	time       int64          // of the last commit
	gathering  *batch         // decided, to be written next
	commands   int            // of the last batch; the next one has as many, about
	inFlight   *batch         // being written
	snapshotAt actor.Version  // version of the newest snapshot
	size       weight         // of the state
	watched    bool           // reads of it are held back, or were
	weight     int64          // as counted in the node's total; guarded by mu
	failures   int            // writes in a row that did not succeed
}

type settlement struct {
	batch *batch
	err   error
}

// step is what the running goroutine does next.
type step uint8

const (
	stepIdle step = iota
	stepSettle
	stepDecide
	stepSubmit
)

// post puts a message into the mailbox. It returns false when that is full.
// The caller holds partition.mu.
func (a *activation) post(d *delivery) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if d.Sequence == 0 && a.mailbox.direct >= a.partition.cfg.MailboxMax {
		return false
	}
	a.resting = false
	a.mailbox.push(d)
	a.wakeLocked()
	return true
}

// settled is called by the committer with the result of a batch.
func (a *activation) settled(b *batch, err error) {
	a.mu.Lock()
	a.settlement = &settlement{batch: b, err: err}
	a.wakeLocked()
	a.mu.Unlock()
	a.partition.running.Done() // of submit
}

// wakeLocked starts the goroutine unless one runs. The partition counts at
// least one running part at this moment, or holds its lock, so that Add cannot
// race with the Wait of its stop.
func (a *activation) wakeLocked() {
	if a.running || a.partition.ctx.Err() != nil {
		return
	}
	a.running = true
	a.partition.running.Go(a.run)
}

// stackBytes is what a handler and the decoding of its command usually need.
const stackBytes = 5 << 10

// growStack has the runtime make room on the stack while there is little on it to
// copy. A new goroutine has 2 KiB; the decoding of JSON grew it twice, in the middle
// of its calls, and that was 5 % of the processor time of this process under load
// (the same is done in CockroachDB's util/growstack).
//
//go:noinline
func growStack() {
	var room [stackBytes]byte
	goruntime.KeepAlive(&room)
}

func (a *activation) run() {
	growStack()
	for {
		next, d, s := a.next()
		switch next {
		case stepSettle:
			a.settle(s)
		case stepDecide:
			a.handle(d)
			a.releaseChanged()
		case stepSubmit:
			a.submit()
		default:
			return
		}
	}
}

// next chooses: results first, then messages as long as there is room to
// gather, then writing what was gathered.
func (a *activation) next() (step, *delivery, *settlement) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.partition.ctx.Err() != nil:
	case a.settlement != nil:
		s := a.settlement
		a.settlement = nil
		return stepSettle, nil, s
	case a.mailbox.len() > 0 && a.mayDecide():
		return stepDecide, a.mailbox.pop(), nil
	case a.gathering != nil && a.inFlight == nil:
		return stepSubmit, nil, nil
	}
	a.running = false
	return stepIdle, nil, nil
}

// mayDecide: a state that was thrown away is loaded again only when nothing is
// on its way that would change it.
func (a *activation) mayDecide() bool {
	cfg := a.partition.cfg
	switch {
	case a.instance == nil:
		return a.gathering == nil && a.inFlight == nil
	case a.gathering != nil:
		return !a.gathering.full(cfg)
	default:
		return a.inFlight == nil || !a.inFlight.crowded(cfg)
	}
}

// idleLocked reports whether the activation can be given up. The caller holds
// both partition.mu and a.mu.
func (a *activation) idleLocked() bool {
	return !a.running && a.mailbox.len() == 0 && a.inFlight == nil && a.settlement == nil && a.gathering == nil
}

// submit hands what was gathered to the committer.
func (a *activation) submit() {
	b := a.gathering
	a.gathering, a.inFlight = nil, b
	a.commands = len(b.commit.Outcomes)
	a.time = a.partition.hybrid.after(a.time)
	b.commit.Position, b.commit.Time = a.position, a.time
	b.bytes = b.commit.Size()
	if every := a.behavior.SnapshotEvery(); every > 0 && a.instance != nil && a.instance.Version()-a.snapshotAt >= actor.Version(every) {
		b.snapshot = a.takeSnapshot()
	}
	a.partition.running.Add(1)
	a.partition.committer.submit(b)
}

// settle takes in the result of the batch in flight.
func (a *activation) settle(s *settlement) {
	a.inFlight = nil
	switch {
	case s.err == nil:
		a.wrote(nil)
		a.succeeded(s.batch)
	case errors.Is(s.err, store.ErrConflict):
		// The load waits a little, as after an unknown outcome: what we are in
		// conflict with may not be durable yet, and then not be seen by it.
		a.wrote(s.err)
		a.rewind(s.batch, DiscardConflict)
	case errors.Is(s.err, store.ErrTooLarge):
		a.tooLarge(s.batch)
	default:
		a.wrote(s.err)
		a.rewind(s.batch, DiscardUnknown)
	}
}

func (a *activation) succeeded(b *batch) {
	a.followEffects(b) // before the commands are finished: who sees that they are, sees what they asked for
	for _, ans := range b.answers {
		a.partition.conclude(ans)
	}
	if b.snapshot != nil {
		a.snapshotAt = actor.Version(b.snapshot.Version)
		a.partition.snapshots.offer(a, *b.snapshot)
	}
	a.measure()
	a.reweigh()
}

// measure weighs the state again if it may have grown much since the last time.
func (a *activation) measure() {
	if a.instance != nil && a.size.due() {
		a.size.measure(a.partition.memory.shapes.footprint(a.instance.State()))
	}
}

// rewind throws the state away and puts all commands that are not durable back
// into the mailbox, first, in the order in which they were decided.
//
// The write may have succeeded (or may yet succeed) although its result says
// otherwise. The commands are looked up after the load: those that the store
// holds get their recorded outcome, the others are decided again on the same
// version. If the lost write arrives after all, it and the new one are for the
// same version, so that one of the two is a conflict, and this comes round again.
func (a *activation) rewind(b *batch, reason DiscardReason) {
	if reason == DiscardUnknown {
		b.markAttempted()
	}
	answers := b.answers
	if g := a.gathering; g != nil {
		answers = append(answers, g.answers...)
	}
	a.gathering = nil
	a.discard(reason)
	undecided := make([]*delivery, len(answers))
	for i, ans := range answers {
		undecided[i] = ans.delivery
	}
	a.mu.Lock()
	a.mailbox.pushFront(undecided)
	a.mu.Unlock()
}

// tooLarge: nothing was written. A commit of one command is refused, the
// commands of a larger one are tried each alone.
func (a *activation) tooLarge(b *batch) {
	own := b.commit.Outcomes
	var refused *delivery
	for i, ans := range b.answers {
		is := len(own) == 1 && string(ans.delivery.Message.ID) == own[0].CommandID
		if is && !awaitsRefusal(&ans.delivery.Message) {
			refused = ans.delivery
			b.answers = append(b.answers[:i:i], b.answers[i+1:]...)
			break
		}
		if is {
			ans.delivery.refuse = new(tooLargeForStore()) // and told by a commit of its own
		}
		ans.delivery.alone = true
	}
	if refused != nil {
		a.partition.conclude(answer{delivery: refused, outcome: a.unlessAttempted(refused, tooLargeForStore())})
	}
	a.rewind(b, DiscardTooLarge)
}

func tooLargeForStore() actor.Outcome {
	return actor.Failure(actor.CodeTooLarge, "the events do not fit into one commit of the store")
}

// discard throws the state away. What was gathered stays and is written first.
func (a *activation) discard(reason DiscardReason) {
	a.instance = nil
	if f := a.partition.cfg.Listener.Discarded; f != nil {
		f(a.behavior.Kind(), reason)
	}
}

// reweigh updates the estimate of memory that the node's budget counts.
func (a *activation) reweigh() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reweighLocked()
}

// reweighLocked leaves the count alone once the partition has stopped: it no
// longer includes the activation, whose handler may return only now.
func (a *activation) reweighLocked() {
	if a.partition.ctx.Err() != nil {
		return
	}
	const fixed = 1024
	weight := int64(fixed + len(a.address.ID) + a.ring.bytes + a.size.bytes() + a.timerBytes())
	a.partition.memory.bytes.Add(weight - a.weight)
	a.weight = weight
}
