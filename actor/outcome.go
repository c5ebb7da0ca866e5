package actor

import (
	"encoding/json"
	"errors"
	"reflect"
)

// Code classifies an [Outcome]. The set is closed: these and an aggregate's own
// rejection codes are all that crosses the wire.
type Code string

// The codes. "Executed" means that the aggregate has decided.
const (
	CodeOK              Code = ""                  // executed and durable
	CodeRejected        Code = "rejected"          // executed; the aggregate said no
	CodeAlreadyExists   Code = "already_exists"    // executed; creation policy
	CodeDoesNotExist    Code = "does_not_exist"    // executed; creation policy
	CodeVersionMismatch Code = "version_mismatch"  // executed; expected version
	CodeEnded           Code = "ended"             // executed; a saga that has ended takes no commands
	CodeKeyReused       Code = "key_reused"        // not executed, never will be; its id is another command's, or it has other data
	CodeCancelled       Code = "cancelled"         // not executed; a timer that was cancelled, replaced or has fired
	CodeMalformed       Code = "malformed"         // not executed; never will be
	CodeUnknownKind     Code = "unknown_kind"      // not executed
	CodeUnknownCommand  Code = "unknown_command"   // not executed
	CodeTooLarge        Code = "too_large"         // not executed; a limit of size
	CodeOverloaded      Code = "overloaded"        // not executed; try later
	CodeNoOwner         Code = "no_owner"          // not executed; nobody served the partition in time
	CodeExpired         Code = "deadline_exceeded" // not executed; met its owner after its deadline
	CodeUnknownOutcome  Code = "outcome_unknown"   // may or may not have been executed; ask again with the same id
	CodeParked          Code = "parked"            // not executed; its handler panicked, it waits for an operator
	CodeStorageFull     Code = "storage_full"      // not executed; the disk of the node that was asked is full, or fails
	CodeUnloadable      Code = "unloadable"        // not executed; stored events cannot be decoded by this build
)

// Recorded reports whether a retry with the same id must get this outcome: the
// aggregate has decided.
func (c Code) Recorded() bool {
	switch c {
	case CodeOK, CodeRejected, CodeAlreadyExists, CodeDoesNotExist, CodeVersionMismatch, CodeEnded:
		return true
	default:
		return false
	}
}

// Outcome is what a caller is told about a message. It is a value; Reply must
// not be changed.
type Outcome struct {
	Code      Code
	Version   Version    // of the aggregate after the decision; 0 when none was made
	Reply     []byte     // JSON; set when Code is CodeOK
	Rejection *Rejection // set when Code is CodeRejected
	Detail    string     // for people; set on failures

	// Ended: it is the state of a saga that has ended. Owners of earlier builds do not say so.
	Ended bool `json:"-"`

	// Replayed: it was decided by an earlier attempt with the same id, of this caller or
	// another.
	Replayed bool   `json:"-"`
	Incident string // names the line of a node's log that has what Detail keeps back; mostly empty
}

// Err returns nil for [CodeOK], the [*Rejection] for [CodeRejected], and an
// [*Error] otherwise.
func (o Outcome) Err() error {
	switch {
	case o.Code == CodeOK:
		return nil
	case o.Code == CodeRejected && o.Rejection != nil:
		return o.Rejection
	default:
		return &Error{Code: o.Code, Detail: o.Detail}
	}
}

// Failure returns the outcome of a message that was not decided.
func Failure(code Code, detail string) Outcome { return Outcome{Code: code, Detail: detail} }

// Error is the runtime's answer to a message that it could not bring to a
// decision, or whose expectation was not met. Match it with errors.Is against
// the sentinels below, which compare by code.
type Error struct {
	Code   Code
	Detail string
}

// Sentinels for errors.Is.
var (
	ErrAlreadyExists   = &Error{Code: CodeAlreadyExists}
	ErrDoesNotExist    = &Error{Code: CodeDoesNotExist}
	ErrVersionMismatch = &Error{Code: CodeVersionMismatch}
	ErrEnded           = &Error{Code: CodeEnded}
	ErrKeyReused       = &Error{Code: CodeKeyReused}
	ErrCancelled       = &Error{Code: CodeCancelled}
	ErrMalformed       = &Error{Code: CodeMalformed}
	ErrUnknownKind     = &Error{Code: CodeUnknownKind}
	ErrUnknownCommand  = &Error{Code: CodeUnknownCommand}
	ErrTooLarge        = &Error{Code: CodeTooLarge}
	ErrOverloaded      = &Error{Code: CodeOverloaded}
	ErrNoOwner         = &Error{Code: CodeNoOwner}
	ErrExpired         = &Error{Code: CodeExpired}
	ErrUnknownOutcome  = &Error{Code: CodeUnknownOutcome}
	ErrParked          = &Error{Code: CodeParked}
	ErrUnloadable      = &Error{Code: CodeUnloadable}
	ErrStorageFull     = &Error{Code: CodeStorageFull}
)

// Error returns the code and the detail.
func (e *Error) Error() string {
	if e.Detail == "" {
		return string(e.Code)
	}
	return string(e.Code) + ": " + e.Detail
}

// Is reports whether target is an [*Error] with the same code.
func (e *Error) Is(target error) bool {
	t, ok := errors.AsType[*Error](target)
	return ok && t.Code == e.Code
}

// Rejection is an aggregate's typed "no". Declare one per reason as a package
// variable and return it, or a copy made by [Rejection.With], from a handler;
// at the caller errors.Is matches it by code. There, numbers among its details are
// float64, or a json.Number where a float64 would round.
type Rejection struct {
	Code    string         `json:"code"`
	Message string         `json:"message,omitempty"`
	Details map[string]any `json:"details,omitempty"`
}

// Reject returns a rejection with a stable code for machines and a message for
// people. It panics unless code is 1 to 64 bytes of a to z, 0 to 9, '-' and
// '_', starting with a letter.
func Reject(code, message string) *Rejection {
	if Kind(code).Validate() != nil {
		panic("actor: invalid rejection code " + code)
	}
	return &Rejection{Code: code, Message: message}
}

// Error returns the message, or the code where there is none.
func (r *Rejection) Error() string {
	if r.Message == "" {
		return r.Code
	}
	return r.Message
}

// Is reports whether target is a [*Rejection] with the same code.
func (r *Rejection) Is(target error) bool {
	t, ok := errors.AsType[*Rejection](target)
	return ok && t.Code == r.Code
}

// With returns a copy that carries a detail, which must be encodable as JSON, within
// [MaxDepth]. A handler's rejection keeps it as it is when the handler returns; details
// that cannot be encoded, or are deeper, are left out. Details of a rejection that a
// definition declares are checked by [Define].
func (r *Rejection) With(key string, value any) *Rejection {
	c := &Rejection{Code: r.Code, Message: r.Message, Details: map[string]any{key: value}}
	for k, v := range r.Details {
		if k != key {
			c.Details[k] = v
		}
	}
	return c
}

// fault is an error of a handler that is no rejection. It hides what it wraps: a handler
// that returns an [*Error] has not had the runtime refuse its command.
type fault struct{ err error }

// Error returns the handler's own text.
func (f *fault) Error() string { return f.err.Error() }

// answerOf turns a handler's error into a rejection, or into a fault if it is none.
func answerOf(err error) error {
	r, ok := errors.AsType[*Rejection](err)
	if !ok {
		return &fault{err}
	}
	if len(r.Details) == 0 {
		return r
	}
	details, ok := frozen(r.Details)
	if !ok {
		details = nil
	}
	return &Rejection{Code: r.Code, Message: r.Message, Details: details}
}

// frozen returns details that share no memory with the state, which changes before they
// are encoded for the caller. It is false for those that cannot be encoded.
func frozen(details map[string]any) (map[string]any, bool) {
	out := make(map[string]any, len(details))
	for key, value := range details {
		data, err := json.Marshal(value)
		if err != nil || TooDeep(data) {
			return nil, false
		}
		switch reflect.ValueOf(value).Kind() {
		case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Struct, reflect.Array:
			value = json.RawMessage(data)
		default: // a plain value is a copy already
		}
		out[key] = value
	}
	return out, true
}
