// Package audit checks the trading application's invariants from the store alone.
//
// It folds all commits into a [Ledger] of its own, with none of the aggregates' code
// but their events' types: a mistake in an aggregate is not made twice. The ledger is
// then at rest, as nobody may trade meanwhile, and [Ledger.Check] returns what does not
// hold, with the aggregate and the numbers. Each rule is an [Invariant].
//
// # Concurrency
//
// A [Ledger] belongs to one goroutine.
//
// # Failures
//
// [Read] fails if the store cannot be read to its end, or holds what is no event of
// the application. What contradicts the invariants is no error but a [Violation].
package audit
