package natsbus

import (
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// goal is what a call is after.
type goal uint8

const (
	goalOutcome goal = iota // of a command on the durable lane
	goalStored              // that the command stream has the command
	goalDirect              // the outcome of a command on the direct lane
	goalRead                // the answer to a query or a read of state
)

// patience is how long a call waits for what before it tries again. Waits double
// from try to try up to their maximum.
type patience struct {
	ack        backoff // for the stream to say that it has stored the command
	outcome    backoff // for the outcome of a stored command
	answer     backoff // for the answer to a direct message
	noStream   backoff // before the next try when no stream took the command
	noOwner    backoff // before the next try when no owner was there
	reconnect  time.Duration
	maxExposed int // tries that may have reached an owner
}

type backoff struct{ first, most time.Duration }

func (b backoff) wait(n int) time.Duration { return min(b.first<<min(n, 16), b.most) }

// defaultPatience asks an owner who is silent seldom: he may have a slow store
// behind him, and more messages make that worse.
func defaultPatience() patience {
	return patience{
		ack:        backoff{time.Second, 4 * time.Second},
		outcome:    backoff{2 * time.Second, 8 * time.Second},
		answer:     backoff{time.Second, 8 * time.Second},
		noStream:   backoff{100 * time.Millisecond, time.Second},
		noOwner:    backoff{20 * time.Millisecond, 250 * time.Millisecond},
		reconnect:  300 * time.Millisecond,
		maxExposed: 16,
	}
}

// effort decides what to do for one message: when to try, what an answer to
// which try means, and what the caller is told. It does no I/O and reads no clock.
//
// A try is in doubt from the moment it is made until it is known that nobody
// executes it: nobody received it, the stream refused it, or its owner said so.
// As long as any try is in doubt, the only final outcomes are recorded ones, since
// "not executed" is then known of the other tries alone.
type effort struct {
	goal     goal
	patience patience
	jitter   func(time.Duration) time.Duration

	tries    uint32    // made; the last one's number
	next     time.Time // of the next try
	base     int       // attempt of the caller's
	exposed  int       // tries that may have reached an owner
	doubts   []uint32  // tries in doubt
	untold   bool      // in doubt for ever: the caller's own earlier attempts
	waits    int       // for an acknowledgement or an answer
	stored   int       // waits for an outcome
	pauses   int       // since something was reached
	refusals actor.Outcome
}

func newEffort(g goal, attempt int, p patience, jitter func(time.Duration) time.Duration) *effort {
	attempt = max(attempt, 1)
	return &effort{goal: g, patience: p, jitter: jitter, base: attempt, untold: attempt > 1, doubts: make([]uint32, 0, 4)}
}

// due reports whether it is time to try.
func (e *effort) due(now time.Time) bool {
	return !now.Before(e.next) && e.exposed < e.patience.maxExposed
}

// wakeAt returns the time at which something is to be done, the deadline at most.
func (e *effort) wakeAt(deadline time.Time) time.Time {
	if e.exposed >= e.patience.maxExposed || deadline.Before(e.next) {
		return deadline
	}
	return e.next
}

// begin starts a try. It returns its number, and the attempt to tell the owner.
func (e *effort) begin(now time.Time) (try uint32, attempt int) {
	e.tries++
	attempt = e.base + e.exposed
	e.exposed++
	e.doubts = append(e.doubts, e.tries)
	wait := e.patience.answer
	if e.goal == goalOutcome || e.goal == goalStored {
		wait = e.patience.ack
	}
	e.next = now.Add(e.jitter(wait.wait(e.waits)))
	e.waits++
	return e.tries, attempt
}

// acknowledged notes that the stream has stored a try. final is true when that
// is all the caller waits for.
func (e *effort) acknowledged(now time.Time) (o actor.Outcome, final bool) {
	if e.goal == goalStored {
		return actor.Outcome{}, true
	}
	e.pauses = 0
	e.next = now.Add(e.jitter(e.patience.outcome.wait(e.stored)))
	e.stored++
	return actor.Outcome{}, false
}

// unreached notes that a try has reached nobody, and will not.
func (e *effort) unreached(try uint32, now time.Time, why actor.Outcome) {
	if !e.settle(try) {
		return
	}
	e.exposed--
	e.waits = max(e.waits-1, 0)
	e.refusals = why
	e.delay(try, now)
}

// refused notes that the stream has not taken a try for a reason that lasts.
func (e *effort) refused(try uint32, now time.Time, why actor.Outcome) (o actor.Outcome, final bool) {
	e.unreached(try, now, why)
	return why, !e.inDoubt()
}

// answered notes what an owner says about a try.
func (e *effort) answered(try uint32, now time.Time, o actor.Outcome) (final bool) {
	switch {
	case o.Code.Recorded(), o.Code == actor.CodeUnknownOutcome:
		return true
	case o.Code == actor.CodeNoOwner && e.goal == goalOutcome:
		return false // the stream keeps it for the next owner
	case o.Code == actor.CodeNoOwner:
		e.unreached(try, now, o)
		return false
	case e.goal == goalRead:
		return true
	}
	e.settle(try)
	e.refusals = o
	if !e.inDoubt() {
		return true
	}
	e.delay(try, now)
	return false
}

// reconnected notes that messages may have been lost: the next try is soon, and
// not at the same moment in all calls.
func (e *effort) reconnected(now time.Time) {
	soon := now.Add(e.jitter(e.patience.reconnect))
	if soon.Before(e.next) {
		e.next = soon
	}
}

// giveUp returns what can be said without another answer.
func (e *effort) giveUp(why string) actor.Outcome {
	switch {
	case e.goal != goalRead && e.inDoubt():
		return actor.Failure(actor.CodeUnknownOutcome, why)
	case e.refusals.Code != actor.CodeOK:
		return e.refusals
	default:
		return actor.Failure(actor.CodeNoOwner, why)
	}
}

func (e *effort) inDoubt() bool { return e.untold || len(e.doubts) > 0 }

// settle takes a try out of doubt. It reports false for one that was not in doubt.
func (e *effort) settle(try uint32) bool {
	i := slices.Index(e.doubts, try)
	if i < 0 {
		return false
	}
	e.doubts = slices.Delete(e.doubts, i, i+1)
	return true
}

// delay puts off the next try when the last one has come to nothing.
func (e *effort) delay(try uint32, now time.Time) {
	if try != e.tries {
		return
	}
	wait := e.patience.noOwner
	if e.goal == goalOutcome || e.goal == goalStored {
		wait = e.patience.noStream
	}
	e.next = now.Add(e.jitter(wait.wait(e.pauses)))
	e.pauses++
}
