// Package effort decides how a client pursues one message: when it tries again,
// what an answer to one of several tries means, and what the caller may be told.
//
// # Concurrency
//
// An [Effort] belongs to one goroutine. It does no I/O and reads no clock: time
// comes in as an argument, events as calls.
//
// # Failures
//
// The package reports none. What an Effort gives up with is never more than is
// known: [actor.CodeUnknownOutcome] as long as any try is in doubt.
package effort
