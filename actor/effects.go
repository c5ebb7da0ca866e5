package actor

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// Timer is a command that an aggregate has set for a time.
type Timer struct {
	Name    string    `json:"name"`
	ID      CommandID `json:"id"` // of the command; another each time the timer is set
	At      time.Time `json:"at"`
	Command string    `json:"command"` // its name
}

// RuntimeState is what is kept of an aggregate beside the state of its definition.
// A snapshot needs it as well.
type RuntimeState struct {
	Changed Version `json:"changed,omitempty"` // of the last event that changed it; beyond the instance's version: that
	Shown   Version `json:"shown,omitempty"`   // of the last event but those that hold outcomes alone; 0: as Changed
	Ended   bool    `json:"ended,omitempty"`   // a saga that has ended
	Overdue bool    `json:"overdue,omitempty"` // a saga that was not ended within its deadline
	Timers  []Timer `json:"timers,omitempty"`  // by name
}

// RuntimeState returns it, as of the instance's version.
func (i *Instance) RuntimeState() RuntimeState {
	timers := slices.SortedFunc(maps.Values(i.timers), func(a, b Timer) int { return strings.Compare(a.Name, b.Name) })
	s := RuntimeState{Changed: i.changed, Ended: i.ended, Overdue: i.overdue, Timers: timers}
	if i.shown != i.changed {
		s.Shown = i.shown
	}
	return s
}

// Resume completes an instance that was restored from a snapshot.
func (i *Instance) Resume(s RuntimeState) {
	i.changed = min(s.Changed, i.version)
	i.shown = min(max(s.Changed, s.Shown), i.version)
	i.ended, i.overdue, i.timers = s.Ended, s.Overdue, nil
	for _, t := range s.Timers {
		i.setTimer(t)
	}
}

// TimerCount returns the number of timers that are set.
func (i *Instance) TimerCount() int { return len(i.timers) }

// SetAgain returns the decision by which the firing m of a timer that is set, and
// whose time has not come, is replaced by another one at the same time: m is over.
func (i *Instance) SetAgain(m *Message) Decision {
	t, ok := i.Fires(m)
	if !ok {
		return Decision{Outcome: Failure(CodeCancelled, "timer "+m.Timer+" is not set to this")}
	}
	i.begin()
	i.tainted = true
	o := Outgoing{
		ID: InternalID(t.At, "again", i.address.String(), string(m.ID)), To: i.address,
		Name: m.Name, At: t.At, Timer: m.Timer, Data: m.Data, Metadata: m.Metadata,
	}
	i.applyTimer(&o)
	i.replayReserved(EventEffects)
	return Decision{
		Outcome: Outcome{Code: CodeCancelled, Version: i.version, Detail: "timer " + m.Timer + " came before its time, and was set again"},
		Events:  []Event{{Name: EventEffects, Data: []byte(`{"set":1}`)}},
		Out:     []Outgoing{o},
	}
}

// Exists reports whether the aggregate has a history of its own: any event but
// [EventRefused] and [EventOutcome]. Creation policies ask for that.
func (i *Instance) Exists() bool { return i.changed > 0 }

// Fires returns the timer whose firing m is. It returns false when the timer is not
// set to that command any more: it was cancelled, set anew, or has fired before.
func (i *Instance) Fires(m *Message) (Timer, bool) {
	t, ok := i.timers[m.Timer]
	return t, ok && m.Timer != "" && t.ID == m.ID
}

// ReplayEffects brings the timers to what they were after a stored commit: decided
// are the ids of its commands, out is what it sent. A timer that fired in a commit
// was set in an earlier one, so that the order within the commit does not matter.
func (i *Instance) ReplayEffects(decided iter.Seq[CommandID], out []Outgoing) {
	if len(i.timers) > 0 {
		for id := range decided {
			maps.DeleteFunc(i.timers, func(_ string, t Timer) bool { return t.ID == id })
		}
	}
	for k := range out {
		i.applyTimer(&out[k])
	}
}

func (i *Instance) applyTimer(o *Outgoing) {
	switch {
	case o.Timer == "":
	case o.Name == "":
		delete(i.timers, o.Timer)
	default:
		i.setTimer(Timer{Name: o.Timer, ID: o.ID, At: o.At, Command: o.Name})
	}
}

// setTimer notes a timer. Earlier builds set some beyond [MaxTimerTime], where no clock
// counts: they are as if set for that.
func (i *Instance) setTimer(t Timer) {
	if t.At.After(MaxTimerTime) {
		t.At = MaxTimerTime
	}
	if i.timers == nil {
		i.timers = map[string]Timer{}
	}
	i.timers[t.Name] = t
}

// replayReserved applies an event of the runtime's own. It returns false for one
// that this build does not know.
func (i *Instance) replayReserved(name string) bool {
	if !knowsReserved(name) {
		return false
	}
	i.advance(name)
	i.ended = i.ended || name == EventEnded
	i.overdue = i.overdue || name == EventOverdue
	return true
}

// carriedOut is the decision of a handler that returned no error.
//
// A commit needs an event, for its place in the history is what fences it. A
// decision that only sends gets one, and so does any decision of a fired timer: that
// it is over must be as durable as that it was set.
func (i *Instance) carriedOut(ctx *Context, reply []byte, existed bool) Decision {
	m := ctx.message
	i.followSaga(ctx, existed)
	ctx.bounded("the reply", reply)
	if o, beyond := ctx.beyond(); beyond {
		return i.Overrule(m, o)
	}
	if len(ctx.raised) == 0 && (len(ctx.out) > 0 || m.Timer != "") {
		ctx.raiseReserved(EventEffects, effects(ctx))
	}
	for k := range ctx.out {
		i.applyTimer(&ctx.out[k])
	}
	if o, many := i.tooMany(); many {
		return i.Overrule(m, o)
	}
	return Decision{Outcome: Outcome{Version: i.shown, Reply: reply}, Events: ctx.raised, Out: ctx.out}
}

// tooMany returns what a decision is refused with after which the aggregate would have too
// many timers, or effects that are not over.
func (i *Instance) tooMany() (Outcome, bool) {
	if len(i.timers) <= min(MaxTimers, MaxEffects) {
		return Outcome{}, false
	}
	pending := len(i.PendingEffects())
	switch {
	case pending > MaxEffects:
		return Failure(CodeTooLarge, fmt.Sprintf("%s would wait for more than %d effects", i.address, MaxEffects)), true
	case len(i.timers)-pending > MaxTimers:
		return Failure(CodeTooLarge, fmt.Sprintf("%s would have more than %d timers", i.address, MaxTimers)), true
	default:
		return Outcome{}, false
	}
}

// followSaga sets the deadline of a saga that begins, and cancels the timers of one
// that has ended.
func (i *Instance) followSaga(ctx *Context, existed bool) {
	s := i.behavior.saga
	if s == nil || ctx.message.Type == TypeQuery {
		return
	}
	begins := !existed && (len(ctx.raised) > 0 || len(ctx.out) > 0)
	if begins && !i.ended && !ctx.deadlined && s.deadline > 0 {
		ctx.set(deadlineCommand, deadlineCommand, []byte("{}"), ctx.Now().Add(s.deadline))
	}
	if !i.ended {
		return
	}
	ctx.out = slices.DeleteFunc(ctx.out, func(o Outgoing) bool { return o.Timer != "" && !isEffect(o.Timer) })
	for _, t := range i.RuntimeState().Timers {
		if isEffect(t.Name) {
			continue // it was asked for, and is carried out
		}
		ctx.out = append(ctx.out, Outgoing{To: i.address, Timer: t.Name})
	}
}

// effects is the data of [EventEffects]: for people.
func effects(ctx *Context) []byte {
	var n struct {
		Sent      int    `json:"sent,omitempty"`
		Set       int    `json:"set,omitempty"`
		Cancelled int    `json:"cancelled,omitempty"`
		Asked     int    `json:"asked,omitempty"` // of the world
		Fired     string `json:"fired,omitempty"`
	}
	n.Fired = ctx.message.Timer
	for k := range ctx.out {
		switch o := &ctx.out[k]; {
		case o.Timer == "":
			n.Sent++
		case o.Name == "":
			n.Cancelled++
		case isEffect(o.Timer):
			n.Asked++
		default:
			n.Set++
		}
	}
	return mustMarshal(n)
}

// Refuse returns the decision by which a command is refused with an outcome, without
// asking its handler. Where its sender waits for a refusal, or it was a timer's, the
// refusal is part of the history and is sent: the decision holds an [EventRefused].
// Otherwise nothing is to be stored.
func (i *Instance) Refuse(m *Message, o Outcome) Decision {
	i.begin()
	return i.Overrule(m, o)
}

// Record makes of the last decision, which raised nothing, one that a commit can hold
// by itself: with an [EventOutcome].
func (i *Instance) Record(d Decision) Decision {
	i.marks = i.was
	i.advance(EventOutcome)
	d.Events = []Event{{Name: EventOutcome, Data: []byte("{}")}}
	return d
}

// Overrule is [Instance.Refuse] in the place of the decision that Decide has just
// made of m, and that cannot be stored.
func (i *Instance) Overrule(m *Message, o Outcome) Decision {
	if m.Type != TypeCommand || m.OnRefusal == nil && m.Timer == "" {
		return Decision{Outcome: o, Tainted: i.tainted}
	}
	return i.refused(m, o)
}

// refused is the decision of a refusal that is part of the history.
func (i *Instance) refused(m *Message, o Outcome) Decision {
	d := Decision{Outcome: o, Tainted: i.tainted}
	i.marks = i.was
	i.advance(EventRefused)
	if m.Timer != "" {
		delete(i.timers, m.Timer)
	}
	r := refusalOf(m, o)
	d.Events = []Event{{Name: EventRefused, Data: r.event(m)}}
	if m.OnRefusal != nil {
		d.Out = []Outgoing{r.outgoing(m)}
	}
	d.Outcome.Version = i.shown
	return d
}

// mustMarshal is for values that can be encoded.
func mustMarshal(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("actor: encode %T: %v", v, err))
	}
	return data
}
