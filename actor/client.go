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
	reply, _, err := call[R](ctx, client, TypeCommand, to, command, opts)
	return reply, err
}

// AskVersion is [Ask] that also returns the version of the aggregate after the command:
// what [ExpectVersion] takes, and what a view can be waited for. It comes with a
// [*Rejection] as well, and is 0 when nothing was decided.
func AskVersion[R any, C Asking[R]](ctx context.Context, client Client, to Address, command C, opts ...CallOption) (R, Version, error) {
	return call[R](ctx, client, TypeCommand, to, command, opts)
}

// Read sends a query and waits for its answer, which is linearizable with the
// commands of the aggregate. Errors are those of [Ask].
func Read[R any, Q Asking[R]](ctx context.Context, client Client, to Address, query Q, opts ...CallOption) (R, error) {
	reply, _, err := call[R](ctx, client, TypeQuery, to, query, opts)
	return reply, err
}

// ReadVersion is [Read] that also returns the version of the aggregate that the answer
// shows. It comes with a [*Rejection] as well, and is 0 for an aggregate without a history.
func ReadVersion[R any, Q Asking[R]](ctx context.Context, client Client, to Address, query Q, opts ...CallOption) (R, Version, error) {
	return call[R](ctx, client, TypeQuery, to, query, opts)
}

// State reads the state of an aggregate, or what its definition's [View] shows of it, and
// its version. V is a type that the JSON of that can be decoded into: the definition's own,
// or any with some of its fields. The answer is linearizable with the commands of the
// aggregate. The error is [ErrDoesNotExist] for an aggregate without a history, which has
// version 0, or another [*Error].
func State[V any](ctx context.Context, client Client, of Address, opts ...CallOption) (V, Version, error) {
	s, err := read[V](ctx, client, stateOf(of, opts))
	return s.State, s.Version, err
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

func call[R any](ctx context.Context, client Client, t MessageType, to Address, payload any, opts []CallOption) (R, Version, error) {
	var reply R
	m, err := newMessage(t, to, payload, opts)
	if err != nil {
		return reply, 0, err
	}
	o := client.Deliver(ctx, m)
	if err := o.Err(); err != nil {
		return reply, o.Version, err
	}
	if err := json.Unmarshal(o.Reply, &reply); err != nil {
		return reply, o.Version, fmt.Errorf("reply of %s: %w", m.Name, err)
	}
	return reply, o.Version, nil
}

func stateOf(of Address, opts []CallOption) Message {
	m := Message{Type: TypeState, Target: of}
	for _, opt := range opts {
		opt(&m)
	}
	return m
}

func read[V any](ctx context.Context, client Client, m Message) (s Shown[V], err error) {
	o := client.Deliver(ctx, m)
	s.Version, s.Ended = o.Version, o.Ended
	if err := o.Err(); err != nil {
		return s, err
	}
	if err := json.Unmarshal(o.Reply, &s.State); err != nil {
		return s, fmt.Errorf("state of %s: %w", m.Target, err)
	}
	return s, nil
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
