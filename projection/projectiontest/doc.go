// Package projectiontest holds the contract of [projection.Storage] as one suite,
// and an event stream in memory for tests of read models.
//
// # Concurrency
//
// [Stream] is safe for concurrent use. [Run] runs its tests in parallel.
//
// # Failures
//
// The suite ends tests. A stream fails readers that want another one.
package projectiontest
