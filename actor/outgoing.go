package actor

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Bounds of what one command may send and schedule, and of what an aggregate may
// have scheduled. A command that goes beyond them is refused with [ErrTooLarge],
// and nothing of it is stored.
const (
	MaxOutgoing      = 256       // commands, timers and cancellations of one command
	MaxOutgoingBytes = 256 << 10 // bytes of their data, together
	MaxTimers        = 256       // timers that one aggregate has set
	MaxFallbackBytes = 8 << 10   // bytes of the data of one [OnRefusal]
)

// Command is satisfied by every struct that embeds [Replies]: what can be sent to
// an aggregate. A query embeds it, too, and is refused by its owner.
type Command interface{ isCommand() }

func (Replies[R]) isCommand() {}

// Outgoing is what a decision sends, or does to a timer: it is stored with the
// events, and sent once they are durable. It is a value; Data must not be changed.
type Outgoing struct {
	ID        CommandID // of the command; empty in a cancellation
	To        Address   // a timer's is the aggregate itself
	Name      string    // of the command; empty: the timer is cancelled
	At        time.Time // not before it; zero: at once
	Timer     string    // name of the timer; empty: none
	Data      []byte    // JSON object
	Metadata  Metadata
	OnRefusal *Fallback // nil: nobody waits for a refusal
}

// Fallback is a command that is sent in the place of one that was refused.
type Fallback struct {
	To   Address
	Name string
	Data []byte // JSON object; the [Refusal] is added to it
}

// Message returns the command as it travels. It is the same however often it is
// made: committed is the time of the commit that holds o. A fired timer's time is
// the one that it was set for.
func (o *Outgoing) Message(committed time.Time) Message {
	m := Message{
		Target: o.To, ID: o.ID, Name: o.Name, Data: o.Data, Time: committed.UTC(), Attempt: 1,
		Metadata: o.Metadata, Timer: o.Timer, OnRefusal: o.OnRefusal,
	}
	if o.Timer != "" {
		m.Time = o.At.UTC()
	}
	return m
}

// SendOption tunes one [Context.Send].
type SendOption func(*sending)

type sending struct{ fallback RefusalCommand }

// OnRefusal has a command sent to the sender itself if the command that is sent is
// refused: rejected by its aggregate, against a creation policy, unknown to its
// kind, malformed or too large. The refusal is then a fact: it is stored with the
// refusing aggregate, and brought to the sender exactly once. The command must be
// declared by the sender; the [Refusal] is in its embedded [Refused].
//
// Not refused is what may yet be carried out: a command that was parked after a
// panic, which waits for an operator, or whose kind no node knows, which waits for a
// node that does. It is refused with [ErrSkipped] if an operator skips it.
//
// Without OnRefusal, a command that its target does not declare waits likewise for a
// node of a build that does.
func OnRefusal(command RefusalCommand) SendOption {
	return func(s *sending) { s.fallback = command }
}

// TimerOption tunes one [Context.After] or [Context.At].
type TimerOption func(*timing)

type timing struct{ name string }

// TimerName names the timer; without it, the timer has the name of its command. A
// name has the form of a command's name. It panics otherwise.
func TimerName(name string) TimerOption {
	if !validName(name) || reserved(name) {
		panic(fmt.Sprintf("actor: invalid timer name %q", name))
	}
	return func(t *timing) { t.name = name }
}

// Send sends a command to an aggregate, itself included, once what the handler
// decides is durable: exactly once, and after what was sent before it. Commands of
// one aggregate to one aggregate arrive in the order in which they were sent.
//
// The command carries on the correlation, the trace and the user of the one that
// is being handled, which is its cause; without a correlation the conversation
// begins here, under the present command's id. Its id depends only on the
// aggregate, on the present command, and on how much the handler sent before.
//
// Nothing is sent if the handler returns an error. Send panics, and the command is
// then not executed, for an address that no aggregate can have and a command that
// cannot be encoded as JSON. See [MaxOutgoing] for the bounds.
func (c *Context) Send(to Address, command Command, opts ...SendOption) {
	if err := to.Validate(); err != nil {
		panic(fmt.Sprintf("actor: %s sends %T: %v", c.instance.address, command, err))
	}
	var s sending
	for _, opt := range opts {
		opt(&s)
	}
	name, data := mustEncode(command)
	o := Outgoing{To: to, Name: name, Data: data}
	if s.fallback != nil {
		name, data := c.mustBeOwn(s.fallback)
		o.OnRefusal = &Fallback{To: c.instance.address, Name: name, Data: data}
	}
	c.emit(o)
}

// After sets a timer: the aggregate gets the command once d has passed since
// [Context.Now]; with d of 0 or less, at once. See [Context.At], also for the latest
// time that is allowed.
func (c *Context) After(d time.Duration, command Command, opts ...TimerOption) {
	c.At(c.Now().Add(d), command, opts...)
}

// At sets a timer: the aggregate itself gets the command at t, not before, exactly
// once, and whether or not anything of it is in memory then. A time that has
// passed means at once. Timers have names; setting one again replaces what it was
// set to, and [Context.Cancel] takes it back. Both are certain: a firing on its way
// has no effect once they are durable.
//
// The time is compared with the clock of the node that has the aggregate. When the
// command is handled, Now is the time that it was set for. That the command is
// refused ends the timer, too.
//
// A command that sets a timer for a time after [MaxTimerTime], however it comes by it,
// is refused with [ErrTimerTime], and nothing of it is stored.
//
// At panics like [Context.Send], and for a command that the aggregate does not
// declare itself.
func (c *Context) At(t time.Time, command Command, opts ...TimerOption) {
	name, data := c.mustBeOwn(command)
	s := timing{name: name}
	for _, opt := range opts {
		opt(&s)
	}
	if s.name == name {
		c.cancelFormer(name)
	}
	c.set(s.name, name, data, t)
}

func (c *Context) set(timer, command string, data []byte, t time.Time) {
	if t.After(MaxTimerTime) {
		if x := c.beyondBounds(); x.lateTimer == "" {
			x.lateTimer = timer
		}
	}
	c.emit(Outgoing{To: c.instance.address, Name: command, Data: data, At: wireTime(t), Timer: timer})
}

// Cancel takes back the timer of that name. Without one it does nothing.
func (c *Context) Cancel(name string) {
	if c.hasTimer(name) {
		c.emit(Outgoing{To: c.instance.address, Timer: name})
	}
	c.cancelFormer(name)
}

// cancelFormer takes back the timers that have the name which a command had before: it
// was renamed while they were set.
func (c *Context) cancelFormer(command string) {
	for _, former := range c.instance.behavior.formerNames(command) {
		if c.hasTimer(former) {
			c.emit(Outgoing{To: c.instance.address, Timer: former})
		}
	}
}

// hasTimer reports whether the timer is set, with what the handler has done so far.
func (c *Context) hasTimer(name string) bool {
	for _, o := range slices.Backward(c.out) {
		if o.Timer == name {
			return o.Name != ""
		}
	}
	_, ok := c.instance.timers[name]
	return ok
}

// emit makes o part of the decision.
func (c *Context) emit(o Outgoing) {
	if o.Name != "" {
		o.ID = c.nextOut()
		o.Metadata = c.message.handOn()
	} else {
		o.Metadata.Causation = string(c.message.ID) // for who reads the history
	}
	c.outBytes += len(o.Data)
	if o.Name != PerformCommand { // whose parts were looked at
		c.bounded("the data of "+o.Name, o.Data)
	}
	if o.OnRefusal != nil {
		c.outBytes += len(o.OnRefusal.Data)
		c.bounded("the data of "+o.OnRefusal.Name, o.OnRefusal.Data)
	}
	if len(c.out) >= MaxOutgoing || c.outBytes > MaxOutgoingBytes || o.OnRefusal != nil && len(o.OnRefusal.Data) > MaxFallbackBytes {
		c.overflow = true
		return
	}
	c.out = append(c.out, o)
}

// nextOut returns the id of the next command that the handler sends.
func (c *Context) nextOut() CommandID {
	return InternalID(c.message.Time, "out", c.instance.address.String(), string(c.message.ID), strconv.Itoa(len(c.out)))
}

// mustBeOwn encodes a command that the aggregate itself declares.
func (c *Context) mustBeOwn(command Command) (name string, data []byte) {
	name, data = mustEncode(command)
	if h := c.instance.behavior.commands[name]; h == nil || h.payload != commandType(command) {
		panic(fmt.Sprintf("actor: %s does not declare %T, which it wants to get", c.instance.address.Kind, command))
	}
	return name, data
}

// NewMessage returns the message that asks an aggregate for a command, without an id
// and a time. The error is an [*Error].
func NewMessage(to Address, command Command, opts ...CallOption) (Message, error) {
	return newMessage(TypeCommand, to, command, opts)
}

func mustEncode(command Command) (name string, data []byte) {
	typ := commandType(command)
	if typ == nil {
		panic("actor: no command to send")
	}
	data, err := json.Marshal(command)
	if err != nil {
		panic(fmt.Sprintf("actor: encode %T: %v", command, err))
	}
	return wireName(typ), data
}

// commandType returns the type of a command, also of a pointer to one, which has
// its methods and so compiles; nil for none.
func commandType(command any) reflect.Type {
	typ := reflect.TypeOf(command)
	if typ != nil && typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	return typ
}

// wireTime is t as it is stored: in microseconds, never earlier than t, and never
// the zero time, which means at once. What lies before 1970 is at once as well; beyond
// [MaxTimerTime] it is that. Neither would fit into 64 bits of microseconds if it is
// far enough away.
func wireTime(t time.Time) time.Time {
	first := time.UnixMicro(1).UTC()
	switch {
	case t.Before(first):
		return first
	case t.After(MaxTimerTime):
		return MaxTimerTime
	}
	us := t.UnixMicro()
	if time.UnixMicro(us).Before(t) {
		us++
	}
	return time.UnixMicro(us).UTC()
}

// handOn returns the metadata of what m causes. What does not fit is left out, the
// user last.
func (m *Message) handOn() Metadata {
	md := m.Metadata
	if md.Correlation == "" {
		md.Correlation = string(m.ID)
	}
	md.Causation = string(m.ID)
	for _, part := range []*string{&md.Trace, &md.Correlation, &md.Causation} {
		if md.size() > MaxMetadataBytes {
			*part = ""
		}
	}
	return md
}

func (m *Metadata) size() int {
	return len(m.Trace) + len(m.Correlation) + len(m.Causation) + len(m.User)
}

func (m *Metadata) isUTF8() bool {
	return utf8.ValidString(m.Trace) && utf8.ValidString(m.Correlation) && utf8.ValidString(m.Causation) && utf8.ValidString(m.User)
}
