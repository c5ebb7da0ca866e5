package runtime

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// EffectTimers is what the node needs of messaging to carry effects out. Package natsbus
// implements it. All methods are safe for concurrent use.
type EffectTimers interface {
	// Send and CancelTimer are those of [Outbox].
	Send(ctx context.Context, m actor.Message) error
	CancelTimer(ctx context.Context, of actor.Address, timer string, order int64) error
	// ReplaceTimer has a command be sent at its time, in the place of what the timer is set
	// to. It reports false, and changes nothing, if that has the same or a higher order.
	// It tries until ctx ends.
	ReplaceTimer(ctx context.Context, m actor.Message, timer string, order int64) (replaced bool, err error)
}

// EffectsConfig is how a node carries out what aggregates ask of the world. The zero value
// of each field means the default that its comment names.
type EffectsConfig struct {
	// Timers is where what is asked for is kept. nil: this node carries out nothing, and
	// what comes to it is parked until a node does.
	Timers EffectTimers
	// Performers carry the effects out; more can be given by [Node.Handle]. What is
	// asked for and has none waits for a node that has.
	Performers []*actor.Performer
	// Max is how many pending effects the node has in memory; those beyond come back
	// later: 20,000.
	Max int
}

// performers carries out what the aggregates of a node ask of the world.
//
// An effect that was asked for is three things:
//
//   - a timer of its aggregate, set by the commit that asks and over with the commit that
//     holds the outcome of the command which ends it. That is what decides: whatever else
//     is lost or comes twice, the end takes effect once (see runtime/effects.go);
//   - a note in the stream of deadlines: the message of that timer, with the attempts
//     made, and the time at which it comes back to the owner if nobody replaces it. It
//     is to the effect what a lease is to a partition;
//   - while the owner looks after it, a task in memory, with a goroutine of its own.
//
// The note is written before an attempt begins, by compare-and-set on its order, so that
// the number of an attempt is never given twice, and an owner that is none any more
// finds its note replaced. What can meet:
//
//	node A                             node B, and the stream
//	notes attempt 1, runs it
//	dies                               nobody replaces the note: it comes due, and to B
//	                                   B notes attempt 2, runs it
//
//	notes attempt 1, runs it
//	is paused, loses its lease         the note comes due; B notes attempt 2, runs it
//	goes on: the context has ended.    B's result ends the effect; or A's does, if the
//	  A handler that succeeds all      world has answered A all the same: the first
//	  the same has its result sent     command that is decided is the outcome of both
//	notes anything: refused, B's
//	  order is higher
//
//	attempt 1 succeeds, the result
//	is sent to the command stream
//	dies                               B reads it there, and it ends the effect. The note
//	                                   comes due behind it: the timer is not set any more
//
//	attempt 1 succeeds, dies before    the note comes due; B runs attempt 2: the world is
//	the result is sent                 asked twice, under one key
//
//	the note comes due while A looks   A, the owner, gets it: it has the task already, and
//	after the task (its heartbeat was  notes again before the message is finished. Should A
//	late)                              die in between, the message is read again
//
//	notes attempt 1, runs it           its note comes due, and is a message in the command
//	dies before it has finished the      stream now, as an older one of the same effect is:
//	message of an older note             B reads both, and begins nothing before it has read
//	                                     all that A may have read. What the newest says counts
//
//	hands the partition over           the contexts of attempts end; each task makes its
//	                                   note due at once, and B goes on. Nobody waits
//
//	the stream of deadlines is lost    the relay sends again all that was ever asked for:
//	                                   what is over is not a timer of its aggregate any
//	                                   more. Attempts are counted anew
//
// The next effect of an aggregate and a name begins when the one before it is over in a
// commit that is durable: activation.pending is the list as of durable commits.
type performers struct {
	cfg    *Config
	timers EffectTimers    // nil: nothing is carried out here
	ctx    context.Context //nolint:containedctx // the life of the node
	max    int

	mu       sync.Mutex
	effects  map[string]*effectHere
	tasks    map[actor.Address]map[string]*performing // by timer
	count    int
	running  map[actor.CommandID]chan struct{} // of handlers; closed when one has returned
	stuck    map[actor.CommandID]string        // of those that ignore their context: the effect
	unknown  map[string]time.Time              // effects that nobody here carries out; when that was last logged
	orphans  map[actor.Partition]bool          // whose owner had died; to be looked at
	orphan   chan struct{}                     // capacity 1: there are some
	closed   bool
	parts    sync.WaitGroup // tasks, and what is done beside them
	handlers sync.WaitGroup
}

// effectHere is an effect that the node carries out.
type effectHere struct {
	*actor.Performer
	slots   chan struct{} // as many as may run at once; one is in it for each that does
	paused  bool
	changed chan struct{} // closed when paused has changed, and replaced
}

func newPerformers(ctx context.Context, cfg *Config) (*performers, error) {
	r := &performers{
		cfg: cfg, timers: cfg.Effects.Timers, ctx: ctx, max: cfg.Effects.Max,
		effects: map[string]*effectHere{}, tasks: map[actor.Address]map[string]*performing{},
		running: map[actor.CommandID]chan struct{}{}, stuck: map[actor.CommandID]string{}, unknown: map[string]time.Time{},
		orphans: map[actor.Partition]bool{}, orphan: make(chan struct{}, 1),
	}
	return r, r.handle(cfg.Effects.Performers)
}

// handle adds performers; all or none.
func (r *performers) handle(all []*actor.Performer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	added := map[string]*effectHere{}
	for _, p := range all {
		if p == nil {
			return fmt.Errorf("a performer is nil: %w", ErrConfig)
		}
		if r.effects[p.Name()] != nil || added[p.Name()] != nil {
			return fmt.Errorf("two performers of effect %s: %w", p.Name(), ErrConfig)
		}
		added[p.Name()] = &effectHere{Performer: p, slots: make(chan struct{}, p.Policy().Parallel), changed: make(chan struct{})}
	}
	maps.Copy(r.effects, added)
	return nil
}

// Handle gives the node performers of effects, beside those of its configuration. It is
// called before [Node.Run]: what is asked for and has no performer waits. The error wraps
// [ErrConfig].
func (n *Node) Handle(all ...*actor.Performer) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running {
		return fmt.Errorf("the node runs already: %w", ErrConfig)
	}
	return n.performers.handle(all)
}

// close waits for all tasks, and a while for handlers that ignore their context.
func (r *performers) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.parts.Wait()
	done := make(chan struct{})
	go func() {
		r.handlers.Wait()
		close(done)
	}()
	bound := min(r.cfg.DrainTimeout, handlersAtEnd)
	select {
	case <-done:
	case <-time.After(bound):
		r.cfg.Logger.Error("handlers of effects do not return", "effects", r.stuckNow(), "waited", bound)
	}
}

// handlersAtEnd bounds the wait for handlers of effects when the node ends.
const handlersAtEnd = 5 * time.Second

func (r *performers) stuckNow() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Values(r.stuck))
}

// firing is a message of an effect that has come to the owner of its aggregate.
type firing struct {
	task actor.EffectTask // as noted then
	done func()           // to be called when the note is written again, or the effect is over
}

// add has a task be looked after. fired is nil for one that has just been asked for, whose note
// the relay writes.
func (r *performers) add(p *partition, task actor.EffectTask, id actor.EffectID, floor int64, head bool, fired *firing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || p.ctx.Err() != nil {
		return
	}
	if known := r.tasks[id.Address][id.Timer]; known != nil && known.partition == p {
		known.head = known.head || head
		known.fireLocked(fired)
		return
	}
	e := &performing{
		performers: r, partition: p, id: id, task: task, floor: floor, head: head,
		poked: make(chan struct{}, 1), armed: task.Asked.Add(actor.EffectGrace),
	}
	e.ctx, e.cancel = context.WithCancelCause(p.ctx)
	if fired != nil {
		e.armed = time.Time{}
		e.fireLocked(fired)
	}
	if r.count >= r.max { // it comes back later
		if fired != nil {
			r.parts.Go(e.putOff)
		}
		return
	}
	if r.tasks[id.Address] == nil {
		r.tasks[id.Address] = map[string]*performing{}
	}
	r.tasks[id.Address][id.Timer] = e
	r.count++
	r.parts.Go(e.run)
}

// over ends the tasks of effects that are over, and lets those go on whose turn it is.
func (r *performers) over(of actor.Address, ended, pending []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, timer := range ended {
		if e := r.tasks[of][timer]; e != nil {
			e.cancel(errEffectOver)
		}
	}
	r.turnsLocked(of, pending)
}

// reconcile brings the tasks of an aggregate to what was loaded of it.
func (r *performers) reconcile(of actor.Address, pending []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for timer, e := range r.tasks[of] {
		if !slices.Contains(pending, timer) {
			e.cancel(errEffectOver)
		}
	}
	r.turnsLocked(of, pending)
}

func (r *performers) turnsLocked(of actor.Address, pending []string) {
	for timer, e := range r.tasks[of] {
		if !e.head && isHead(pending, timer) {
			e.head = true
			e.poke()
		}
	}
}

// isHead reports whether a timer is the first of its effect in a sorted list.
func isHead(pending []string, timer string) bool {
	prefix := timer[:strings.LastIndexByte(timer, '.')+1]
	i, _ := slices.BinarySearch(pending, prefix)
	return i < len(pending) && pending[i] == timer
}

// forget takes a task out.
func (r *performers) forget(e *performing) (unserved []firing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if of := r.tasks[e.id.Address]; of[e.id.Timer] == e {
		delete(of, e.id.Timer)
		if len(of) == 0 {
			delete(r.tasks, e.id.Address)
		}
	}
	r.count--
	unserved, e.firings = e.firings, nil
	return unserved
}

// here returns how an effect is carried out here; nil: it is not, or is paused. changed says when
// to ask again; nil: never.
func (r *performers) here(name string) (_ *effectHere, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.effects[name]
	switch {
	case h == nil:
		r.unknownLocked(name)
		return nil, nil
	case h.paused:
		return nil, h.changed
	default:
		return h, nil
	}
}

// unknownEvery is how often it is said that an effect has no performer here.
const unknownEvery = time.Minute

func (r *performers) unknownLocked(name string) {
	if now := time.Now(); now.Sub(r.unknown[name]) >= unknownEvery && (len(r.unknown) < 1000 || !r.unknown[name].IsZero()) {
		r.unknown[name] = now
		r.cfg.Logger.Error("an effect was asked for that this node does not carry out: it waits", "effect", name)
	}
}

// followEffects is called when a batch is durable.
func (a *activation) followEffects(b *batch) {
	if len(b.asked) == 0 && len(b.performed) == 0 {
		return
	}
	for _, timer := range b.performed {
		if i, found := slices.BinarySearch(a.pending, timer); found {
			a.pending = slices.Delete(a.pending, i, i+1)
		}
	}
	for i := range b.asked {
		if at, found := slices.BinarySearch(a.pending, b.asked[i].Timer); !found {
			a.pending = slices.Insert(a.pending, at, b.asked[i].Timer)
		}
	}
	r := a.partition.performers
	if r.timers == nil {
		return
	}
	r.over(a.address, b.performed, a.pending)
	for i := range b.asked {
		m := b.asked[i].Message(time.Time{})
		task, id, err := actor.ReadEffectTask(&m)
		if err != nil {
			continue // it comes by its note, and is parked
		}
		r.add(a.partition, task, id, b.commit.Time+1, isHead(a.pending, id.Timer), nil)
	}
}

// performs takes in an effect that has come to its owner, and is pending.
func (a *activation) performs(d *delivery) {
	p := a.partition
	task, id, err := actor.ReadEffectTask(&d.Message)
	if err == nil && p.performers.timers == nil {
		err = errNotCarriedOut
	}
	if err != nil {
		dec := actor.Decision{Outcome: actor.Failure(actor.CodeMalformed, err.Error())}
		if !a.unserved(d, &dec) {
			a.passed(d)
			a.stand(answer{delivery: d, outcome: dec.Outcome})
		}
		return
	}
	a.passed(d)
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return
	}
	p.unfinished-- // beside the flow: a drain does not wait for it, and the watermark does not pass it
	d.endLocked()
	p.mu.Unlock()
	p.signal()
	floor := a.time + 1
	if task.Order > 0 {
		floor = task.Order + 1 // not that of a later commit: it would replace a newer note
	}
	p.performers.add(p, task, id, floor, isHead(a.pending, id.Timer), &firing{task: task, done: func() { p.noted(d) }})
}

// noted finishes the message of an effect: another one says all that it said.
func (p *partition) noted(d *delivery) {
	p.mu.Lock()
	stopped := p.stopped
	if !stopped {
		p.unfinished++
	}
	p.mu.Unlock()
	if !stopped {
		p.conclude(answer{delivery: d})
	}
}
