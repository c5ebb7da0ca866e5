package runtime

import (
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// EventListener is told what happens in a node. Every function is optional,
// must be fast and safe for concurrent use, and must not call the node.
type EventListener struct {
	// Decided: a message got its outcome. Latency is from its arrival at the
	// node to the release of the answer. The message must neither be changed nor kept.
	Decided func(m *actor.Message, code actor.Code, latency time.Duration)
	// Flushed: an append of so many commits took so long; failed of them did not succeed.
	Flushed func(commits, failed int, took time.Duration)
	// Loaded: an aggregate was brought into memory by replaying so many events.
	Loaded func(kind actor.Kind, events int, took time.Duration)
	// Discarded: an activation's state was thrown away.
	Discarded func(kind actor.Kind, reason DiscardReason)
	// Passivated: an idle activation was given up.
	Passivated func(kind actor.Kind, reason PassivationReason)
	// Overloaded: a message was refused because of a limit.
	Overloaded func(kind actor.Kind, limit string)
	// Parked: a command was parked.
	Parked func(kind actor.Kind)
	// TimerFired: a timer that was set met its owner so long after its time, less
	// than 0 when it came early and has to wait. Each time for one that waits.
	TimerFired func(kind actor.Kind, late time.Duration)
	// Overdue: a saga has not ended within its deadline.
	Overdue func(kind actor.Kind)
	// EffectAttempted: an attempt of an effect has ended, after so long.
	EffectAttempted func(effect string, outcome EffectOutcome, took time.Duration)
	// EffectGivenUp: no more attempts are made of what was asked for.
	EffectGivenUp func(effect string, reason actor.GiveUpReason)
	// SnapshotSaved: a snapshot was written or, with an error, was not; without bytes,
	// it could not be taken, or the state would not have come back from it.
	SnapshotSaved func(kind actor.Kind, bytes int, err error)
	// PartitionServed and PartitionLeft: a partition came to this node, or left it.
	PartitionServed func(p actor.Partition)
	PartitionLeft   func(p actor.Partition, cause error)
	// Confirmed: the store was asked whether the session lives, for so many answers;
	// with an error, it did not say so. Only with AnswersVerified.
	Confirmed func(answers int, took time.Duration, err error)
	// Relayed: so many events were appended to the event stream; lag is the age of the
	// newest of them.
	Relayed func(events int, lag, took time.Duration)
	// RelayInterrupted: the relay begins anew at the end of the event stream.
	RelayInterrupted func(cause error)
	// Renewed: a renewal of the session ended.
	Renewed func(took time.Duration, err error)
}

// DiscardReason says why a state was thrown away.
type DiscardReason string

// The reasons.
const (
	DiscardConflict DiscardReason = "conflict"
	DiscardUnknown  DiscardReason = "outcome_unknown"
	DiscardTooLarge DiscardReason = "too_large"
	DiscardPanic    DiscardReason = "panic"
	DiscardTainted  DiscardReason = "rejected_after_raise"
)

// PassivationReason says why an activation was given up.
type PassivationReason string

// The reasons.
const (
	PassivatedIdle   PassivationReason = "idle"
	PassivatedBudget PassivationReason = "budget"
)

// EffectOutcome says how an attempt of an effect has ended.
type EffectOutcome string

// The outcomes.
const (
	EffectSucceeded EffectOutcome = "succeeded"
	EffectFailed    EffectOutcome = "failed"
	EffectTimedOut  EffectOutcome = "timed_out"
	EffectCutOff    EffectOutcome = "cut_off" // by a hand-over, the loss of the lease, the end of the node, or an operator
)
