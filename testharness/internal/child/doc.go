// Package child runs child processes that end with their parent, and can be
// killed, paused and resumed.
//
// # Concurrency
//
// The methods of a [Process] are safe for concurrent use.
//
// # Failures
//
// Start fails when the program cannot be run. Everything else reports what the
// operating system says; ending a process that has ended is no failure.
package child
