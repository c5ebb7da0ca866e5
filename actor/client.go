package actor

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// Client brings messages to the owners of their aggregates. It is safe for
// concurrent use.
type Client interface {
	// Deliver sends a message and waits for its outcome, at most until the
	// context or the message's deadline ends, else for the client's own default.
	// It fills in an empty ID and Time, and tries again with the same id while
	// it is unsure. A failure of any kind is an Outcome; one that it cannot
	// know is CodeUnknownOutcome.
	Deliver(ctx context.Context, m Message) Outcome

	// Enqueue returns nil once the command stream has stored the command, which
	// is then executed at most once, whether or not anybody waits. The error is
	// an [*Error]. It fills in an empty ID and Time.
	Enqueue(ctx context.Context, m Message) error
}

// CallOption tunes one call.
type CallOption func(*Message)

// WithCommandID makes the call an attempt at the intention with the given id:
// it takes effect once, however often it is made.
func WithCommandID(id CommandID) CallOption { return func(m *Message) { m.ID = id } }

// ExpectVersion makes the command conditional on the aggregate's version.
func ExpectVersion(v Version) CallOption {
	return func(m *Message) { m.Expect.Exact, m.Expect.Version = true, v }
}

// ExpectNew makes the command conditional on the aggregate having no history.
func ExpectNew() CallOption { return func(m *Message) { m.Expect.Creation = MustBeNew } }

// ExpectExisting makes the command conditional on the aggregate having a history.
func ExpectExisting() CallOption { return func(m *Message) { m.Expect.Creation = MustExist } }

// Direct takes the direct lane: no disk on the way, and the command is gone if
// its owner dies before it has committed, unless the caller asks again.
func Direct() CallOption { return func(m *Message) { m.Lane = LaneDirect } }

// Until sets the time after which the command is not executed any more.
func Until(deadline time.Time) CallOption { return func(m *Message) { m.Deadline = deadline } }

// WithMetadata sets what travels with the command.
func WithMetadata(md Metadata) CallOption { return func(m *Message) { m.Metadata = md } }

// Ask sends a command and waits for its reply. The error is a [*Rejection] or
// an [*Error]; after [ErrUnknownOutcome] the caller may ask again with the same
// [WithCommandID]. Success means that the events are durable.
func Ask[R any, C Asking[R]](ctx context.Context, client Client, to Address, command C, opts ...CallOption) (R, error) {
	return call[R](ctx, client, TypeCommand, to, command, opts)
}

// Read sends a query and waits for its answer, which is linearizable with the
// commands of the aggregate. Errors are those of [Ask].
func Read[R any, Q Asking[R]](ctx context.Context, client Client, to Address, query Q, opts ...CallOption) (R, error) {
	return call[R](ctx, client, TypeQuery, to, query, opts)
}

// Send leaves a command with the command stream and returns when that has
// stored it. The error is an [*Error].
func Send[R any](ctx context.Context, client Client, to Address, command Asking[R], opts ...CallOption) error {
	m, err := newMessage(TypeCommand, to, command, opts)
	if err != nil {
		return err
	}
	return client.Enqueue(ctx, m)
}

func call[R any](ctx context.Context, client Client, t MessageType, to Address, payload any, opts []CallOption) (R, error) {
	var reply R
	m, err := newMessage(t, to, payload, opts)
	if err != nil {
		return reply, err
	}
	o := client.Deliver(ctx, m)
	if err := o.Err(); err != nil {
		return reply, err
	}
	if err := json.Unmarshal(o.Reply, &reply); err != nil {
		return reply, fmt.Errorf("reply of %s: %w", m.Name, err)
	}
	return reply, nil
}

func newMessage(t MessageType, to Address, payload any, opts []CallOption) (Message, error) {
	data, err := json.Marshal(payload)
	if err != nil {
		return Message{}, &Error{Code: CodeMalformed, Detail: err.Error()}
	}
	typ := reflect.TypeOf(payload)
	switch {
	case typ == nil:
		return Message{}, &Error{Code: CodeMalformed, Detail: "no command"}
	case TooDeep(data):
		return Message{}, &Error{Code: CodeMalformed, Detail: tooDeep(typ.String())}
	}
	if typ.Kind() == reflect.Pointer { // a pointer to a command has its methods, and so compiles
		typ = typ.Elem()
	}
	m := Message{Type: t, Target: to, Name: wireName(typ), Data: data}
	for _, opt := range opts {
		opt(&m)
	}
	return m, nil
}
