// Package nodes runs Ganglion nodes for tests: in process, or as child processes
// that can be killed, paused and restarted on the same data folder. [NewProgram] does the
// latter with what nodes ask, such as a service outside of the cluster.
//
// # Concurrency
//
// [Start] and [Spawn] are called from the test's goroutine; the methods of what
// they return are safe for concurrent use, except that one [Process] or [Program] must not be
// started and stopped by two goroutines at the same time.
//
// # Failures
//
// A node that does not come up within a bounded time ends the test, with what it
// has logged.
package nodes
