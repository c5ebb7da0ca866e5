package runtime

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Why the context of an attempt ends.
var (
	errAttemptTimeout = errors.New("the attempt has timed out")
	errLeaseLapsed    = errors.New("the node's lease has lapsed")
	errGivenUp        = errors.New("an operator has given the effect up")
)

// attemptResult is what a handler has returned.
type attemptResult struct {
	result []byte
	err    error
	stack  []byte // of a panic
}

// attempting is one attempt. Its handler's goroutine and the task's decide by state who
// takes in what the handler returns, should that be late.
type attempting struct {
	ctx    context.Context //nolint:containedctx // the handler's
	cancel context.CancelCauseFunc
	done   chan attemptResult // capacity 1
	state  atomic.Int32
}

const (
	attemptRuns int32 = iota
	attemptReturned
	attemptLeft // the task does not wait any more
)

// stuckAfter is how long after the end of its context a handler may take to return.
const stuckAfter = 2 * time.Second

// attempt makes one. A slot is taken, and is given back when the handler returns, however
// long that takes.
func (e *performing) attempt(h *effectHere) {
	e.takeIn()
	if now, _ := e.here(e.task.Effect); e.gaveUp || now == nil || !e.partition.lease.valid() {
		<-h.slots
		sleep(e.ctx, noteMinPause)
		return
	}
	e.task.Begin(e.cfg.Clock.Now())
	err := e.note(e.ctx, e.task.Started.Add(actor.EffectGrace))
	if err == nil && !e.partition.lease.valid() {
		err = errLeaseLapsed
	}
	if err != nil || e.ctx.Err() != nil {
		<-h.slots
		e.task.Started, e.dirty = time.Time{}, true
		if errors.Is(err, errFenced) {
			e.cancel(errFenced)
		} else {
			sleep(e.ctx, noteMinPause)
		}
		return
	}
	e.show(EffectRunning)
	a := e.begin(h)
	defer a.cancel(nil)
	res, returned := e.watch(a)
	if !returned && !a.state.CompareAndSwap(attemptRuns, attemptLeft) {
		res, returned = <-a.done, true // in this moment
	}
	e.conclude(h, a, res, returned)
}

// begin starts the handler.
func (e *performing) begin(h *effectHere) *attempting {
	policy := h.Policy()
	a := &attempting{done: make(chan attemptResult, 1)}
	bounded, stop := context.WithTimeoutCause(e.ctx, policy.Timeout, errAttemptTimeout)
	ctx, cancel := context.WithCancelCause(bounded)
	a.ctx, a.cancel = ctx, func(cause error) {
		cancel(cause)
		stop()
	}
	deadline, _ := ctx.Deadline()
	call := actor.Call{
		Key: e.id.Key(), Attempt: e.task.Attempt, Effect: e.task.Effect, Address: e.id.Address,
		Asked: e.task.Asked, Deadline: deadline, Metadata: e.id.Metadata,
	}
	returned := make(chan struct{})
	e.mu.Lock()
	e.running[e.id.Command] = returned
	e.mu.Unlock()
	task, id := e.task, e.id
	e.handlers.Go(func() {
		res := callHandler(ctx, h, call, task.Input)
		<-h.slots
		waitedFor := a.state.CompareAndSwap(attemptRuns, attemptReturned)
		if waitedFor {
			a.done <- res
		}
		sent := waitedFor || res.err != nil || e.handLate(id, res.result)
		e.mu.Lock()
		delete(e.running, id.Command)
		delete(e.stuck, id.Command)
		e.mu.Unlock()
		close(returned)
		if !sent {
			e.sendLate(task, id, res.result)
		}
	})
	return a
}

func callHandler(ctx context.Context, h *effectHere, call actor.Call, input []byte) (res attemptResult) {
	res.err = errors.New("the handler has ended its goroutine")
	defer func() {
		if v := recover(); v != nil {
			res = attemptResult{err: fmt.Errorf("%w: %v", errHandlerPanicked, v), stack: debug.Stack()}
		}
	}()
	result, err := h.Perform(ctx, call, input)
	return attemptResult{result: result, err: err}
}

// errHandlerPanicked is all that an aggregate hears of a panic: its text is for the log.
var errHandlerPanicked = errors.New("the handler panicked")

// watch waits until the handler returns, or does not although its context has ended.
// Meanwhile it keeps the note from coming due, and the lease in sight.
func (e *performing) watch(a *attempting) (res attemptResult, returned bool) {
	tick := time.NewTicker(min(max(e.cfg.Lease/6, 20*time.Millisecond), time.Second))
	defer tick.Stop()
	var ended time.Time
	for {
		select {
		case res = <-a.done:
			return res, true
		case <-e.poked:
			if e.takeIn(); e.gaveUp {
				a.cancel(errGivenUp)
			}
		case <-tick.C:
		}
		switch now := e.cfg.Clock.Now(); {
		case a.ctx.Err() == nil && !e.partition.lease.valid():
			a.cancel(errLeaseLapsed)
		case a.ctx.Err() != nil && ended.IsZero():
			ended = now
		case a.ctx.Err() != nil && now.Sub(ended) >= e.patience():
			return attemptResult{}, false
		case e.ctx.Err() == nil && e.armed.Sub(now) < noteSoon:
			if err := e.note(e.ctx, now.Add(actor.EffectGrace)); errors.Is(err, errFenced) {
				e.cancel(errFenced)
			}
		}
	}
}

// patience is for how long a handler is waited for whose context has ended: less if
// another node is to go on.
func (e *performing) patience() time.Duration {
	if e.ctx.Err() != nil {
		return stuckAfter / 4
	}
	return stuckAfter
}

// conclude notes what an attempt has come to.
func (e *performing) conclude(h *effectHere, a *attempting, res attemptResult, returned bool) {
	cause := context.Cause(a.ctx)
	took := e.cfg.Clock.Now().Sub(e.task.Started)
	outcome := EffectFailed
	switch {
	case returned && res.err == nil:
		outcome = EffectSucceeded
		e.task.Started, e.task.Cut = time.Time{}, 0
		e.task.Succeed(res.result)
		if e.ctx.Err() != nil {
			e.sendLate(e.task, e.id, res.result)
		}
	case e.ctx.Err() != nil || errors.Is(cause, errLeaseLapsed):
		outcome = EffectCutOff
		e.task.Started, e.dirty = time.Time{}, true // the next owner, or this one, makes another
	case errors.Is(cause, errGivenUp):
		outcome = EffectCutOff
		e.task.Started = time.Time{}
	case !returned:
		outcome = EffectTimedOut
		e.isStuck()
		e.failed(timedOut(h, nil))
	case errors.Is(cause, errAttemptTimeout) && !actor.IsFinal(res.err):
		outcome = EffectTimedOut
		e.failed(timedOut(h, res.err))
	default:
		e.logPanic(&res)
		e.failed(res.err)
	}
	if f := e.cfg.Listener.EffectAttempted; f != nil {
		f(e.task.Effect, outcome, took)
	}
}

func timedOut(h *effectHere, err error) error {
	if err == nil {
		return fmt.Errorf("%w after %v", errAttemptTimeout, h.Policy().Timeout)
	}
	return fmt.Errorf("%w after %v: %w", errAttemptTimeout, h.Policy().Timeout, err)
}

// isStuck notes that a handler ignores its context. It keeps its slot, and there is no
// other attempt of the same effect here before it returns.
func (e *performing) isStuck() {
	e.mu.Lock()
	if e.running[e.id.Command] != nil {
		e.stuck[e.id.Command] = e.task.Effect
	}
	e.mu.Unlock()
	e.cfg.Logger.ErrorContext(e.ctx, "the handler of an effect does not return although its context has ended: it keeps its place among those that run at once",
		"effect", e.task.Effect, "aggregate", e.id.Address.String(), "key", e.id.Key(), "attempt", e.task.Attempt)
}

func (e *performing) logPanic(res *attemptResult) {
	if !errors.Is(res.err, errHandlerPanicked) {
		return
	}
	e.cfg.Logger.ErrorContext(e.ctx, "the handler of an effect panicked", "effect", e.task.Effect, "aggregate", e.id.Address.String(),
		"key", e.id.Key(), "attempt", e.task.Attempt, "panic", res.err.Error(), "stack", string(res.stack))
	res.err = errHandlerPanicked
}

// failed notes that an attempt has failed.
func (e *performing) failed(err error) {
	policy := actor.EffectPolicy{}.WithDefaults()
	if h := e.known(); h != nil {
		policy = h.Policy()
	}
	e.dirty = true
	if reason := e.task.Fail(e.id, err, policy, e.cfg.Clock.Now(), rand.Float64()); reason != "" {
		e.saidGivenUp(reason)
		return
	}
	e.cfg.Logger.DebugContext(e.ctx, "an attempt of an effect has failed", "effect", e.task.Effect, "aggregate", e.id.Address.String(),
		"key", e.id.Key(), "attempt", e.task.Attempt, "error", e.task.Error)
}

// known is [performers.here] also for an effect that is paused.
func (e *performing) known() *effectHere {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.effects[e.task.Effect]
}

func (e *performing) saidGivenUp(reason actor.GiveUpReason) {
	e.cfg.Logger.WarnContext(e.ctx, "an effect was given up", "effect", e.task.Effect, "aggregate", e.id.Address.String(),
		"key", e.id.Key(), "attempts", e.task.Attempt, "reason", string(reason), "error", e.task.Error)
	if f := e.cfg.Listener.EffectGivenUp; f != nil {
		f(e.task.Effect, reason)
	}
}

// handLate gives the result of a handler that was not waited for to the task of its effect,
// if there is one.
func (r *performers) handLate(id actor.EffectID, result []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.tasks[id.Address][id.Timer]
	if e == nil || e.ctx.Err() != nil {
		return false
	}
	e.late = result
	e.poke()
	return true
}

// lateTimeout bounds the sending of a result that came late.
const lateTimeout = 5 * time.Second

// sendLate sends the result of a handler whose task has ended: the world has answered.
// Should another attempt have answered as well, the first that is decided counts.
func (r *performers) sendLate(task actor.EffectTask, id actor.EffectID, result []byte) {
	task.Succeed(result)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), lateTimeout)
	defer cancel()
	if err := r.timers.Send(ctx, task.Conclusion(id, r.cfg.Clock.Now())); err != nil {
		r.cfg.Logger.WarnContext(ctx, "the result of an effect that came late was not sent", "effect", task.Effect,
			"aggregate", id.Address.String(), "key", id.Key(), "error", err)
	}
}
