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

	// ErrOtherStore reports a stream that belongs to another store: somebody else uses
	// the namespace. The error is a [*StoreError].
	ErrOtherStore = errors.New("streams belong to another store")

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
	Configured actor.Partitions // or of the streams, if InStore
	Found      actor.Partitions
	InStore    bool // Found is the store's, otherwise the command stream's
}

// Error returns both numbers.
func (e *PartitionsError) Error() string {
	if e.InStore {
		return fmt.Sprintf("configured for %d partitions (--partitions, or what the command stream has), the store is divided into %d", e.Configured, e.Found)
	}
	return fmt.Sprintf("configured for %d partitions, the command stream has %d", e.Configured, e.Found)
}

// Unwrap returns [ErrPartitionsMismatch].
func (e *PartitionsError) Unwrap() error { return ErrPartitionsMismatch }

// StoreError says which stores differ: by identity, and what people call them where
// that is known. It wraps [ErrOtherStore].
type StoreError struct {
	Stream                     string
	Found, FoundName           string // in the stream's metadata
	Configured, ConfiguredName string // this node's
}

// Error names both stores.
func (e *StoreError) Error() string {
	return fmt.Sprintf("stream %s belongs to store %s (%s), this node's store is %s (%s): two clusters need two namespaces",
		e.Stream, e.Found, defaultTo(e.FoundName, "no name"), e.Configured, defaultTo(e.ConfiguredName, "no name"))
}

// Unwrap returns [ErrOtherStore].
func (e *StoreError) Unwrap() error { return ErrOtherStore }
