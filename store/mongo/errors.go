package mongo

import (
	"errors"
	"fmt"
	"slices"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/ganglion-go/ganglion/store"
)

// The errors of [Open] and [New] that no other try mends.
var (
	// ErrStandalone: the server is not a member of a replica set. Majority writes
	// and change streams need one; a set of one member will do.
	ErrStandalone = errors.New("mongo: server is not in a replica set")
	// ErrDirect: the connection string keeps to one server of a set that has several.
	// When another one becomes the primary, every write would fail for ever.
	ErrDirect = errors.New("mongo: leave out directConnection=true and loadBalanced=true: the connection must follow the primary of the replica set")
	// ErrURI: the connection string cannot be parsed. It is not shown, since it may hold
	// a password.
	ErrURI = errors.New("mongo: the connection string cannot be parsed: is an option's value wrong, or a character of the user or password not percent-encoded?")
	// ErrServerVersion: the server is older than MongoDB 6.0.
	ErrServerVersion = errors.New("mongo: server is older than MongoDB 6.0")
	// ErrSchema: a collection exists in another form than this package needs.
	ErrSchema = errors.New("mongo: collection is not as needed")
)

// The codes of server errors that mean something definite.
const (
	codeNamespaceExists    = 48
	codeTooLarge           = 10334 // BSONObjectTooLarge
	codeTooLargeUpdate     = 17419
	codeTooLargeUpsert     = 17420
	codeDuplicateKey       = 11000
	codeHistoryLost        = 286 // ChangeStreamHistoryLost
	codeFatalStream        = 280 // ChangeStreamFatalError
	codeInvalidResumeToken = 260
	codeBadValue           = 2 // this and the next two: bytes that are no resume token
	codeFailedToParse      = 9
	codeOverflow           = 15
	codeSnapshotTooOld     = 239
	codeSnapshotGone       = 246 // SnapshotUnavailable
)

// writeError translates the driver's error of a write of one document.
//
// A duplicate key is left to the caller, who knows what it means. A write
// concern error goes first: the server has done its part, but whether it lasts is
// open. All that is not proven not to be written is unknown: a timeout, a broken
// connection, a primary that stepped down, a server that could not be found (the
// driver may have sent an earlier try), an ended context.
func writeError(what string, err error) error {
	if err == nil {
		return nil
	}
	if hasCode(err, codeTooLarge, codeTooLargeUpdate, codeTooLargeUpsert) && concernError(err) == nil {
		return fmt.Errorf("%s: %w: %w", what, store.ErrTooLarge, err)
	}
	return fmt.Errorf("%s: %w: %w", what, store.ErrUnknown, err)
}

// appendErrors translates the driver's error of one insert command of n
// documents. Documents that set is not called for are durable.
func appendErrors(err error, set func(i int, err error), n int) {
	if err == nil {
		return
	}
	carriedOut, ok := errors.AsType[driver.WriteException](err)
	if !ok || carriedOut.WriteConcernError != nil {
		// Also those that are said to be duplicates: what they collided with need
		// not last.
		err = fmt.Errorf("append commit: %w: %w", store.ErrUnknown, err)
		for i := range n {
			set(i, err)
		}
		return
	}
	for i := range carriedOut.WriteErrors {
		failed := carriedOut.WriteErrors[i]
		kind := store.ErrUnknown
		switch failed.Code {
		case codeDuplicateKey:
			kind = store.ErrConflict
		case codeTooLarge:
			kind = store.ErrTooLarge
		}
		set(failed.Index, fmt.Errorf("append commit: %w: %w", kind, failed))
	}
}

// readError translates the driver's error of a read. Errors of this package and
// of package store pass.
func readError(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrTokenExpired) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w: %w", what, store.ErrUnavailable, err)
}

// acknowledged reports whether a write was answered on behalf of a majority,
// whatever the answer. The server waits for the write concern after duplicate
// keys and writes that match nothing, too: the answer then rests on what is
// durable.
func acknowledged(err error) bool {
	if err == nil {
		return true
	}
	_, one := errors.AsType[driver.WriteException](err)
	_, bulk := errors.AsType[driver.BulkWriteException](err)
	return (one || bulk) && concernError(err) == nil
}

// concernError returns the write concern error in err, nil if there is none.
func concernError(err error) error {
	if e, ok := errors.AsType[driver.WriteException](err); ok && e.WriteConcernError != nil {
		return e.WriteConcernError
	}
	if e, ok := errors.AsType[driver.BulkWriteException](err); ok && e.WriteConcernError != nil {
		return e.WriteConcernError
	}
	return nil
}

// duplicate reports whether a majority stands behind a duplicate key.
func duplicate(err error) bool {
	return hasCode(err, codeDuplicateKey) && concernError(err) == nil
}

func hasCode(err error, codes ...int) bool {
	known, ok := errors.AsType[driver.ServerError](err)
	if !ok {
		return false
	}
	return slices.ContainsFunc(codes, known.HasErrorCode)
}

// optional takes the error of a read of one document that need not exist.
func optional(err error) error {
	if errors.Is(err, driver.ErrNoDocuments) {
		return nil
	}
	return err
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %w", store.ErrCorrupt, fmt.Errorf(format, args...))
}

// placeLost reports whether the server no longer knows the place that a change
// stream is to go on from, or never has.
func placeLost(err error) bool {
	return hasCode(err, codeHistoryLost, codeFatalStream, codeInvalidResumeToken, codeBadValue, codeFailedToParse, codeOverflow)
}

// Failures that have no error of the driver's.
var (
	errStreamClosed = errors.New("the server has closed the change stream")
	errScanTooLong  = errors.New("the scan takes too long")
	errIncomplete   = errors.New("no version or no events")
)

// isFinal reports whether another try would fail in the same way.
func isFinal(err error) bool {
	return errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrTokenExpired) || errors.Is(err, errScanTooLong)
}
