package natsbus

import (
	"errors"
	"fmt"

	"github.com/ganglion-go/ganglion/actor"
)

var (
	// ErrConfig reports a configuration that cannot work. Nothing was created.
	ErrConfig = errors.New("invalid natsbus configuration")

	// ErrForeignStream reports a stream of the right name that is not the command
	// stream of this namespace: somebody else made it, or has changed it.
	ErrForeignStream = errors.New("stream is not a ganglion command stream")

	// ErrPartitionsMismatch reports a number of partitions other than the one the
	// command stream was created with. The error is a [*PartitionsError].
	ErrPartitionsMismatch = errors.New("number of partitions differs from the command stream's")

	// ErrNotProvisioned reports a namespace without a command stream.
	ErrNotProvisioned = errors.New("namespace has no command stream")

	// ErrStreamLost reports that the command stream has been deleted, or deleted
	// and created anew. Sequences of the lost stream mean nothing in another one.
	ErrStreamLost = errors.New("command stream lost")
)

// PartitionsError says which numbers differ. It wraps [ErrPartitionsMismatch].
type PartitionsError struct {
	Configured actor.Partitions
	Found      actor.Partitions
}

// Error returns both numbers.
func (e *PartitionsError) Error() string {
	return fmt.Sprintf("configured for %d partitions, the command stream has %d", e.Configured, e.Found)
}

// Unwrap returns [ErrPartitionsMismatch].
func (e *PartitionsError) Unwrap() error { return ErrPartitionsMismatch }
