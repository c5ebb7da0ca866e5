package store

import (
	"errors"
	"fmt"
)

// The errors of a store. Match them with errors.Is.
var (
	// ErrConflict: another commit has that version of the aggregate. Nothing was written.
	ErrConflict = errors.New("version conflict")
	// ErrTooLarge: a record exceeds what the store can hold. Nothing was written.
	ErrTooLarge = errors.New("record too large")
	// ErrUnknown: a write may or may not have taken effect, or may yet do so.
	ErrUnknown = errors.New("outcome unknown")
	// ErrUnavailable: a read did not succeed; another try may.
	ErrUnavailable = errors.New("store unavailable")
	// ErrCorrupt: a stored record cannot be understood.
	ErrCorrupt = errors.New("stored record cannot be understood")
	// ErrLost: the session or claim is no longer as the caller knew it. Nothing was written.
	ErrLost = errors.New("session or claim lost")
	// ErrTokenExpired: the feed can no longer be resumed from a token.
	ErrTokenExpired = errors.New("feed token expired")
)

// GapError says that a history has a gap. It wraps [ErrCorrupt]. What is stored behind the gap
// can be loaded after the version Found-1.
type GapError struct {
	Aggregate Aggregate
	After     Version // the last one before the gap
	Found     Version // with which the next commit starts
}

// Error says where the gap is.
func (e *GapError) Error() string {
	return fmt.Sprintf("version %d of %q follows on %d: %v", e.Found, e.Aggregate, e.After, ErrCorrupt)
}

// Unwrap returns [ErrCorrupt].
func (e *GapError) Unwrap() error { return ErrCorrupt }
