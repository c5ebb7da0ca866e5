package mongod

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNotFound says that no usable mongod binary could be found or fetched. The
// error that carries it is a [*NotFoundError].
var ErrNotFound = errors.New("mongod: no usable binary")

// ErrNotRunning says that the addressed member is down.
var ErrNotRunning = errors.New("mongod: member is not running")

// ErrNoPrimary says that no writable primary appeared before the context ended.
var ErrNoPrimary = errors.New("mongod: no writable primary")

// ErrNotReplicated says that a write did not reach all members before the context
// ended.
var ErrNotReplicated = errors.New("mongod: not all members follow")

// Attempt is one place where [Find] looked and why it did not serve.
type Attempt struct {
	Where string
	Err   error
}

// NotFoundError lists everything that [Find] tried, in order. It matches
// [ErrNotFound] and the errors of all attempts.
type NotFoundError struct {
	Tried []Attempt
}

// Error names every attempt on a line of its own.
func (e *NotFoundError) Error() string {
	var text strings.Builder
	text.WriteString(ErrNotFound.Error())
	text.WriteString("; set " + EnvBinary + " to one, or install one; tried:")
	for _, attempt := range e.Tried {
		fmt.Fprintf(&text, "\n  %s: %v", attempt.Where, attempt.Err)
	}
	return text.String()
}

// Unwrap gives [ErrNotFound] and the causes.
func (e *NotFoundError) Unwrap() []error {
	errs := []error{ErrNotFound}
	for _, attempt := range e.Tried {
		errs = append(errs, attempt.Err)
	}
	return errs
}

// ChecksumError says that downloaded bytes are not the expected ones. They were
// thrown away.
type ChecksumError struct {
	File      string
	Want, Got string // sha256 in lower-case hex
}

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("mongod: sha256 of %s is %s, want %s", e.File, e.Got, e.Want)
}

// StartError says that a member did not come up. LogTail holds the last lines
// that it wrote, at most 4 KiB.
type StartError struct {
	Addr    string
	LogPath string
	LogTail string
	Err     error
}

func (e *StartError) Error() string {
	return fmt.Sprintf("mongod: start %s: %v; the end of %s:\n%s", e.Addr, e.Err, e.LogPath, e.LogTail)
}

// Unwrap gives the cause.
func (e *StartError) Unwrap() error { return e.Err }
