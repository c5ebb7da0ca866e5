// Package memory is the reference implementation of package store: all of the
// contract, in the memory of one process, and nothing of it survives that
// process. It is meant for tests, and for reading what the contract says.
//
// Records are copied on the way in and on the way out, so that a caller which
// changes its buffers meets the same behaviour as with a store over a network.
//
// # Concurrency
//
// All methods are safe for concurrent use and hold one mutex for a short time.
// No goroutine is started. A follower of the feed waits on a channel that the
// next append closes.
//
// # Failures
//
// A call whose context has ended changes nothing; a write then returns
// store.ErrUnknown and a read store.ErrUnavailable, as any store may. Besides
// these only the definite errors of the contract occur.
package memory
