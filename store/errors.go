package store

import "errors"

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
