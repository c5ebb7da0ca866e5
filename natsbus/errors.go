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
	// or event stream, or that of deadlines, of this namespace: somebody else made it,
	// or has changed it.
	ErrForeignStream = errors.New("stream is not this namespace's own")

	// ErrPartitionsMismatch reports a number of partitions other than the one the
	// command stream was created with. The error is a [*PartitionsError].
	ErrPartitionsMismatch = errors.New("number of partitions differs from the command stream's")

	// ErrNotProvisioned reports a namespace without one of its streams.
	ErrNotProvisioned = errors.New("namespace has no such stream")

	// ErrStreamLost reports that the command stream, or the one that an error is
	// about, has been deleted, or deleted and created anew. Sequences of the lost stream mean nothing in another one.
	ErrStreamLost = errors.New("stream lost")

	// ErrEventsLost reports that the event stream has been deleted, or that another
	// one has taken its place. Positions in the lost stream mean nothing in another.
	ErrEventsLost = errors.New("event stream lost")

	// ErrEventsMoved reports that events were not appended because the event stream
	// does not end where the caller thought, or is another one, or has no leader.
	ErrEventsMoved = errors.New("event stream has another end")

	// ErrEventsTrimmed reports that events which a reader has not had were removed
	// from the event stream. They are in the store.
	ErrEventsTrimmed = errors.New("events removed from the stream")
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
