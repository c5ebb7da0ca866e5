package runtime

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// performing is an effect that was asked for, while its owner looks after it. Its goroutine
// ends when the effect is over, when the node is not the owner any more, or when there is
// nothing to do for long: the note brings it back.
type performing struct {
	*performers
	partition *partition
	id        actor.EffectID
	floor     int64 // no note has a lower order: it is above that of the commit which asked

	ctx    context.Context //nolint:containedctx // the life of the task
	cancel context.CancelCauseFunc

	// Guarded by performers.mu.
	head    bool // it is the first of its aggregate and effect
	firings []firing
	late    []byte // the result of a handler that was not waited for; nil: none
	state   EffectState
	shown   actor.EffectTask // as of the last note

	poked chan struct{} // capacity 1: head or firings have changed

	// Of the goroutine.
	task   actor.EffectTask
	said   []firing  // taken in, and to be finished with the next note
	armed  time.Time // when the note comes due; zero: it has
	dirty  bool      // what the task says is to be noted
	sent   time.Time // when the reply was sent; zero: it was not
	gaveUp bool      // by an operator
	fenced bool      // another node has noted more
}

// Bounds of the note of a task that is in memory. It is written again when it comes due
// soon, and is due that much later then. A node that dies has each effect come
// back that late at the most.
const (
	noteSoon     = 7 * time.Second // of an attempt, or a result
	waitingSoon  = 10 * time.Second
	waitingGrace = 45 * time.Second
	noteTimeout  = 3 * time.Second // of one try to write it
	noteMinPause = 100 * time.Millisecond
	noteMaxPause = 2 * time.Second

	keepFor     = time.Minute      // an effect whose next attempt is later leaves the memory
	settledFor  = 30 * time.Second // after which a result that is not decided leaves it, too
	settledNote = 10 * time.Minute // and comes back
	putOffNote  = 30 * time.Second // one for which there is no room

	cutMax = 3 // attempts in a row that end with their node before that counts as a failure
)

var (
	errEffectOver    = errors.New("the effect is over")
	errFenced        = errors.New("another node looks after the effect")
	errNotCarriedOut = errors.New("this node carries out no effects")
)

// EffectState says what a pending effect waits for.
type EffectState string

// The states.
const (
	EffectQueued    EffectState = "queued"     // for one that was asked for before it
	EffectWaiting   EffectState = "waiting"    // for a free place among those that run at once
	EffectRunning   EffectState = "running"    // for its attempt
	EffectRetrying  EffectState = "retrying"   // for the time of the next attempt
	EffectHeld      EffectState = "paused"     // for an operator
	EffectUnhandled EffectState = "unhandled"  // for a node that carries it out
	EffectStuck     EffectState = "stuck"      // for a handler that ignores its context
	EffectReplying  EffectState = "concluding" // for its aggregate to take in the end
)

func (e *performing) fireLocked(f *firing) {
	if f == nil {
		return
	}
	e.firings = append(e.firings, *f)
	e.poke()
}

func (e *performing) poke() {
	select {
	case e.poked <- struct{}{}:
	default:
	}
}

// run looks after the effect.
func (e *performing) run() {
	defer e.end()
	e.resumed()
	for pause := noteMinPause; e.ctx.Err() == nil; {
		e.takeIn()
		next := e.next()
		if e.due(next) {
			err := e.note(e.ctx, e.returns(next))
			switch {
			case errors.Is(err, errFenced) || e.ctx.Err() != nil:
				return
			case err != nil:
				e.cfg.Logger.WarnContext(e.ctx, "an effect cannot be noted", "aggregate", e.id.Address.String(), "effect", e.task.Effect, "error", err)
				sleep(e.ctx, pause)
				pause = min(2*pause, noteMaxPause)
				continue
			}
			pause = noteMinPause
		}
		if next.leave {
			return
		}
		if !e.act(next) {
			return
		}
	}
}

// resumed judges an attempt that was under way when the note was written: its node has
// not ended it. A handler that ends the process each time is slowed down, and counts as
// failed after a while.
func (e *performing) resumed() {
	if e.task.Started.IsZero() {
		return
	}
	e.task.Started = time.Time{}
	e.task.Cut++
	switch h, _ := e.here(e.task.Effect); {
	case e.task.Cut > cutMax:
		e.failed(errCut)
	case e.task.Cut > 1 && h != nil:
		e.task.Next = e.cfg.Clock.Now().Add(h.Policy().Pause(e.task.Cut-1, rand.Float64()))
	}
}

var errCut = errors.New("the node has ended during the attempt, several times in a row")

// takeIn takes what has come to the task since it last looked.
func (e *performing) takeIn() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.firings) > 0 {
		e.armed = time.Time{} // what has come due is not there any more
	}
	for _, f := range e.firings {
		e.merge(&f.task)
		switch f.task.Op {
		case actor.EffectRetry:
			e.task.Next, e.dirty = time.Time{}, true
		case actor.EffectGiveUp:
			e.gaveUp = true
		}
	}
	if e.late != nil && e.task.Reply == nil {
		e.task.Started, e.task.Cut = time.Time{}, 0
		e.task.Succeed(e.late)
	}
	e.task.Op = ""
	e.said, e.firings = append(e.said, e.firings...), nil
}

// merge takes in what another note says: it may be a newer one.
func (e *performing) merge(t *actor.EffectTask) {
	e.task.Order = max(e.task.Order, t.Order)
	e.task.Attempt = max(e.task.Attempt, t.Attempt)
	e.task.Failures = max(e.task.Failures, t.Failures)
	if e.task.Reply == nil && t.Reply != nil && e.task.Started.IsZero() {
		e.task.Reply = t.Reply
	}
}

// nextStep is what a task does next.
type nextStep struct {
	state EffectState
	at    time.Time       // the next attempt; zero: at once
	here  *effectHere     // to run it by; nil: not now
	wake  <-chan struct{} // what it waits for; nil: nothing but time
	leave bool            // it need not be in memory
}

// next decides what the task does next.
func (e *performing) next() (n nextStep) {
	now := e.cfg.Clock.Now()
	e.mu.Lock()
	head, running, full := e.head, e.running[e.id.Command], e.count >= e.max
	e.mu.Unlock()
	if e.gaveUp && e.task.Reply == nil {
		e.task.GiveUp(e.id, actor.GaveUpOperator)
		e.saidGivenUp(actor.GaveUpOperator)
		e.dirty = true
	}
	switch here, changed := e.here(e.task.Effect); {
	case e.task.Reply != nil:
		n.state = EffectReplying
		n.leave = !e.sent.IsZero() && now.Sub(e.sent) >= settledFor
	case !head:
		n.state, n.leave = EffectQueued, full
	case here == nil && changed == nil:
		n.state = EffectUnhandled
	case here == nil:
		n.state, n.wake = EffectHeld, changed
	case running != nil:
		n.state, n.wake = EffectStuck, running
	case e.task.Next.After(now):
		n.state, n.at = EffectRetrying, e.task.Next
		n.leave = n.at.Sub(now) > keepFor
	case !e.partition.caughtUp():
		n.state = EffectWaiting
	default:
		n.state, n.here = EffectWaiting, here
	}
	e.show(n.state)
	return n
}

func (e *performing) show(s EffectState) {
	e.mu.Lock()
	e.state, e.shown = s, e.task
	e.mu.Unlock()
}

// due reports whether the note is to be written again.
func (e *performing) due(n nextStep) bool {
	soon := waitingSoon
	if n.state == EffectReplying || n.state == EffectRetrying || n.state == EffectWaiting && n.here != nil && len(n.here.slots) < cap(n.here.slots) {
		soon = noteSoon
	}
	return e.dirty || n.leave || e.armed.IsZero() || e.armed.Sub(e.cfg.Clock.Now()) < soon
}

// returns is when the note that is written now comes due.
func (e *performing) returns(n nextStep) time.Time {
	now := e.cfg.Clock.Now()
	switch {
	case n.leave && n.state == EffectQueued:
		return now.Add(putOffNote + rand.N(putOffNote))
	case n.leave && n.state == EffectReplying:
		return now.Add(settledNote)
	case n.leave:
		return n.at
	case n.state == EffectRetrying:
		return n.at.Add(actor.EffectGrace)
	case n.state == EffectReplying:
		return now.Add(actor.EffectGrace)
	default:
		return now.Add(waitingGrace)
	}
}

// note writes the note, and finishes the messages that it says all of.
func (e *performing) note(ctx context.Context, at time.Time) error {
	e.task.Order, e.task.Node = max(e.task.Order+1, e.floor), e.cfg.Name
	bounded, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	replaced, err := e.timers.ReplaceTimer(bounded, e.task.Message(e.id, at), e.id.Timer, e.task.Order)
	if err != nil {
		return fmt.Errorf("note effect: %w", err)
	}
	for _, f := range e.said {
		f.done()
	}
	e.said = nil
	if !replaced {
		e.fenced = true
		return errFenced
	}
	e.armed, e.dirty = at, false
	return nil
}

// act does what is next, or waits for it. It returns false when the task is to end.
func (e *performing) act(n nextStep) bool {
	if n.state == EffectReplying && e.sent.IsZero() {
		return e.reply()
	}
	now := e.cfg.Clock.Now()
	wait := max(e.armed.Sub(now)-noteSoon, noteMinPause)
	if !n.at.IsZero() {
		wait = min(wait, max(n.at.Sub(now), 0))
	}
	if !e.sent.IsZero() {
		wait = min(wait, max(settledFor-now.Sub(e.sent), 0))
	}
	var slot chan<- struct{}
	var paused <-chan struct{}
	if n.here != nil {
		slot = n.here.slots
		e.mu.Lock()
		paused = n.here.changed
		e.mu.Unlock()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-e.ctx.Done():
		return false
	case <-timer.C:
	case <-e.poked:
	case <-n.wake:
	case <-paused:
	case slot <- struct{}{}:
		e.attempt(n.here)
	}
	return true
}

// reply sends the command that ends the effect. It returns false when the task ends first.
func (e *performing) reply() bool {
	err := e.timers.Send(e.ctx, e.task.Conclusion(e.id, e.cfg.Clock.Now()))
	if e.ctx.Err() != nil {
		return false
	}
	if never, ok := errors.AsType[*actor.Error](err); ok {
		e.cfg.Logger.ErrorContext(e.ctx, "the end of an effect cannot be sent", "aggregate", e.id.Address.String(), "effect", e.task.Effect,
			"key", e.id.Key(), "command", e.task.Reply.Name, "error", err)
		if e.task.Undeliverable(e.id, never.Error()) {
			e.dirty = true
			return true
		}
	}
	if err != nil {
		sleep(e.ctx, noteMaxPause)
		return e.ctx.Err() == nil
	}
	e.sent = e.cfg.Clock.Now()
	return true
}

// putOff notes that the effect is to come back: there is no room for it.
func (e *performing) putOff() {
	defer e.cancel(nil)
	e.takeIn()
	for pause := noteMinPause; e.ctx.Err() == nil; pause = min(2*pause, noteMaxPause) {
		err := e.note(e.ctx, e.cfg.Clock.Now().Add(putOffNote+rand.N(putOffNote)))
		if err == nil || errors.Is(err, errFenced) {
			return
		}
		sleep(e.ctx, pause)
	}
}

// end leaves the effect: to nobody when it is over, and otherwise to its next owner, or to
// the note.
func (e *performing) end() {
	e.cancel(errFenced)
	cause := context.Cause(e.ctx)
	unserved := e.forget(e)
	switch {
	case errors.Is(cause, errEffectOver):
		for _, f := range append(e.said, unserved...) {
			f.done()
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), noteTimeout)
		defer cancel()
		_ = e.timers.CancelTimer(ctx, e.id.Address, e.id.Timer, e.task.Order) // it comes due for nothing otherwise
	case e.partition.ctx.Err() != nil && !e.fenced:
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), noteTimeout)
		defer cancel()
		_ = e.note(ctx, e.cfg.Clock.Now()) // it comes due later otherwise
	}
}
