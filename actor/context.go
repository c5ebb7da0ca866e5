package actor

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// Context is what a handler knows besides its state and its command. It is
// valid until the handler returns and belongs to the handler's goroutine.
type Context struct {
	instance *Instance
	message  *Message
	now      time.Time // of the owner; zero: the time of the message
	raised   []Event
	out      []Outgoing
	outBytes int
	event    *EventRecord // that a saga reacts to; nil: none
	excess   *excess      // what goes beyond a bound; nil: nothing

	ids       int32
	entered   bool // the handler itself was reached
	overflow  bool // more was sent than is allowed
	deadlined bool // the handler has set the saga's deadline itself
}

// excess is what a decision would have in it that is beyond a bound.
type excess struct {
	deep      string // what is nested too deeply, for people; empty: nothing
	bulky     string // an input or reply of an effect that is too large, for people; empty: none
	lateTimer string // name of the first timer that would be set beyond MaxTimerTime; empty: none
}

// beyondBounds returns what the decision has of that, to be added to.
func (c *Context) beyondBounds() *excess {
	if c.excess == nil {
		c.excess = &excess{}
	}
	return c.excess
}

// Event is a raised event in the form in which it is stored.
type Event struct {
	Name string
	Data []byte // JSON
}

// Address returns the aggregate's own address.
func (c *Context) Address() Address { return c.instance.address }

// Version returns the aggregate's version, as callers are told it, with the events just
// raised. See [Instance.Told].
func (c *Context) Version() Version { return c.instance.shown }

// CommandID returns the id of the command.
func (c *Context) CommandID() CommandID { return c.message.ID }

// Now returns the time at which the owner of the aggregate first came to decide the
// command, by its own clock, in UTC; whoever made the command has no part in it. The
// same owner shows the same time should it have to decide the command again, and the
// next owner shows its own. For the command of a timer it is the time that the timer
// was set for.
func (c *Context) Now() time.Time {
	if !c.now.IsZero() {
		return c.now.UTC()
	}
	return c.message.Time.UTC()
}

// NewID returns a new UUIDv7 that depends only on the aggregate, the command's
// id and the time at which its caller made it, and how many ids the handler took before.
func (c *Context) NewID() string {
	c.ids++
	return string(DeriveID(c.message.Time, c.instance.address.String(), string(c.message.ID), strconv.Itoa(int(c.ids))))
}

// Timer returns the name of the timer that has sent the command to its own aggregate;
// empty: it comes from elsewhere.
func (c *Context) Timer() string { return c.message.Timer }

// Metadata returns what travels with the command.
func (c *Context) Metadata() Metadata { return c.message.Metadata }

// Raise applies an event to the state, now, and makes it part of the decision.
// It becomes durable before the reply leaves. What is applied is the event as it will be
// read again: encoded as JSON and decoded. So a replay cannot lead to another state, the
// state shares no memory with what the handler holds, and whatever JSON does not keep is
// missing at once. Raise panics, and the command is then not executed, when the event's
// type was not declared with [Apply], and when it cannot be encoded as JSON or decoded
// again.
func (c *Context) Raise(event any) {
	b := c.instance.behavior
	e := b.raises[reflect.TypeOf(event)]
	if e == nil {
		panic(fmt.Sprintf("actor: %s raised %T, which it does not apply", c.instance.address.Kind, event))
	}
	data, err := json.Marshal(event)
	if err != nil {
		panic(fmt.Sprintf("actor: encode %T: %v", event, err))
	}
	if TooDeep(data) {
		c.bounded("event "+e.name, data)
	}
	c.raised = append(c.raised, Event{Name: e.name, Data: data})
	c.instance.advance(e.name)
	c.instance.tainted = true
	if e.apply != nil && !replaced(data) { // it is what a replay will decode
		e.apply(c.instance.state, event)
		return
	}
	if err := b.replays[e.name](c.instance.state, data); err != nil {
		panic(fmt.Sprintf("actor: %T does not come back from its JSON: %v", event, err))
	}
}

// raiseReserved raises an event of the runtime's own.
func (c *Context) raiseReserved(name string, data []byte) {
	c.raised = append(c.raised, Event{Name: name, Data: data})
	c.instance.tainted = true
	c.instance.replayReserved(name)
}
