package actor

import (
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// Policy is the definition of what follows from events without any memory: an event
// comes in, commands go out. It is immutable and may be shared. What has to remember
// something, to wait, or to hear of refusals is a saga.
type Policy struct{ behavior *Behavior }

// Behavior returns the erased definition: no commands, only [Behavior.Reactions].
func (p *Policy) Behavior() *Behavior { return p.behavior }

// IsPolicy reports whether b is a policy's: it has reactions, and no aggregates.
func (b *Behavior) IsPolicy() bool { return b.policy }

// IsSaga reports whether b is a saga's.
func (b *Behavior) IsSaga() bool { return b.saga != nil }

// PolicyDefinition collects the parts of a policy while [DefinePolicy] runs.
type PolicyDefinition struct{ behavior *Behavior }

// DefinePolicy returns the definition of a policy. Its name has the form of a kind,
// shares its namespace, and is part of the ids of what it sends: under another name
// it would send anew.
func DefinePolicy(name Kind, build func(*PolicyDefinition)) *Policy {
	defined := Define(name, func(*Definition[struct{}]) {})
	defined.behavior.policy = true
	build(&PolicyDefinition{behavior: defined.behavior})
	return &Policy{behavior: defined.behavior}
}

// When declares what follows from event E of a kind of aggregate. The function must
// depend on nothing but its arguments, and does no I/O: it only sends.
func When[A, E any](d *PolicyDefinition, from *Aggregate[A], h func(*PolicyContext, E)) {
	addReactions(d.behavior, from.behavior, func(r EventRecord, e E) ([]Message, error) {
		ctx := &PolicyContext{policy: d.behavior.kind, event: r}
		h(ctx, e)
		if ctx.overflow {
			return nil, &Error{Code: CodeTooLarge, Detail: fmt.Sprintf("%s sends more than %d commands or %d bytes, or data nested deeper than %d levels",
				d.behavior.kind, MaxOutgoing, MaxOutgoingBytes, MaxDepth)}
		}
		return ctx.sent, nil
	})
}

// PolicyContext is what a policy knows of an event, and how it sends. It is valid
// until the function returns and belongs to its goroutine.
type PolicyContext struct {
	policy   Kind
	event    EventRecord
	sent     []Message
	bytes    int
	ids      int
	overflow bool
}

// Event returns the event, in its present form.
func (c *PolicyContext) Event() EventRecord { return c.event }

// Now returns the time of the event, in UTC.
func (c *PolicyContext) Now() time.Time { return c.event.Time.UTC() }

// NewID returns a new UUIDv7 that depends only on the policy, the event, and how
// many ids were taken before.
func (c *PolicyContext) NewID() string {
	c.ids++
	return string(DeriveID(c.event.Time, "policy", string(c.policy), c.event.Source.String(),
		strconv.FormatUint(uint64(c.event.Version), 10), strconv.Itoa(c.ids)))
}

// Send sends a command, exactly once however often the event is routed. Nobody hears
// whether it is refused. It panics for an address that no aggregate can have and for
// a command that cannot be encoded; the event is then parked for this policy. The
// bounds are those of [Context.Send].
func (c *PolicyContext) Send(to Address, command Command) {
	if err := to.Validate(); err != nil {
		panic(fmt.Sprintf("actor: %s sends %v: %v", c.policy, reflect.TypeOf(command), err))
	}
	name, data := mustEncode(command)
	c.bytes += len(data)
	if len(c.sent) >= MaxOutgoing || c.bytes > MaxOutgoingBytes || TooDeep(data) {
		c.overflow = true
		return
	}
	c.sent = append(c.sent, Message{
		Target: to, ID: c.event.derive(c.policy, len(c.sent)), Name: name, Data: data,
		Time: c.Now(), Attempt: 1, Metadata: c.event.cause(),
	})
}
