// Package store is the persistence contract of the runtime, over encoded
// records: commits, snapshots, leases, the feed of commits, and parked
// messages. Package storetest holds the same contract as a suite that every
// implementation passes.
//
// Everything that the promises of the runtime rest on is decided here: that a
// commit is unique on (aggregate, version), and that a claim of a partition
// changes hands only by compare-and-set.
//
// # Concurrency
//
// All methods of a [Store] are safe for concurrent use. None of them starts work
// that outlives its call, except that a write whose outcome is unknown may take
// effect later.
//
// # Failures
//
// [ErrConflict] and [ErrTooLarge] are definite: nothing was written. Every
// other error of a write is [ErrUnknown]: it may have been written, or may yet
// be. A read that fails wraps [ErrUnavailable], or [ErrCorrupt] when what is
// stored cannot be understood. Losing a compare-and-set on a session or claim
// is [ErrLost]. Implementations translate the errors of their driver once and
// keep the cause.
package store
