// Package storetest holds the contract of package store as one suite of tests.
// Every implementation passes it; an author of a store runs it like this:
//
//	func TestStore(t *testing.T) {
//		t.Parallel()
//		storetest.Run(t, func(t *testing.T) store.Store { return open(t) })
//	}
//
// [Config] tells the suite what it cannot find out: how to open a second client
// of the same data, and which commit is certainly too large. The random tests
// print their seed; GANGLION_SEED=n runs them with that seed again.
//
// [Faulty] wraps any store and makes it fail in the ways that stores fail, for
// tests of what stands on a store.
//
// # Concurrency
//
// The subtests run in parallel, each on its own empty store. A [Faulty] is safe
// for concurrent use.
//
// # Failures
//
// A subtest fails when the store breaks the contract, and when a healthy store
// answers store.ErrUnknown or store.ErrUnavailable.
package storetest
