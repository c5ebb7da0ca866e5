// Package tradertest runs the whole trading application in memory, for tests: every
// aggregate, saga and policy, and between them a network that is as bad as the real
// one may be. Commands between two aggregates keep their order, those of different
// ones overtake each other at random, and some come twice. What is committed is kept
// as the commits of a store.
//
// # Concurrency
//
// A [World] is safe for concurrent use. It starts no goroutine.
//
// # Failures
//
// Handlers that panic and commits that contradict themselves end the test.
package tradertest
