package projection

import (
	"errors"
	"fmt"
)

// The errors of a [Storage]. Every error of one wraps one of the first four.
var (
	// ErrConflict: a document was not at the revision that a write expected.
	// Nothing was written.
	ErrConflict = errors.New("document has moved on")
	// ErrUnknown: the writes may have been made, or may be made yet. They never are
	// once another write has changed a document whose revision they expect.
	ErrUnknown = errors.New("outcome of the writes is unknown")
	// ErrTooLarge: the writes, or one of them, are more than the storage takes.
	// Nothing was written.
	ErrTooLarge = errors.New("writes are too large")
	// ErrUnavailable: the storage did not answer. Nothing was written.
	ErrUnavailable = errors.New("storage is not available")
)

// The errors of the package itself.
var (
	// ErrConfig reports what is wrong with a [Config] or with how projections are
	// put together.
	ErrConfig = errors.New("invalid projection configuration")
	// ErrNotFound: there is no such projection, document or parked aggregate.
	ErrNotFound = errors.New("not found")
	// ErrRebuilding: a rebuild of the projection is under way.
	ErrRebuilding = errors.New("a rebuild is under way")
	// ErrNotRebuilding: no rebuild of the projection is under way.
	ErrNotRebuilding = errors.New("no rebuild is under way")
	// ErrRouter: what was asked makes no sense for a router, which has no view.
	ErrRouter = errors.New("a router has no view")
	// ErrRetired: the generation of the view that is being read has been dropped.
	// Read again.
	ErrRetired = errors.New("the view was replaced while it was read")
	// ErrNotFollowed: the projection does not read events of that kind, so that
	// waiting for one would never end.
	ErrNotFollowed = errors.New("the projection does not follow this kind")
	// ErrParkingFull: no more events can be parked, so the partition of the
	// projection stands still until some are retried or skipped.
	ErrParkingFull = errors.New("too many parked events")
	// ErrParked: what was waited for is not in the view, as an event of its aggregate
	// failed and waits. The error is a [*ParkedError].
	ErrParked = errors.New("the event is parked")
	// ErrTooDeep: a document has more than [actor.MaxDepth] levels of objects and arrays,
	// or holds itself.
	ErrTooDeep = errors.New("the document is nested too deeply")
	// ErrName: a collection or key that cannot be stored.
	ErrName = errors.New("invalid name of a collection or key")
	// ErrCollection: the projection has no such collection. The error is a
	// [*CollectionError].
	ErrCollection = errors.New("the projection declares no such collection")
	// ErrRange: a [Range] with a limit that is negative, or too high for a page, or with
	// a prefix or a beginning that no key can have.
	ErrRange = errors.New("invalid range")
	// ErrKey: a key that [Key] has not made, or not of such parts.
	ErrKey = errors.New("the key is not made of such parts")
)

// ParkedError is the answer to who waits for a view that lacks an event, as it or one
// before it failed. It wraps [ErrParked]; a wait that ended while the engine was still
// trying also wraps the cause of its context.
type ParkedError struct {
	Projection string
	Parked     Parked // without Stack
	cause      error
}

func (e *ParkedError) Error() string {
	text := fmt.Sprintf("%s: event %s, version %d of %s, failed and is %s: %s",
		e.Projection, e.Parked.Event, e.Parked.Version, e.Parked.Source, e.Parked.State, e.Parked.Reason)
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap returns ErrParked, and the cause of the context if that ended the wait.
func (e *ParkedError) Unwrap() []error {
	if e.cause != nil {
		return []error{ErrParked, e.cause}
	}
	return []error{ErrParked}
}
