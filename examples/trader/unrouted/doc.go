// Package unrouted is a web application as people put it behind a load balancer:
// any server takes any command, loads the aggregate from MongoDB, decides, and
// saves with a version check. It is what Ganglion is measured against, so it is
// written to be good at it:
//
//   - A commit carries the state after it. Loading is one read of one document by
//     its key, not a replay; it stays that when histories grow.
//   - The version check is the unique key (aggregate, version) of an insert: no
//     transaction, no second index.
//   - A save that loses is tried again from a new load, a bounded number of times,
//     after a random pause that doubles ("full jitter": M. Brooker, "Exponential
//     Backoff And Jitter", 2015).
//   - Optionally each server keeps aggregates in a cache, and lets one request at a
//     time change an aggregate.
//
// It speaks the routes and bodies of Ganglion's gateway, as far as its users, make
// bench-routing and the stage, need them, so that one client can drive both.
//
// # Concurrency
//
// A [Server] and a [Mongo] are safe for concurrent use and start no goroutine.
//
// # Failures
//
// A command answers 409 gave_up when all its attempts lost, 503 when nothing was
// saved for another reason, and 504 outcome_unknown when nobody can say whether
// its save took effect. There is no memory of commands: a client that repeats one
// after 504 may do it twice.
package unrouted
