package unrouted

import (
	"context"
	"errors"
)

// Errors of a [Storage].
var (
	// ErrConflict: the aggregate has that version already. Nothing was saved.
	ErrConflict = errors.New("unrouted: version conflict")
	// ErrUnknown: the save may or may not take effect.
	ErrUnknown = errors.New("unrouted: outcome unknown")
)

// Storage keeps the accounts of all servers.
type Storage interface {
	// Load returns the account as it was last saved, the zero value if it never was.
	Load(ctx context.Context, id string) (Account, error)
	// Append saves the event of command and the account after it. An error wraps
	// [ErrConflict] or [ErrUnknown].
	Append(ctx context.Context, id, command string, d Deposit, next Account) error
}
