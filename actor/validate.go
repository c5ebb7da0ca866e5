package actor

import (
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"
)

// Validator is implemented by a command or query that can tell by itself whether it is
// valid, with a value or a pointer receiver. It is asked before the handler, and before
// creation policies and the expected version, by the owner of the aggregate for every
// command, also one that an aggregate sends or a timer brings, and by the gateway before
// that where the command cannot have been decided yet: see package gateway.
//
// An error refuses the command: it is not executed, and unlike a handler's rejection it
// is stored nowhere, so that an invalid command costs no write and leaves no history of an
// aggregate that does not exist. A [*Rejection], or an error that wraps one, is the
// refusal as it is; any other error becomes [ErrInvalid] with its text, which reaches the
// caller. Both are 422 over HTTP. As nothing is stored, another attempt with the same id is
// validated again, by the rules of the build that it meets; what was decided once is
// answered from the record, whatever Validate says of it now.
//
// Like a handler, Validate must depend on nothing but the command, must not change it, and
// does no I/O. A panic in it is the handler's: the command is tried again and then parked.
// Only the command itself is asked: it validates what is nested in it, if it wants to. A
// command that embeds a Validator is one, by the rules of Go.
type Validator interface{ Validate() error }

// ErrInvalid is the refusal of a command whose [Validator] has returned an error that is
// no [*Rejection]; the text of the error is its message.
var ErrInvalid = Reject("invalid", "the command is not valid")

// maxInvalidBytes bounds the text of an [ErrInvalid]: an error may repeat what it is about.
const maxInvalidBytes = 1 << 10

// validatorOf returns what asks the Validate of command C; nil: C has none.
func validatorOf[C any](decode func(data []byte) (C, error)) func(data []byte) error {
	if _, ok := any(new(C)).(Validator); !ok {
		return nil
	}
	return func(data []byte) error {
		command, err := decode(data)
		if err != nil {
			return &Error{Code: CodeMalformed, Detail: err.Error()}
		}
		return invalid(any(&command).(Validator).Validate())
	}
}

// invalid turns the error of a Validate into a rejection; nil: it is valid.
func invalid(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Rejection](err); ok {
		return answerOf(err)
	}
	text := err.Error()
	return &Rejection{Code: ErrInvalid.Code, Message: strings.ToValidUTF8(text[:min(len(text), maxInvalidBytes)], "")}
}

// examine reports as a [*Error] or a [*Rejection] what a message is refused for by itself.
// It panics as the command's Validate does.
func (h *handler) examine(m *Message, strict bool) error {
	if strict && !m.ID.Internal() && !h.reaction {
		err := decodeObject(m.Data, reflect.New(h.payload).Interface()) // in the order of [Behavior.CheckCommand]
		if err == nil {
			err = checkStrict(h.payload, m.Data)
		}
		if err != nil {
			return &Error{Code: CodeMalformed, Detail: err.Error()}
		}
	}
	if h.validate == nil {
		return nil
	}
	return h.validate(m.Data)
}

// Examine reports what a command or query is refused for by itself, whatever the state
// of its aggregate: a [*Error] with [CodeMalformed] for fields that a kind with
// [Definition.Strict] does not know, or the [*Rejection] of its [Validator]. It runs no
// handler. A Validate that panics is reported as a [*Panic]. The command must have passed
// [Behavior.CheckCommand]; without a handler for it, there is nothing to report.
func (b *Behavior) Examine(m *Message) (err error) {
	h := b.handlers(m.Type)[m.Name]
	if h == nil || m.Type == TypeState {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s: Validate: %w", m.Name, &Panic{Value: v, Stack: debug.Stack()})
		}
	}()
	return h.examine(m, b.strict)
}

// refuseInvalid is the decision of a message that is refused for what it is. It meets no
// state, and so has no version. Where its sender waits for a refusal, or it was a
// timer's, the refusal is part of the history like any other, and is recorded.
func (i *Instance) refuseInvalid(m *Message, err error) Decision {
	if e, ok := errors.AsType[*Error](err); ok {
		return i.Overrule(m, Outcome{Code: e.Code, Detail: e.Detail})
	}
	r, _ := errors.AsType[*Rejection](err)
	d := i.Overrule(m, Outcome{Code: CodeRejected, Rejection: r})
	d.Invalid = len(d.Events) == 0
	return d
}
