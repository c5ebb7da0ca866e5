package effort

import (
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Goal is what a call is after.
type Goal uint8

// The goals.
const (
	GoalOutcome Goal = iota // of a command on the durable lane
	GoalStored              // that the command stream has the command
	GoalDirect              // the outcome of a command on the direct lane
	GoalRead                // the answer to a query or a read of state
)

// Patience is how long a call waits for what before it tries again. Waits double
// from try to try up to their maximum.
type Patience struct {
	Ack        Backoff       // for the stream to say that it has stored the command
	Outcome    Backoff       // for the outcome of a stored command
	Answer     Backoff       // for the answer to a direct message
	NoStream   Backoff       // before the next try when no stream took the command
	NoOwner    Backoff       // before the next try when no owner was there
	Reconnect  time.Duration // at most, before the next try after a lost connection
	MaxExposed int           // tries that may have reached an owner
}

// Backoff is a wait that doubles from First on up to Most.
type Backoff struct{ First, Most time.Duration }

func (b Backoff) wait(n int) time.Duration { return min(b.First<<min(n, 16), b.Most) }

// DefaultPatience asks an owner who is silent seldom: he may have a slow store
// behind him, and more messages make that worse.
func DefaultPatience() Patience {
	return Patience{
		Ack:        Backoff{time.Second, 4 * time.Second},
		Outcome:    Backoff{2 * time.Second, 8 * time.Second},
		Answer:     Backoff{time.Second, 8 * time.Second},
		NoStream:   Backoff{100 * time.Millisecond, time.Second},
		NoOwner:    Backoff{20 * time.Millisecond, 250 * time.Millisecond},
		Reconnect:  300 * time.Millisecond,
		MaxExposed: 16,
	}
}

// Effort decides what to do for one message: when to try, what an answer to
// which try means, and what the caller is told. It does no I/O and reads no clock.
//
// A try is in doubt from the moment it is made until it is known that nobody
// executes it: nobody received it, the stream refused it, or its owner said so (one
// who is not its owner any more cannot).
// As long as any try is in doubt, the only final outcomes are recorded ones, since
// "not executed" is then known of the other tries alone.
type Effort struct {
	goal     Goal
	patience Patience
	hold     time.Duration // for which an owner may hold the answer back
	jitter   func(time.Duration) time.Duration

	tries   uint32        // made; the last one's number
	next    time.Time     // of the next try
	base    int           // attempt of the caller's
	exposed int           // tries that may have reached an owner
	doubts  []uint32      // tries in doubt
	untold  bool          // in doubt for ever: the caller's own earlier attempts
	waits   int           // for an acknowledgement or an answer
	stored  int           // waits for an outcome
	pauses  int           // since something was reached
	lost    time.Time     // when messages may have been lost, the last time
	reason  actor.Outcome // why it came to nothing so far
}

// Held notes that owners hold the answer back for that long, and are not silent meanwhile.
func (e *Effort) Held(d time.Duration) { e.hold = d }

// New returns an effort for a message that its caller counts as his attempt-th, 0
// and 1 being the first. jitter varies the waits.
func New(g Goal, attempt int, p Patience, jitter func(time.Duration) time.Duration) *Effort {
	attempt = max(attempt, 1)
	return &Effort{goal: g, patience: p, jitter: jitter, base: attempt, untold: attempt > 1, doubts: make([]uint32, 0, 4)}
}

// Due reports whether it is time to try.
func (e *Effort) Due(now time.Time) bool {
	return !now.Before(e.next) && e.exposed < e.patience.MaxExposed
}

// WakeAt returns the time at which something is to be done, the deadline at most.
func (e *Effort) WakeAt(deadline time.Time) time.Time {
	if e.exposed >= e.patience.MaxExposed || deadline.Before(e.next) {
		return deadline
	}
	return e.next
}

// Begin starts a try. It returns its number, and the attempt to tell the owner.
func (e *Effort) Begin(now time.Time) (try uint32, attempt int) {
	e.tries++
	attempt = e.base + e.exposed
	e.exposed++
	e.doubts = append(e.doubts, e.tries)
	wait := e.patience.Answer
	if e.durable() {
		wait = e.patience.Ack
	}
	e.next = now.Add(e.hold + e.jitter(wait.wait(e.waits)))
	e.waits++
	return e.tries, attempt
}

// Acknowledged notes that the stream has stored a try. final is true when that
// is all the caller waits for. now is when its word came, which may be a while ago:
// it does not put off a try for what was lost since then.
func (e *Effort) Acknowledged(now time.Time) (o actor.Outcome, final bool) {
	if e.goal == GoalStored {
		return actor.Outcome{}, true
	}
	e.pauses = 0
	if !now.Before(e.lost) {
		e.next = now.Add(e.jitter(e.patience.Outcome.wait(e.stored)))
	}
	e.stored++
	return actor.Outcome{}, false
}

// Unreached notes that a try has reached nobody, and will not.
func (e *Effort) Unreached(try uint32, now time.Time, why actor.Outcome) {
	if !e.settle(try) {
		return
	}
	e.exposed--
	e.waits = max(e.waits-1, 0)
	e.reason = why
	e.delay(try, now)
}

// Refused notes that the stream has not taken a try for a reason that lasts.
func (e *Effort) Refused(try uint32, now time.Time, why actor.Outcome) (o actor.Outcome, final bool) {
	e.Unreached(try, now, why)
	return why, !e.inDoubt()
}

// Answered notes what an owner says about a try.
//
// That a node is not the owner any more says nothing about the next one: a direct
// message reaches everybody who subscribes. Say a node is declared dead while it is
// paused, and another takes its partition. The node goes on, gets the message as
// the new owner does, finds out that its session is lost, and gives back what it
// has not looked at. The new owner executes the message meanwhile, and is slow to
// say so. So the try stays in doubt, and another one is made soon.
func (e *Effort) Answered(try uint32, now time.Time, o actor.Outcome) (final bool) {
	switch {
	case o.Code.Recorded(), o.Code == actor.CodeUnknownOutcome, o.Code == actor.CodeKeyReused:
		return true
	case o.Code == actor.CodeNoOwner && e.goal == GoalOutcome:
		return false // the stream keeps it for the next owner
	case o.Code == actor.CodeNoOwner && e.goal == GoalRead:
		e.Unreached(try, now, o)
		return false
	case o.Code == actor.CodeNoOwner:
		e.reason = o
		e.delay(try, now)
		return false
	case e.goal == GoalRead:
		return true
	}
	e.settle(try)
	e.reason = o
	if !e.inDoubt() {
		return true
	}
	e.delay(try, now)
	return false
}

// Reconnected notes that messages may have been lost: the next try is soon, and
// not at the same moment in all calls.
func (e *Effort) Reconnected(now time.Time) {
	e.lost = now
	soon := now.Add(e.jitter(e.patience.Reconnect))
	if soon.Before(e.next) {
		e.next = soon
	}
}

// OwnerChanged notes that the partition has a new owner. The former one has
// answered, or does so no more: what was sent to it while it went may be lost. So
// the next try is now, with the same id, which the new owner knows if the former
// one has executed it.
func (e *Effort) OwnerChanged(now time.Time) {
	if now.Before(e.next) {
		e.next = now
	}
}

// GiveUp returns what can be said without another answer.
func (e *Effort) GiveUp(why string) actor.Outcome {
	switch {
	case e.goal != GoalRead && e.inDoubt():
		return actor.Failure(actor.CodeUnknownOutcome, why)
	case e.reason.Code != actor.CodeOK:
		return e.reason
	default:
		return actor.Failure(actor.CodeNoOwner, why)
	}
}

// Goal returns what the call is after.
func (e *Effort) Goal() Goal { return e.goal }

// Disturbed keeps what went wrong with a try of which nothing else is known.
func (e *Effort) Disturbed(why actor.Outcome) { e.reason = why }

func (e *Effort) durable() bool { return e.goal == GoalOutcome || e.goal == GoalStored }

func (e *Effort) inDoubt() bool { return e.untold || len(e.doubts) > 0 }

// settle takes a try out of doubt. It reports false for one that was not in doubt.
func (e *Effort) settle(try uint32) bool {
	i := slices.Index(e.doubts, try)
	if i < 0 {
		return false
	}
	e.doubts = slices.Delete(e.doubts, i, i+1)
	return true
}

// delay puts off the next try when the last one has come to nothing.
func (e *Effort) delay(try uint32, now time.Time) {
	if try != e.tries {
		return
	}
	wait := e.patience.NoOwner
	if e.durable() {
		wait = e.patience.NoStream
	}
	e.next = now.Add(e.jitter(wait.wait(e.pauses)))
	e.pauses++
}
