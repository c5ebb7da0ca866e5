// Package projectiontest tests read models without a node: given events, then documents.
//
//	projectiontest.New(t, Balances).
//		Given(Accounts.ID("a-1"), Deposited{Amount: 10}, Deposited{Amount: 5}).
//		ThenDocument("accounts", "a-1", Balance{Cents: 15}).
//		ThenNoDocument("accounts", "a-2")
//
// A [Scenario] runs the engine that nodes run, on a storage in memory, so that a test meets
// the same handlers, upcasters, JSON forms and parking. When the test ends, it also makes
// the view anew from the same events, and compares: see there. Functions of an application
// that read a view are given [Scenario.View].
//
// The router of a saga or a policy is a projection as well: [projection.NewReactor] gives
// it, and [Scenario.ThenSent] looks at what it sends. What sagas make of that is tested
// with package actortest, whose scenarios also bring all events to their sagas and
// policies.
//
// Beside that, the package holds the contract of [projection.Storage] as one suite, and an
// event stream in memory.
//
// # Concurrency
//
// A [Scenario] belongs to the test's goroutine, and runs its engine on one that ends with
// the test. [Stream] is safe for concurrent use. [Run] runs its tests in parallel.
//
// # Failures
//
// A Then that does not hold is reported with Errorf, so that one run shows all of them. A
// mistake in the test itself (an event that the definition does not know, a kind that the
// projection does not read) ends the test with Fatalf. The suite ends tests. A stream fails
// readers that want another one.
package projectiontest
