package runtime

import (
	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// An outcome without events, such as a rejection, is recorded with the aggregate's
// next commit. This file is about the time until then: the outcomes must come into
// that commit, also when the state is thrown away or passivated meanwhile.
//
// They are not told before they are saved, so that the next owner has them if the
// node dies first, or leaves the partition: see carry.

// Bounds of one activation's outcomes that wait for its next commit. The oldest
// are given up first: a repetition of such a command is decided anew.
const (
	unrecordedMax      = 256
	unrecordedMaxBytes = 256 << 10
)

// keepUnrecorded replaces the outcomes that wait for the next commit.
func (a *activation) keepUnrecorded(outcomes []store.Outcome) {
	a.unrecorded, a.unrecBytes = outcomes, outcomesBytes(outcomes)
	a.boundUnrecorded()
}

// boundUnrecorded gives up the oldest outcomes above the bounds. Without the one
// on bytes, refusals alone could make the next commit larger than a store takes.
func (a *activation) boundUnrecorded() {
	drop := 0
	for len(a.unrecorded)-drop > unrecordedMax || a.unrecBytes > unrecordedMaxBytes {
		a.unrecBytes -= outcomeBytes(&a.unrecorded[drop])
		drop++
	}
	if drop > 0 {
		a.unrecorded = append(a.unrecorded[:0], a.unrecorded[drop:]...)
	}
}

// outcomesWithout returns the outcomes whose command is not in ids: those in ids
// are decided again and were never told. (A repetition that waits for the batch
// does not count: the outcome that it was to be told may have been told before,
// and must stay.)
func outcomesWithout(outcomes []store.Outcome, ids map[string]bool) []store.Outcome {
	var kept []store.Outcome
	for _, o := range outcomes {
		if !ids[o.CommandID] {
			kept = append(kept, o)
		}
	}
	return kept
}

// restoreUnrecorded remembers outcomes again that no commit holds yet.
func (a *activation) restoreUnrecorded() {
	known := make(map[string]bool, len(a.unrecorded))
	for i := range a.unrecorded {
		known[a.unrecorded[i].CommandID] = true
	}
	all := append(outcomesWithout(a.partition.carriedFor(a.address), known), a.unrecorded...)
	var kept []store.Outcome
	for _, o := range all {
		if out, ok := a.ring.find(actor.CommandID(o.CommandID)); ok {
			a.tellAsRecorded(o.CommandID, out)
			continue
		}
		if out, err := decodeOutcome(o.Reply, o.Rejection, a.instance.Version()); err == nil {
			a.ring.add(actor.CommandID(o.CommandID), o.Keyed, out, a.partition.cfg.RingMax)
			kept = append(kept, o)
		}
	}
	a.keepUnrecorded(kept)
}

// tellAsRecorded forgets an outcome that a commit turns out to hold: one whose writer
// was not told any more that it is durable. What the commit says is what is told.
func (a *activation) tellAsRecorded(id string, o actor.Outcome) {
	for _, ans := range a.partition.forgetCarried(a.address, id) {
		ans.outcome = o
		a.partition.gate.release(ans)
		a.partition.finish(ans.delivery)
	}
}

// Bounds of what a partition keeps for aggregates that are not in memory.
const (
	waitingMax      = 1024
	waitingMaxBytes = 256 << 10
)

// waitingOutcomes are the unrecorded outcomes of aggregates that were passivated.
// The aggregates that were passivated first are given up first. The zero value is
// empty. It is not safe for concurrent use.
type waitingOutcomes struct {
	byAddress map[actor.Address][]store.Outcome
	order     []actor.Address // as they came; those that were taken since are passed over
	count     int
	bytes     int
}

// put keeps the outcomes of an aggregate that has none here.
func (w *waitingOutcomes) put(a actor.Address, outcomes []store.Outcome) {
	if len(outcomes) == 0 {
		return
	}
	if w.byAddress == nil {
		w.byAddress = map[actor.Address][]store.Outcome{}
	}
	w.byAddress[a] = outcomes
	w.order = append(w.order, a)
	w.count += len(outcomes)
	w.bytes += outcomesBytes(outcomes)
	for len(w.order) > 1 && (w.count > waitingMax || w.bytes > waitingMaxBytes || len(w.order) > 2*waitingMax) {
		w.take(w.order[0])
		w.order = w.order[1:]
	}
}

// take returns what is kept for an aggregate, and forgets it.
func (w *waitingOutcomes) take(a actor.Address) []store.Outcome {
	outcomes, ok := w.byAddress[a]
	if !ok {
		return nil
	}
	delete(w.byAddress, a)
	w.count -= len(outcomes)
	w.bytes -= outcomesBytes(outcomes)
	if w.count == 0 {
		w.order = nil
	}
	return outcomes
}

func outcomesBytes(outcomes []store.Outcome) int {
	n := 0
	for i := range outcomes {
		n += outcomeBytes(&outcomes[i])
	}
	return n
}
