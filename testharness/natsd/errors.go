package natsd

import (
	"errors"
	"fmt"
)

var (
	// ErrNotReady reports that the cluster did not gather before the context ended.
	ErrNotReady = errors.New("natsd: cluster not ready")
	// ErrNotRunning reports that the addressed server is down.
	ErrNotRunning = errors.New("natsd: server is not running")
	// ErrNoLeader reports a stream that has no leader at the moment.
	ErrNoLeader = errors.New("natsd: stream has no leader")
)

// StartError says that a server did not come up. LogTail holds the end of its log.
type StartError struct {
	Name    string
	LogTail string
	Err     error
}

// Error returns the name, the cause and the end of the log.
func (e *StartError) Error() string {
	return fmt.Sprintf("natsd: start %s: %v; the end of its log:\n%s", e.Name, e.Err, e.LogTail)
}

// Unwrap returns the cause.
func (e *StartError) Unwrap() error { return e.Err }
