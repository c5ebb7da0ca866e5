package actor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// ErrUndecodable reports a stored event that the definition cannot read.
var ErrUndecodable = errors.New("stored event cannot be decoded")

// Instance is one aggregate in memory. It belongs to one goroutine at a time.
type Instance struct {
	behavior *Behavior
	address  Address
	state    any
	marks                     // as of now
	was      marks            // before the last decision
	tainted  bool             // holds events that belong to no decision
	ended    bool             // a saga that has ended
	overdue  bool             // a saga that was not ended in time
	timers   map[string]Timer // that are set, by name; nil: none
}

// marks are versions in an aggregate's history.
type marks struct {
	version Version // of its last event
	changed Version // of the last event that changed the aggregate; 0: it does not exist
	shown   Version // of the last event but those that hold outcomes alone; callers are told that
}

// advance counts an event.
func (m *marks) advance(name string) {
	m.version++
	if name != EventOutcome {
		m.shown = m.version
	}
	if changes(name) {
		m.changed = m.version
	}
}

// New returns a new aggregate without a history.
func (b *Behavior) New(address Address) *Instance {
	return &Instance{behavior: b, address: address, state: b.newState()}
}

var errNullSnapshot = errors.New("null is not a state")

// Restore returns an aggregate as a snapshot has it. It fails on a snapshot
// that cannot be decoded, a panic of the state's UnmarshalJSON included: the
// history then has to be replayed.
func (b *Behavior) Restore(address Address, version Version, snapshot []byte) (_ *Instance, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("snapshot of %s at version %d: decoding panicked: %v", address, version, v)
		}
	}()
	i := b.New(address)
	if err := json.Unmarshal(snapshot, i.state); err != nil {
		return nil, fmt.Errorf("snapshot of %s at version %d: %w", address, version, err)
	}
	if string(bytes.TrimSpace(snapshot)) == "null" { // encoding/json leaves the state untouched
		return nil, fmt.Errorf("snapshot of %s at version %d: %w", address, version, errNullSnapshot)
	}
	i.marks = marks{version, version, version}
	return i, nil
}

// Address returns the aggregate's address.
func (i *Instance) Address() Address { return i.address }

// Version returns the number of events in the history.
func (i *Instance) Version() Version { return i.version }

// Told returns the version that callers are told: that of the last event but
// [EventOutcome].
func (i *Instance) Told() Version { return i.shown }

// Ended reports whether it is a saga that has ended.
func (i *Instance) Ended() bool { return i.ended }

// State returns the state, a pointer to the definition's struct, for fixtures.
func (i *Instance) State() any { return i.state }

// Snapshot returns the state as JSON, all of it. A panic of the state's
// MarshalJSON is an error, and so is a state that is nested deeper than [MaxDepth].
func (i *Instance) Snapshot() (_ []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("snapshot of %s: encoding panicked: %v", i.address, v)
		}
	}()
	data, err := json.Marshal(i.state)
	if err == nil && TooDeep(data) {
		err = &Error{Code: CodeTooLarge, Detail: tooDeep("the state")}
	}
	if err != nil {
		return nil, fmt.Errorf("snapshot of %s: %w", i.address, err)
	}
	return data, nil
}

// Replay applies a stored event. The error wraps [ErrUndecodable] and leaves
// the instance unusable.
func (i *Instance) Replay(e Event) (err error) {
	if reserved(e.Name) && i.replayReserved(e.Name) {
		return nil
	}
	replay := i.behavior.replays[e.Name]
	if replay == nil {
		return fmt.Errorf("%s: event %d is %q, which %s does not know: %w", i.address, i.version+1, e.Name, i.address.Kind, ErrUndecodable)
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s: event %d, %s: apply panicked: %v: %w", i.address, i.version+1, e.Name, v, ErrUndecodable)
		}
	}()
	if err := replay(i.state, e.Data); err != nil {
		return fmt.Errorf("%s: event %d, %s: %w: %w", i.address, i.version+1, e.Name, ErrUndecodable, err)
	}
	i.advance(e.Name)
	return nil
}

// Decision is what came of one message.
type Decision struct {
	Outcome Outcome
	Events  []Event    // raised by a command that was carried out, or one of the runtime's own; else none
	Out     []Outgoing // sent with the events; none without
	Panic   *Panic     // the handler panicked, or returned an error that is no rejection; Outcome is then CodeParked

	// Moot: it will be decided in the same way for ever, and need not be remembered.
	Moot bool

	// Invalid: the command was refused for what it is, by its Validate, whatever the
	// state. It was not executed, and nothing of it need be stored; a build with other
	// rules may decide otherwise.
	Invalid bool

	// Tainted: the state has taken in events that are not part of the decision
	// (the handler raised and then failed). The instance must be thrown away.
	Tainted bool
}

// Panic is what was recovered from a handler, or the error that it returned and that is
// no rejection.
type Panic struct {
	Value any
	Stack []byte // nil for an error
}

// Error returns the value.
func (p *Panic) Error() string { return fmt.Sprint(p.Value) }

// Decide runs one message against the state. Its outcome is a pure function of
// state, version, timers and message. Deadlines, repeated ids and the time of a
// timer are the caller's concern.
//
// The handler's Now is the message's time, see [Instance.DecideAt].
func (i *Instance) Decide(m *Message) Decision { return i.DecideAt(m, time.Time{}) }

// DecideAt is Decide with what the owner's clock says, which is the handler's Now unless
// m is the firing of a timer; zero: the message's time is.
func (i *Instance) DecideAt(m *Message, now time.Time) (d Decision) {
	if m.Type == TypeState {
		return i.show()
	}
	i.begin()
	if m.Timer != "" {
		t, current := i.Fires(m)
		if !current {
			return Decision{Outcome: Failure(CodeCancelled, "timer "+m.Timer+" is not set to this")}
		}
		delete(i.timers, m.Timer)
		if !isEffect(m.Timer) { // what ends an effect has a time of its own
			fired := *m
			fired.Time = t.At
			m, now = &fired, time.Time{}
		}
	}
	if m.Skips() {
		return i.skip(m)
	}
	if m.Name == performedCommand && isEffect(m.Timer) {
		return i.performed(m)
	}
	h := i.behavior.handlers(m.Type)[m.Name]
	if h == nil {
		return i.Overrule(m, Failure(CodeUnknownCommand, fmt.Sprintf("%s has no %s", i.address.Kind, m.Name)))
	}
	if i.ended && h.reaction {
		return Decision{Outcome: Outcome{Version: i.shown, Reply: []byte("null")}, Moot: true}
	}
	defer func() {
		if v := recover(); v != nil {
			d = panicked(m.Name, v)
		}
	}()
	if err := h.examine(m, i.behavior.strict); err != nil {
		return i.refuseInvalid(m, err)
	}
	if o, ok := i.meets(h.creation, m); !ok {
		return i.Overrule(m, o)
	}
	ctx := &Context{instance: i, message: m, now: now}
	existed := i.Exists()
	reply, err := h.run(i.state, ctx, m.Data)
	if err == nil {
		return i.carriedOut(ctx, reply, existed)
	}
	return i.refuse(ctx, err)
}

// begin notes where the next decision begins.
func (i *Instance) begin() { i.was, i.tainted = i.marks, false }

// panicked is the decision of user code that panicked, whose state nobody knows.
func panicked(what string, value any) Decision {
	return Decision{
		Outcome: Failure(CodeParked, fmt.Sprintf("%s panicked: %v", what, value)),
		Panic:   &Panic{Value: value, Stack: debug.Stack()},
		Tainted: true,
	}
}

func (i *Instance) refuse(ctx *Context, err error) Decision {
	if r, ok := errors.AsType[*Rejection](err); ok {
		return i.Overrule(ctx.message, Outcome{Code: CodeRejected, Version: i.was.shown, Rejection: r})
	}
	if f, ok := errors.AsType[*fault](err); ok {
		return Decision{
			Outcome: Failure(CodeParked, fmt.Sprintf("%s failed: %v", ctx.message.Name, f)),
			Panic:   &Panic{Value: f.err},
			Tainted: true,
		}
	}
	if e, ok := errors.AsType[*Error](err); ok && !ctx.entered {
		return i.Overrule(ctx.message, Outcome{Code: e.Code, Detail: e.Detail})
	}
	panic(fmt.Sprintf("actor: reply of %s cannot be encoded: %v", ctx.message.Name, err))
}

// meets checks the creation policies of definition and caller, then the
// expected version: it is met by that of the last event that changed the aggregate,
// and by those since that callers are told.
func (i *Instance) meets(declared Creation, m *Message) (Outcome, bool) {
	x, isNew := m.Expect, !i.Exists()
	switch {
	case i.ended && m.Type == TypeCommand:
		return Outcome{Code: CodeEnded, Version: i.shown, Detail: i.address.String() + " has ended"}, false
	case isNew && (declared == MustExist || x.Creation == MustExist):
		return Outcome{Code: CodeDoesNotExist, Version: i.shown, Detail: i.address.String() + " does not exist"}, false
	case !isNew && (declared == MustBeNew || x.Creation == MustBeNew):
		return Outcome{Code: CodeAlreadyExists, Version: i.shown, Detail: i.address.String() + " already exists"}, false
	case x.Exact && (x.Version < i.changed || x.Version > i.shown):
		return Outcome{
			Code: CodeVersionMismatch, Version: i.shown,
			Detail: fmt.Sprintf("%s is at version %d, not %d", i.address, i.shown, x.Version),
		}, false
	}
	return Outcome{}, true
}

func (i *Instance) show() (d Decision) {
	defer func() {
		if v := recover(); v != nil {
			d = panicked("the view of the state", v)
		}
	}()
	if !i.Exists() {
		return Decision{Outcome: Outcome{Code: CodeDoesNotExist, Version: i.shown, Detail: i.address.String() + " does not exist"}}
	}
	data, err := json.Marshal(i.behavior.view(i.state))
	if err != nil {
		return Decision{Outcome: Failure(CodeUnloadable, err.Error()), Panic: &Panic{Value: err}}
	}
	if TooDeep(data) {
		return Decision{Outcome: Failure(CodeTooLarge, tooDeep("the state of "+i.address.String()))}
	}
	return Decision{Outcome: Outcome{Version: i.shown, Reply: data, Ended: i.ended}}
}
