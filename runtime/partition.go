package runtime

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// partition is one partition that this node has claimed: its activations, and
// how far its durable commands are finished. It is the actor.Handler of its
// subscription.
type partition struct {
	*incarnation
	id       actor.Partition
	stream   string        // incarnation of the command stream
	seenUpTo uint64        // last sequence of the stream when the partition was taken
	taken    time.Duration // Clock.Elapsed
	former   Death         // session from which it was taken; zero: it was released
	orphan   bool          // that session has not released it, and its process was not seen since; guarded by mu

	ctx    context.Context //nolint:containedctx // the life of the partition, which outlives every call
	cancel context.CancelCauseFunc

	// running counts goroutines of activations and batches at the committer. It
	// grows only while mu is held and stopped is false, or while it is above zero.
	running sync.WaitGroup

	mu           sync.Mutex
	claim        store.Claim // as taken; the watermark in it is the one saved last
	stopped      bool
	activations  map[actor.Address]*activation
	recency      recency
	revision     uint64      // of the last saving that was begun
	watch        *crashWatch // nil: nothing is to be feared
	claimDeaths  int         // to be saved with the claim, as is claimSuspect
	claimSuspect string
	tracker      *tracker
	unfinished   int           // messages of both lanes
	aside        []aside       // neither answered nor unfinished
	asideDirect  int           // of them
	judging      bool          // a goroutine looks after aside
	unreadable   int           // messages that could not be read
	awaitingRoom int           // commands that are to be parked, and find no room
	whenSaved    []answer      // durable ones, told once the watermark is saved above them
	changed      chan struct{} // capacity 1: unfinished went down
	sub          actor.Subscription
	relayed      *Relay // nil: not here
	held         heldReads
}

func newPartition(in *incarnation, claim, before store.Claim, stream string, seenUpTo uint64) *partition {
	p := &partition{
		incarnation: in,
		id:          actor.Partition(claim.Partition),
		claim:       claim,
		stream:      stream,
		seenUpTo:    seenUpTo,
		taken:       in.cfg.Clock.Elapsed(),
		former:      Death{before.Owner, before.Session},
		orphan:      claim.Deaths > 0, // a release ends the count
		activations: map[actor.Address]*activation{},
		changed:     make(chan struct{}, 1),
	}
	var watermark uint64
	if claim.Watermark.Stream == p.stream {
		watermark = claim.Watermark.Sequence
	}
	p.tracker = newTracker(watermark)
	p.watch, p.claimDeaths, p.claimSuspect = newCrashWatch(in, &claim), claim.Deaths, claim.Suspect
	p.ctx, p.cancel = context.WithCancelCause(in.ctx)
	p.checkFormerOwner([]store.Session{in.session})
	return p
}

// serve starts the flow of messages.
func (p *partition) serve(ctx context.Context) error {
	sub, err := p.bus.Serve(ctx, p.id, p.stream, p.tracker.watermark, p)
	if err != nil {
		return fmt.Errorf("serve partition %d: %w", p.id, err)
	}
	p.mu.Lock()
	p.sub = sub
	if p.watch != nil && !p.stopped {
		p.running.Go(p.keepWatch)
	}
	p.mu.Unlock()
	if p.orphan {
		p.performers.orphaned(p.id)
	}
	if f := p.cfg.Listener.PartitionServed; f != nil {
		f(p.id)
	}
	return nil
}

// caughtUp reports whether everything has been read that predecessors may have read.
func (p *partition) caughtUp() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sub != nil && p.sub.Position() >= p.seenUpTo
}

// relay brings out what all nodes commit, for as long as partition 0 is served here.
// Nothing about partition 0 matters but that it has one owner most of the time.
func (p *partition) relay() {
	if p.id != 0 || p.cfg.Outbox == nil {
		return
	}
	r := NewRelay(RelayConfig{
		SendTimeout: p.cfg.SendTimeout, StandsAfter: p.cfg.StandsAfter, ParkedMax: p.cfg.ParkedMax,
		Schedules: p.cfg.Schedules, Partitions: p.bus.Partitions(), Logger: p.cfg.Logger, Listener: p.cfg.Listener,
	}, p.store, p.cfg.Outbox)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stopped {
		p.relayed = r
		p.running.Go(func() { r.Run(p.ctx) })
	}
}

// place returns where a durable command is in the stream.
func (p *partition) place(d *delivery) store.Position {
	return store.Position{Stream: p.stream, Sequence: d.Sequence, Rest: uint32(d.More)} //nolint:gosec // a batch is bounded
}

// watermark returns the place up to which all commands of the partition are finished.
func (p *partition) watermark() store.Position {
	return store.Position{Stream: p.stream, Sequence: p.tracker.watermark}
}

// Durable takes the next command of the stream. It blocks while the window is
// full, or the node has no room for another aggregate.
func (p *partition) Durable(ctx context.Context, d actor.Delivery) {
	dl := &delivery{Delivery: d, arrived: int64(p.cfg.Clock.Elapsed()), replayed: d.Sequence <= p.seenUpTo}
	if !p.awaitWindow(ctx) {
		return
	}
	if d.Unreadable != nil {
		p.takeUnreadable(d)
		return
	}
	behavior := p.behaviors[d.Message.Target.Kind]
	concealed := p.conceals(behavior, &d.Message)
	p.mu.Lock()
	if p.stopped || !p.tracker.begin(ordinalOf(&d)) {
		p.mu.Unlock()
		return
	}
	p.unfinished++
	watched := behavior != nil && concealed == nil && p.watchedLocked(dl)
	p.mu.Unlock()
	switch {
	case concealed != nil:
		p.turnAway(dl, *concealed)
	case watched:
	case behavior == nil:
		p.setAside(aside{delivery: dl})
	default:
		for !p.post(behavior, dl) {
			if !p.memory.awaitRoom(ctx, p.ctx) {
				p.giveUp(dl)
				return
			}
		}
	}
}

// giveUp: a durable command was taken in and is not going to be posted. It stays
// open, so that the watermark does not pass it, but a drain need not wait for it.
func (p *partition) giveUp(d *delivery) {
	p.mu.Lock()
	p.unfinished--
	d.endLocked()
	p.mu.Unlock()
	p.signal()
}

// Direct takes a message of the direct lane, or refuses it.
func (p *partition) Direct(d actor.Delivery) {
	dl := &delivery{Delivery: d, arrived: int64(p.cfg.Clock.Elapsed())}
	behavior := p.behaviors[d.Message.Target.Kind]
	concealed := p.conceals(behavior, &d.Message)
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return
	}
	p.unfinished++
	full := p.fullLocked()
	watched := behavior != nil && concealed == nil && !full && p.watchedLocked(dl)
	p.mu.Unlock()
	switch {
	case concealed != nil:
		p.turnAway(dl, *concealed)
	case watched:
	case behavior == nil:
		p.setAside(aside{delivery: dl})
	case full || !p.post(behavior, dl):
		p.refuseOverloaded(dl)
	}
}

func (p *partition) refuseOverloaded(d *delivery) {
	if f := p.cfg.Listener.Overloaded; f != nil {
		f(d.Message.Target.Kind, "mailbox or activations")
	}
	p.conclude(answer{delivery: d, outcome: actor.Failure(actor.CodeOverloaded, "too many messages wait for "+d.Message.Target.String())})
}

// spanFactor bounds, in windows, how far a partition gets ahead of a command
// that is stuck. Behind it others finish without end, and all of them would be
// remembered here, and read again by the next owner.
const spanFactor = 64

// awaitWindow waits for room in the window of durable commands.
func (p *partition) awaitWindow(ctx context.Context) bool {
	for {
		p.mu.Lock()
		room := p.tracker.open() < p.cfg.WindowMax && p.tracker.span() < spanFactor*p.cfg.WindowMax
		p.mu.Unlock()
		if room {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-p.ctx.Done():
			return false
		case <-p.changed:
		}
	}
}

// post brings a message to its activation, which it makes if necessary. It
// returns false when a limit does not let it.
func (p *partition) post(behavior *actor.Behavior, d *delivery) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return true // nobody is served here any more
	}
	a := p.activations[d.Message.Target]
	if a == nil {
		if !p.memory.admit() {
			p.mu.Unlock()
			p.memory.makeRoom(p.incarnation)
			p.mu.Lock()
			if p.stopped {
				return true
			}
			if a = p.activations[d.Message.Target]; a == nil && !p.memory.admit() {
				return false
			}
		}
		if a == nil {
			a = &activation{partition: p, behavior: behavior, address: d.Message.Target, ring: newOutcomeRing(), watched: p.held.of(d.Message.Target)}
			p.activations[a.address] = a
			p.memory.counts(behavior.Kind(), 1)
		}
	}
	p.recency.touch(a, d.arrived)
	return a.post(d)
}

// conclude lets an answer out and marks its message as finished.
//
// It does neither once the partition has been left. The node's lease says
// nothing about a partition that was drained or dropped: say a handler does not
// return until another node, or this one anew, has taken the partition and
// changed the aggregate. What it then decides stands on a state of the past,
// although the lease is valid. Nor may the watermark pass a command that was to
// be parked and could not be, because the partition was left meanwhile.
func (p *partition) conclude(ans answer) {
	if p.ctx.Err() != nil {
		return
	}
	p.gate.release(ans)
	p.finish(ans.delivery)
}

// whenSavedMax bounds the answers that wait for a watermark. Callers of those
// beyond it get no answer, and ask again.
const whenSavedMax = 1 << 14

// concludeWhenSaved marks a durable message as finished, and lets its answer out
// once that is saved.
func (p *partition) concludeWhenSaved(ans answer) {
	if p.ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	if len(p.whenSaved) < whenSavedMax {
		p.whenSaved = append(p.whenSaved, ans)
	}
	p.mu.Unlock()
	p.finish(ans.delivery)
}

func (p *partition) finish(d *delivery) {
	p.mu.Lock()
	p.unfinished--
	d.endLocked()
	if d.Sequence > 0 {
		before := p.tracker.watermark
		p.tracker.finish(ordinalOf(&d.Delivery))
		if p.tracker.watermark > before {
			p.claimDeaths = 0 // also while it is watched: who may have died of it is named
		}
	}
	p.mu.Unlock()
	p.signal()
}

func (p *partition) signal() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// advance moves the watermark over commands of other partitions: when nothing is
// unfinished here, it is as far as the subscription is. Otherwise a partition
// without commands would hold back the trimming of the whole stream.
func (p *partition) advance() {
	if p.sub == nil {
		return
	}
	// What the subscription says now has been taken in before: Durable has returned.
	position := p.sub.Position()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stopped {
		p.tracker.advance(position)
	}
}

// saving returns what is to be saved with the claim, and whether it differs from what
// was saved last.
func (p *partition) saving() (claim store.Claim, changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revision++
	claim = p.claim
	claim.Watermark, claim.Revision, claim.Carry = p.watermark(), p.revision, ""
	claim.Deaths, claim.Suspect = p.claimDeaths, p.claimSuspect
	return claim, claim.Watermark != p.claim.Watermark || p.claim.Carry != "" ||
		claim.Deaths != p.claim.Deaths || claim.Suspect != p.claim.Suspect
}

// saved is called when the watermark was saved.
func (p *partition) saved(claim store.Claim) {
	p.mu.Lock()
	p.claim.Watermark, p.claim.Carry = claim.Watermark, ""
	p.claim.Deaths, p.claim.Suspect = claim.Deaths, claim.Suspect
	var due, later []answer
	for _, ans := range p.whenSaved {
		if ans.delivery.Sequence <= claim.Watermark.Sequence {
			due = append(due, ans)
		} else {
			later = append(later, ans)
		}
	}
	p.whenSaved = later
	p.mu.Unlock()
	for _, ans := range due {
		p.gate.release(ans)
	}
}

// drain stops the flow, lets everything that has arrived come to its end, and
// stops. It gives up with an error, and stops all the same, when ctx ends.
func (p *partition) drain(ctx context.Context) error {
	defer p.stop(errDrained)
	if err := p.sub.Stop(ctx); err != nil {
		return fmt.Errorf("drain partition %d: %w", p.id, err)
	}
	p.releaseAll()
	for {
		p.mu.Lock()
		unfinished := p.unfinished
		p.mu.Unlock()
		if unfinished == 0 {
			p.advance()
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("drain partition %d: %d messages not finished: %w", p.id, unfinished, context.Cause(ctx))
		case <-p.ctx.Done():
			return fmt.Errorf("drain partition %d: %w", p.id, context.Cause(p.ctx))
		case <-p.changed:
		}
	}
}

// stop ends the partition at once. When it returns, nothing of it runs and no
// write of it is under way.
func (p *partition) stop(cause error) {
	p.mu.Lock()
	already := p.stopped
	p.stopped = true
	sub := p.sub
	p.mu.Unlock()
	p.cancel(cause)
	if sub != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), p.cfg.DrainTimeout)
		defer cancel()
		_ = sub.Stop(ctx) // its handler refuses everything from here on
	}
	p.awaitRunning()
	if already {
		return
	}
	p.memory.forget(p)
	p.snapshots.forget(p.id)
	if f := p.cfg.Listener.PartitionLeft; f != nil {
		f(p.id, cause)
	}
}

// awaitRunning waits for the goroutines of the partition. A handler that does
// not return is all that can outlast the bound; what it decides is not written.
func (p *partition) awaitRunning() {
	done := make(chan struct{})
	go func() {
		p.running.Wait()
		close(done)
	}()
	bound := p.cfg.WriteTimeout + p.cfg.DrainTimeout
	select {
	case <-done:
	case <-time.After(bound):
		p.cfg.Logger.Error("a handler does not return", "partition", uint32(p.id), "waited", bound)
	}
}
