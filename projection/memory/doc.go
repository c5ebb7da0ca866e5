// Package memory keeps views and checkpoints of projections in memory, for tests.
// What it holds is gone with it.
//
// # Concurrency
//
// All methods are safe for concurrent use. No goroutine is started.
//
// # Failures
//
// Only [projection.ErrConflict], and the error of a context that has ended.
package memory
