package actor

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Version counts the events in an aggregate's history; a new aggregate has 0.
type Version uint64

// MessageType says what a [Message] asks for.
type MessageType uint8

// The types of message.
const (
	TypeCommand MessageType = iota // may raise events
	TypeQuery                      // a declared query: read only
	TypeState                      // the aggregate's state as JSON: read only
)

// Lane is the way by which a command reaches its owner.
type Lane uint8

// The lanes. Queries always take the direct lane.
const (
	LaneDurable Lane = iota // through the command stream: survives its owner
	LaneDirect              // a core request: no disk, the caller retries
)

// Creation says whether a command may meet a new or an existing aggregate.
type Creation uint8

// The creation policies.
const (
	CreateOrUse Creation = iota // either
	MustExist                   // refused with [CodeDoesNotExist] at version 0
	MustBeNew                   // refused with [CodeAlreadyExists] above version 0
)

// Expectation is what a caller requires of the aggregate before a command runs.
// The zero value requires nothing.
type Expectation struct {
	Creation Creation
	Exact    bool    // require that the version is Version
	Version  Version // meaningful when Exact
}

// Metadata travels with a command into the commit that it causes. All fields
// are optional, at most [MaxMetadataBytes] together.
type Metadata struct {
	Trace       string `json:"trace,omitempty"`       // W3C traceparent
	Correlation string `json:"correlation,omitempty"` // id of the conversation
	Causation   string `json:"causation,omitempty"`   // id of the message that caused this one
	User        string `json:"user,omitempty"`        // on whose behalf
}

// Wait has the owner of an aggregate hold the answer to a read of its state back. The zero
// value is answered at once. Owners of earlier builds answer at once, too, and so does one
// that holds 1,024 reads of the partition already.
type Wait struct {
	Beyond Version       // until the version is above that, or a saga has ended
	For    time.Duration // then it is answered all the same; [MaxWait] at most
}

// MaxWait bounds [Wait.For].
const MaxWait = 30 * time.Second

// MaxMetadataBytes bounds the sum of all fields of [Metadata].
const MaxMetadataBytes = 4096

// ErrMessage reports a message that no owner could accept.
var ErrMessage = errors.New("invalid message")

// Message is a command or query as it travels. It is a value; Data must not be
// changed once the message has been handed over.
type Message struct {
	Type     MessageType
	Lane     Lane
	Target   Address
	ID       CommandID // one intention; the same on every attempt; empty for reads
	Name     string    // of the command or query; empty for TypeState
	Data     []byte    // JSON object; empty means {}
	Time     time.Time // when the caller made it, by its clock; a fired timer's: what it was set for
	Deadline time.Time // not executed after it; zero: none. By the caller's clock: see [Delivery]
	Attempt  int       // 1 for the first; more when an earlier one may have been executed
	Expect   Expectation
	Metadata Metadata

	Wait      Wait      // of TypeState alone
	Timer     string    // of the target, that has fired; empty: none
	OnRefusal *Fallback // sent instead, should the command be refused; nil: nothing

	// Outside: it came from outside of the application's own code, over HTTP, or over NATS
	// with the rights of a client. What is [Internal] is refused to it. Package natsbus sets
	// it by the subject of a message.
	Outside bool
}

// Validate checks the parts that do not need a definition. The error wraps
// [ErrMessage] or [ErrAddress].
func (m *Message) Validate() error {
	if err := m.Target.Validate(); err != nil {
		return err
	}
	md := m.Metadata.size()
	switch {
	case m.Type > TypeState:
		return fmt.Errorf("type %d: %w", m.Type, ErrMessage)
	case m.Type != TypeState && !validName(m.Name):
		return fmt.Errorf("name %q: %w", m.Name, ErrMessage)
	case m.Type == TypeCommand && (m.ID == "" || len(m.ID) > MaxCommandIDBytes):
		return fmt.Errorf("command id of %d bytes, 1 to %d are allowed: %w", len(m.ID), MaxCommandIDBytes, ErrMessage)
	case !utf8.ValidString(string(m.ID)) || !m.Metadata.isUTF8():
		return fmt.Errorf("command id or metadata is not UTF-8, and cannot be stored as it is: %w", ErrMessage)
	case m.Wait != Wait{} && m.Type != TypeState, m.Wait.For < 0, m.Wait.For > MaxWait:
		return fmt.Errorf("a wait of %v, %v is the most, for a read of state alone: %w", m.Wait.For, MaxWait, ErrMessage)
	case md > MaxMetadataBytes:
		return fmt.Errorf("metadata of %d bytes, the limit is %d: %w", md, MaxMetadataBytes, ErrMessage)
	}
	if !expressible(m.Time) || !expressible(m.Deadline) {
		return fmt.Errorf("time or deadline is not within the years 1 to 9999: %w", ErrMessage)
	}
	if deeper(m.Data, maxWrappedDepth) {
		return fmt.Errorf("%s: %w", tooDeep("the data"), ErrMessage)
	}
	return m.validateEffects()
}

// Foreign returns an error, which wraps [ErrMessage], for what only the runtime itself
// may send: a name or an id of its own, the firing of a timer, a command that names
// whom its refusal is to be sent to. Whatever takes messages from callers asks for it.
func (m *Message) Foreign() error {
	switch {
	case m.ID.Internal():
		return fmt.Errorf("ids that begin with %q are the runtime's own: %w", reservedPrefix, ErrMessage)
	case reserved(m.Name):
		return fmt.Errorf("names that begin with %q are the runtime's own: %w", reservedPrefix, ErrMessage)
	case m.Timer != "":
		return fmt.Errorf("a caller cannot fire timer %q: %w", m.Timer, ErrMessage)
	case m.OnRefusal != nil:
		return fmt.Errorf("a caller cannot have a refusal sent to %s: %w", m.OnRefusal.To, ErrMessage)
	}
	return nil
}

// expressible reports whether JSON can have the time.
func expressible(t time.Time) bool { return t.UTC().Year() >= 1 && t.UTC().Year() <= 9999 }

func (m *Message) validateEffects() error {
	if m.Timer != "" && (m.Type != TypeCommand || !validName(m.Timer)) {
		return fmt.Errorf("timer %q: %w", m.Timer, ErrMessage)
	}
	f := m.OnRefusal
	if f == nil {
		return nil
	}
	switch {
	case m.Type != TypeCommand || !validName(f.Name):
		return fmt.Errorf("fallback %q: %w", f.Name, ErrMessage)
	case len(f.Data) > MaxFallbackBytes:
		return fmt.Errorf("fallback of %d bytes, the limit is %d: %w", len(f.Data), MaxFallbackBytes, ErrMessage)
	}
	if deeper(f.Data, maxWrappedDepth) {
		return fmt.Errorf("%s: %w", tooDeep("the fallback"), ErrMessage)
	}
	return f.To.Validate()
}

// validName accepts what can stand in a URL path and a NATS header unescaped.
func validName(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		if !isTokenByte(s[i]) && s[i] != '.' {
			return false
		}
	}
	return true
}

// Responder takes the one outcome of a delivery back to its caller.
type Responder interface {
	// Respond sends the outcome. It does not block and reports no error: a
	// caller that misses it asks again with the same id. Safe from any goroutine.
	Respond(Outcome)
}

// Delivery is a message that has reached the owner of its partition.
type Delivery struct {
	Message   Message
	Sequence  uint64    // position in the command stream; 0 on the direct lane
	More      int       // commands with the same sequence that follow
	Responder Responder // nil when nobody waits

	// Left is the time until the message's deadline as it arrives, which no clock of its
	// sender's has part in; less than 0: none is left. 0: nobody has measured it, and the
	// deadline is by this process's clock.
	Left time.Duration

	// Formerly is the id under which an earlier build may have sent the same command;
	// empty: none. What was recorded under it is the command's outcome.
	Formerly CommandID

	// Unreadable is a stored message that this build cannot read, and that nobody waits
	// for; nil: Message is one. It is to be kept, for another build or for people.
	Unreadable *Unreadable
}

// Unreadable is a message of the command stream as it was stored.
type Unreadable struct {
	Subject string              `json:"subject"`
	Header  map[string][]string `json:"header,omitempty"`
	Data    []byte              `json:"data,omitempty"`
	Reason  string              `json:"-"` // why it cannot be read
}
