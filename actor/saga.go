package actor

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// SagaDefinition collects the parts of a saga while [DefineSaga] runs. It is a
// [Definition]: a saga has events of its own ([Apply]), may have commands ([On]),
// above all those that it sends to itself by timers and [OnRefusal], and queries.
type SagaDefinition[S any] = Definition[S]

// DefineSaga returns the definition of a saga: an aggregate whose input is the
// events of others, and whose output is commands. It is kept like any other: one
// history, one owner, one decision at a time. What is new is
//
//   - [StartsOn] and [Reacts]: events come to it as commands, with ids made from
//     the event's place in the history of its aggregate, so that each takes effect
//     exactly once;
//   - [Context.End]: an ended saga has no timers and ignores all further input;
//   - [SagaDeadline] and [Context.Deadline]: one that has not ended in time raises
//     [EventOverdue], is told so if it wants to ([OnOverdue]), and goes on waiting.
func DefineSaga[S any](kind Kind, build func(*SagaDefinition[S])) *Aggregate[S] {
	return Define(kind, func(d *Definition[S]) {
		d.behavior.saga = &saga{}
		d.behavior.commands[deadlineCommand] = deadlineHandler[S]()
		build(d)
	})
}

// saga is what a behavior has if it is one.
type saga struct {
	deadline time.Duration
	overdue  func(state any, ctx *Context)
}

func mustBeSaga[S any](d *Definition[S], what string) *saga {
	if d.behavior.saga == nil {
		panic(fmt.Sprintf("actor: %s: %s outside DefineSaga", d.behavior.kind, what))
	}
	return d.behavior.saga
}

// StartsOn declares that event E of another kind of aggregate starts a saga, the one
// whose id correlate returns; empty: the event does not concern this kind of saga. A
// saga that exists already gets it as well, unless it has ended.
//
// The reaction h decides as a command's handler does: it raises events of the saga,
// and sends. It cannot refuse: there is nobody who would hear it. The event itself is
// in [Context.Event]. correlate must depend on nothing but its arguments.
func StartsOn[S, A, E any](d *SagaDefinition[S], from *Aggregate[A], h func(*S, *Context, E), correlate func(E, EventRecord) string) {
	react(d, from, h, correlate, true)
}

// Reacts is [StartsOn] for an event that starts nothing: without a saga, or after
// its end, it is passed over.
func Reacts[S, A, E any](d *SagaDefinition[S], from *Aggregate[A], h func(*S, *Context, E), correlate func(E, EventRecord) string) {
	react(d, from, h, correlate, false)
}

func react[S, A, E any](d *SagaDefinition[S], from *Aggregate[A], h func(*S, *Context, E), correlate func(E, EventRecord) string, starts bool) {
	mustBeSaga(d, "a reaction to "+reflect.TypeFor[E]().String())
	b := d.behavior
	name := reactionPrefix + string(from.behavior.kind) + "." + eventOf[E](b, from.behavior)
	present := &handler{
		name: name, payload: reflect.TypeFor[reactionData](), reply: reflect.TypeFor[None](), reaction: true,
		run: reactionHandler(h, starts, func(data []byte) (e E, err error) {
			err = json.Unmarshal(data, &e)
			return e, err
		}),
	}
	present.aliases = formerReactions(from.behavior, present, func(f form) func(any, *Context, []byte) ([]byte, error) {
		return reactionHandler(h, starts, func(data []byte) (e E, err error) {
			value, err := f.decode(data)
			if err != nil {
				return e, err
			}
			return value.(E), nil
		})
	})
	b.addHandler(b.commands, present)
	addReactions(b, from.behavior, func(r EventRecord, e E) ([]Message, error) {
		id := correlate(e, r)
		if id == "" {
			return nil, nil
		}
		to := Address{Kind: b.kind, ID: id}
		if err := to.Validate(); err != nil {
			return nil, fmt.Errorf("%s maps %s of %s: %w", b.kind, r.Name, r.Source, err)
		}
		present, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("%s maps %s of %s: %w", b.kind, r.Name, r.Source, err)
		}
		if TooDeep(present) { // stored by a build without that bound
			return nil, fmt.Errorf("%s maps %s of %s: %s: %w", b.kind, r.Name, r.Source, tooDeep("it"), ErrMessage)
		}
		data, err := json.Marshal(reactionData{
			Source: r.Source.String(), Version: r.Version, Event: r.Name, Time: r.Time, CommandID: r.CommandID, Data: present,
		})
		if err != nil {
			return nil, fmt.Errorf("%s maps %s of %s: %w", b.kind, r.Name, r.Source, err)
		}
		return []Message{{
			Target: to, ID: r.derive(b.kind, 0), Name: name, Data: data, Time: r.Time.UTC(), Attempt: 1, Metadata: r.cause(),
		}}, nil
	})
}

// derive returns the id of the nth command that the event causes at a reactor. It
// depends on the event's place in its aggregate, not on that in a stream, which may
// be made anew.
func (r *EventRecord) derive(reactor Kind, n int) CommandID {
	return InternalID(r.Time, "reaction", string(reactor), r.Source.String(),
		strconv.FormatUint(uint64(r.Version), 10), strconv.Itoa(n))
}

// formerReactions returns a handler for each older form of the event that a saga reacts
// to: an earlier build, for which it was the present one, has sent it under its name.
func formerReactions(source *Behavior, of *handler, run func(form) func(any, *Context, []byte) ([]byte, error)) (all []*handler) {
	event := strings.TrimPrefix(of.name, reactionPrefix+string(source.kind)+".")
	for _, name := range source.EventNames() {
		if f := source.forms[name]; f.becomes == event && name != event {
			all = append(all, &handler{
				name: reactionPrefix + string(source.kind) + "." + name, present: of.name, payload: of.payload, reply: of.reply,
				reaction: true, run: run(f),
			})
		}
	}
	return all
}

func reactionHandler[S, E any](h func(*S, *Context, E), starts bool, decode func([]byte) (E, error)) func(any, *Context, []byte) ([]byte, error) {
	return func(state any, ctx *Context, data []byte) ([]byte, error) {
		var d reactionData
		if err := decodeObject(data, &d); err != nil {
			return nil, &Error{Code: CodeMalformed, Detail: err.Error()}
		}
		e, err := decode(d.Data)
		if err != nil {
			return nil, &Error{Code: CodeMalformed, Detail: err.Error()}
		}
		record, err := d.record()
		if err != nil {
			return nil, &Error{Code: CodeMalformed, Detail: err.Error()}
		}
		ctx.entered = true
		if starts || ctx.instance.Exists() {
			record.Metadata = ctx.message.Metadata
			ctx.event = &record
			h(state.(*S), ctx, e)
		}
		return json.Marshal(None{})
	}
}

// SagaDeadline sets the time within which a saga of this kind ends, from its start;
// the default is 0: none. A single saga can change it by [Context.Deadline]. A deadline
// beyond [MaxTimerTime] has the command that starts a saga refused with [ErrTimerTime].
func SagaDeadline[S any](d *SagaDefinition[S], within time.Duration) {
	mustBeSaga(d, "SagaDeadline").deadline = max(within, 0)
}

// OnOverdue declares what a saga does when it has not ended within its deadline. It
// may do nothing: [EventOverdue] is raised in any case.
func OnOverdue[S any](d *SagaDefinition[S], h func(*S, *Context)) {
	mustBeSaga(d, "OnOverdue").overdue = func(state any, ctx *Context) { h(state.(*S), ctx) }
}

func deadlineHandler[S any]() *handler {
	type overdue struct {
		Due time.Time `json:"due"`
	}
	return &handler{
		name: deadlineCommand, payload: reflect.TypeFor[struct{}](), reply: reflect.TypeFor[None](), reaction: true,
		run: func(state any, ctx *Context, _ []byte) ([]byte, error) {
			ctx.entered = true
			data, err := json.Marshal(overdue{Due: ctx.Now()})
			if err != nil {
				return nil, &Error{Code: CodeMalformed, Detail: err.Error()}
			}
			ctx.raiseReserved(EventOverdue, data)
			if h := ctx.instance.behavior.saga.overdue; h != nil {
				h(state, ctx)
			}
			return json.Marshal(None{})
		},
	}
}

// Event returns the event that a saga reacts to, in its present form, without its
// position in the event stream and its partition. ok is false in any other handler.
func (c *Context) Event() (_ EventRecord, ok bool) {
	if c.event == nil {
		return EventRecord{}, false
	}
	return *c.event, true
}

// End ends the saga with this decision: [EventEnded] is raised, its timers are
// cancelled, and it ignores what comes later. What the handler sends is sent. End
// panics for an aggregate that is no saga. A second call does
// nothing.
func (c *Context) End() {
	if c.instance.behavior.saga == nil {
		panic(fmt.Sprintf("actor: %s of %s ends what cannot end", c.message.Name, c.instance.address))
	}
	if !c.instance.ended {
		c.raiseReserved(EventEnded, []byte("{}"))
	}
}

// Deadline sets the saga's deadline anew: within from [Context.Now]. With 0 it has
// none any more. Beyond [MaxTimerTime] the command is refused with [ErrTimerTime]. It
// panics like [Context.End].
func (c *Context) Deadline(within time.Duration) {
	if c.instance.behavior.saga == nil {
		panic(fmt.Sprintf("actor: %s of %s sets a deadline, and is no saga's", c.message.Name, c.instance.address))
	}
	c.deadlined = true
	if within <= 0 {
		c.Cancel(deadlineCommand)
		return
	}
	c.set(deadlineCommand, deadlineCommand, []byte("{}"), c.Now().Add(within))
}
