package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// handle brings one message to its outcome, or to the end of what can be done
// for it at present.
func (a *activation) handle(d *delivery) {
	if a.instance == nil {
		if err := a.load(); err != nil {
			a.cannotLoad(d, err)
			return
		}
	}
	now := a.partition.cfg.Clock.Now()
	if d.Message.Type == actor.TypeCommand {
		d.indexed = indexed(d.Message.ID, now)
		o, known, err := a.recall(d)
		if errors.Is(err, errBehind) {
			a.catchUp(d)
			return
		}
		if err != nil {
			a.cannotLoad(d, err)
			return
		}
		if known {
			a.passed(d)
			o.Replayed = o.Code.Recorded()
			a.stand(answer{delivery: d, outcome: o, recalled: true})
			return
		}
		if d.Message.Timer != "" && !a.firing(d) {
			return
		}
		if d.refuse != nil {
			a.accept(d, a.instance.Refuse(&d.Message, *d.refuse))
			return
		}
	}
	if a.expired(d) {
		a.passed(d)
		a.refuseExpired(d)
		return
	}
	if d.decided == 0 {
		d.decided = now.UnixMicro()
	}
	if a.holds(d) {
		return
	}
	dec := a.instance.DecideAt(&d.Message, time.UnixMicro(d.decided))
	if d.rare != nil && d.rare.executed != nil {
		d.rare.executed()
	}
	a.accept(d, dec)
}

// recall finds the outcome of a command that was decided before.
func (a *activation) recall(d *delivery) (actor.Outcome, bool, error) {
	id := d.Message.ID
	if _, set := a.instance.Fires(&d.Message); set {
		return actor.Outcome{}, false, nil // whatever its age: what has fired is not set any more
	}
	if e := a.ring.entry(id); e != nil {
		if e.of.differs(a.behavior, &d.Message) {
			return a.keyReused(d), true, nil
		}
		return e.outcome, true, nil
	}
	if d.Formerly != "" {
		if o, known, err := a.recallFormer(d.Formerly); known || err != nil {
			return o, known, err
		}
	}
	decided := a.position.Covers(a.partition.place(d))
	where := a.ring.forgotten.where(id)
	if !decided && where == lookNowhere {
		return actor.Outcome{}, false, nil
	}
	rec, found := a.undurable(string(id))
	var err error
	if !found {
		rec, found, err = a.findOutcome(string(id), where == lookInIndex)
	}
	switch {
	case err != nil:
		return actor.Outcome{}, false, err
	case found && actor.Version(rec.Version) > a.instance.Version():
		return actor.Outcome{}, false, errBehind
	case found && commandOf(&rec.Outcome).differs(a.behavior, &d.Message):
		return a.keyReused(d), true, nil
	case found:
		o, err := decodeOutcome(rec.Outcome.Reply, rec.Outcome.Rejection, actor.Version(rec.Told()))
		return o, err == nil, err
	case decided:
		// It raised nothing, and what it came to was not kept. It must not be
		// decided again: its caller may have been told.
		return actor.Failure(actor.CodeUnknownOutcome, "decided before, without effect; the answer was not kept"), true, nil
	default:
		return actor.Outcome{}, false, nil
	}
}

// recallFormer finds the outcome of a command of the runtime that an earlier build has
// decided, under the id that it had there: an event that was routed before a roll-out
// is routed again behind it.
func (a *activation) recallFormer(id actor.CommandID) (actor.Outcome, bool, error) {
	if o, ok := a.ring.find(id); ok {
		return o, true, nil
	}
	rec, found := a.undurable(string(id))
	if !found && a.ring.forgotten.where(id) != lookInAll {
		return actor.Outcome{}, false, nil // those of earlier builds are in no index
	}
	var err error
	if !found {
		rec, found, err = a.findOutcome(string(id), false)
	}
	switch {
	case err != nil || !found:
		return actor.Outcome{}, false, err
	case actor.Version(rec.Version) > a.instance.Version():
		return actor.Outcome{}, false, errBehind
	}
	o, err := decodeOutcome(rec.Outcome.Reply, rec.Outcome.Rejection, actor.Version(rec.Told()))
	return o, err == nil, err
}

// errBehind reports that the store has more of the aggregate than the activation.
var errBehind = errors.New("the state is behind the store")

// catchUp throws the state away, since the store has an outcome from beyond it, and
// takes the command up again on the next one.
//
//	former owner, or this one before it left the partition     this activation
//	writes X as version 18; the write is slow, its fate unknown
//	                                                           loads version 17
//	the write arrives: the store has version 18
//	                                                           X comes again, and is
//	                                                           looked up: version 18
//
// Were X's caller told so now, a read after that would still show version 17. What
// was decided on that state and is on its way meets a conflict.
func (a *activation) catchUp(d *delivery) {
	a.failures++ // the load waits a little: it may not see yet what was found
	a.discard(DiscardConflict)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mailbox.pushFront([]*delivery{d})
}

// undurable finds the outcome of a command that was decided but is not in the
// store yet, nor, when more was decided since than the ring holds, in the ring.
func (a *activation) undurable(id string) (store.Recorded, bool) {
	for _, b := range []*batch{a.gathering, a.inFlight} {
		if b == nil {
			continue
		}
		if rec, ok := b.find(id); ok {
			return rec, true
		}
	}
	return store.Recorded{}, false
}

// accept makes a decision part of what is to be written, or answers it.
func (a *activation) accept(d *delivery, dec actor.Decision) {
	switch {
	case dec.Panic != nil:
		a.panicked(d, dec)
		return
	case d.Message.Type != actor.TypeCommand:
		a.stand(answer{delivery: d, outcome: dec.Outcome})
		return
	}
	if a.unserved(d, &dec) {
		return
	}
	if size := decisionSize(&dec); size > a.partition.cfg.EventBytes {
		dec = a.instance.Overrule(&d.Message, actor.Failure(actor.CodeTooLarge,
			fmt.Sprintf("events, reply and what is sent take %d bytes, the limit is %d", size, a.partition.cfg.EventBytes)))
	}
	a.passed(d)
	records := len(dec.Events) > 0 || dec.Outcome.Code.Recorded() && !dec.Moot && !dec.Invalid
	if records && len(dec.Events) == 0 && a.gathering == nil {
		dec = a.instance.Record(dec)
	}
	ans := answer{delivery: d, outcome: dec.Outcome}
	switch {
	case records:
		of := a.gather(ans, &dec)
		a.ring.put(ringEntry{id: d.Message.ID, outcome: dec.Outcome, indexed: d.indexed, of: of}, a.partition.cfg.RingMax)
	case d.Sequence > 0 && (ofBuild(dec.Outcome.Code) || dec.Invalid):
		a.partition.concludeWhenSaved(ans)
	default:
		a.stand(ans)
	}
	if dec.Tainted {
		a.discard(DiscardTainted)
	}
}

func decisionSize(dec *actor.Decision) int {
	n := len(dec.Outcome.Reply)
	for i := range dec.Events {
		n += len(dec.Events[i].Data)
	}
	for i := range dec.Out {
		n += outgoingBytes(&dec.Out[i])
	}
	if r := dec.Outcome.Rejection; r != nil {
		n += len(r.Message) + detailBytes(r)
	}
	return n
}

// detailBytes returns the size of a rejection's details as JSON.
func detailBytes(r *actor.Rejection) int {
	if len(r.Details) == 0 {
		return 0
	}
	data, err := json.Marshal(r.Details)
	if err != nil { // the definition has made sure that they can be encoded
		return 0
	}
	return len(data)
}

// passed notes that a durable command has been decided.
func (a *activation) passed(d *delivery) {
	if p := a.partition.place(d); d.Sequence > 0 && !a.position.Covers(p) {
		a.position = p
	}
}

// gather adds a command to the next commit: one that raised events, or whose outcome is
// to be what every retry gets. A commit has an event, so the first of those without one
// comes with an [actor.EventOutcome]; those that join it need none. It returns what the
// commit keeps of the command.
func (a *activation) gather(ans answer, dec *actor.Decision) command {
	events := dec.Events
	b := a.gathering
	if b == nil {
		first := a.instance.Version() - actor.Version(len(events)) + 1
		b = &batch{owner: a, commit: store.Commit{
			Aggregate: store.Aggregate(a.address.String()),
			First:     store.Version(first),
			Partition: store.Partition(a.partition.id),
			Outcomes:  slices.Grow([]store.Outcome(nil), a.commands),
			Events:    slices.Grow([]store.Event(nil), a.commands),
		}, answers: slices.Grow([]answer(nil), a.commands)}
		a.gathering = b
	}
	of := b.add(ans, dec)
	if a.instance.Told() == a.instance.Version() { // else the state is as it was
		a.size.applied += len(events)
	}
	a.overdue(events)
	return of
}

// stand is the output gate: the answer waits for the newest batch that its
// decision stood on, and leaves at once if everything is durable.
func (a *activation) stand(ans answer) {
	switch {
	case a.gathering != nil:
		a.gathering.answers = append(a.gathering.answers, ans)
	case a.inFlight != nil:
		a.inFlight.answers = append(a.inFlight.answers, ans)
	default:
		a.partition.conclude(ans)
	}
}

// expired: a command that was part of a lost write is past that question. What is left
// until the deadline is counted from the arrival, by a clock that nobody sets: neither
// the caller's clock nor a step of this node's own makes a command late.
func (a *activation) expired(d *delivery) bool {
	m, clock := &d.Message, a.partition.cfg.Clock
	switch {
	case m.Deadline.IsZero() || d.attempted:
		return false
	case d.Left != 0:
		return int64(clock.Elapsed()) > d.arrived+int64(d.Left)
	default:
		return clock.Now().After(m.Deadline)
	}
}

// refuseExpired answers a message that is too late. That it was not executed
// can be said only if no other copy of it was, or will be:
//   - an earlier attempt, or a caller's own id, may have met another owner, whose
//     write may still be under way: unknown;
//   - so may a durable command that was in the stream before this node took the
//     partition: unknown;
//   - a durable command could be read again by the next owner, whose clock may be
//     behind: the answer waits until the watermark has been saved above it.
func (a *activation) refuseExpired(d *delivery) {
	a.partition.logUnheard(d, actor.CodeExpired)
	ans := answer{delivery: d, outcome: actor.Failure(actor.CodeExpired, "met its owner after its deadline")}
	switch {
	case d.Message.Type != actor.TypeCommand:
		a.stand(ans)
	case d.metBefore():
		ans.outcome = actor.Failure(actor.CodeUnknownOutcome, "met its owner after its deadline, and not for the first time")
		a.stand(ans)
	case d.Sequence == 0:
		a.stand(ans)
	default:
		a.partition.concludeWhenSaved(ans)
	}
}

// unlessAttempted keeps back a word that the command was not executed from one
// that was in a lost write: that may yet become durable.
func (a *activation) unlessAttempted(d *delivery, o actor.Outcome) actor.Outcome {
	if !d.attempted {
		return o
	}
	o.Code, o.Version, o.Detail = actor.CodeUnknownOutcome, 0, "an earlier write of it may have taken effect; then: "+o.Detail
	return o
}

// panicked tries the command again on a fresh state, a bounded number of times,
// and then parks it. A panic on a speculative state is not counted: it says
// nothing about the state that will be there if the write on its way fails. What
// is next decided comes after that write has ended.
func (a *activation) panicked(d *delivery, dec actor.Decision) {
	if dec.Tainted {
		a.discard(DiscardPanic)
	}
	if a.gathering == nil && a.inFlight == nil || d.Message.Type != actor.TypeCommand {
		d.panics++
	}
	why := "it panicked"
	if _, isError := dec.Panic.Value.(error); isError && dec.Panic.Stack == nil {
		why = "it returned an error that is no rejection"
	}
	a.partition.cfg.Logger.Error("handler failed", "why", why, "incident", d.incidentID(),
		"aggregate", a.address.String(), "name", d.Message.Name, "command_id", string(d.Message.ID),
		"attempt", d.panics, "panic", fmt.Sprint(dec.Panic.Value), "stack", string(dec.Panic.Stack))
	switch {
	case d.Message.Type != actor.TypeCommand:
		a.stand(answer{delivery: d, outcome: d.withheld(actor.CodeUnloadable, "the handler failed")})
	case int(d.panics) < a.partition.cfg.ParkAfter:
		a.mu.Lock()
		a.mailbox.pushFront([]*delivery{d})
		a.mu.Unlock()
	default:
		switch a.partition.takeAside(d, dec.Outcome.Detail, string(dec.Panic.Stack)) {
		case itIsParked:
			a.passed(d)
			a.stand(answer{delivery: d, outcome: a.unlessAttempted(d, d.withheld(actor.CodeParked, "the handler failed; the command waits for an operator"))})
		case itHasNoRoom:
			o := d.withheld(actor.CodeOverloaded, overloadedParking("the handler failed").Detail)
			a.stand(answer{delivery: d, outcome: a.unlessAttempted(d, o)})
		case itsNextOwners:
		}
	}
}

// cannotLoad answers a message whose aggregate cannot be brought into memory,
// unless a newer build may be able to.
func (a *activation) cannotLoad(d *delivery, err error) {
	if a.partition.ctx.Err() != nil {
		return
	}
	if errors.Is(err, actor.ErrUndecodable) {
		a.partition.setAside(aside{delivery: d, cause: err})
		return
	}
	if o, ok := a.partition.unloadable(d, err); ok {
		a.stand(answer{delivery: d, outcome: o})
	}
}

// unloadable returns the answer to a message whose aggregate nobody can bring into
// memory. A durable command is parked: it was promised to its sender. Whether a
// command was executed before cannot be looked up, so that it was not is said only
// of one that cannot have been. It returns false when the partition ends first.
func (p *partition) unloadable(d *delivery, err error) (actor.Outcome, bool) {
	p.cfg.Logger.Error("aggregate cannot be loaded", "incident", d.incidentID(), "aggregate", d.Message.Target.String(), "error", err)
	o := d.withheld(actor.CodeUnloadable, "the aggregate cannot be loaded")
	if d.Message.Type == actor.TypeCommand {
		if d.attempted || d.metBefore() {
			o.Code = actor.CodeUnknownOutcome
		}
		if d.Sequence > 0 && !p.park(d, err.Error(), "") {
			return o, false
		}
	}
	return o, true
}
