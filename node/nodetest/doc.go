// Package nodetest runs a node in the process of a test: the application as its own code
// opens it, with its configuration, its Setup and its Handler.
//
//	func TestMyApp(t *testing.T) {
//		t.Parallel()
//		n := nodetest.Start(t, app.Config(), app.Definitions()...)
//		response, err := n.HTTP().Post(n.URL()+"/v1/account/a-1/Deposit", "application/json", strings.NewReader(`{"amount":5}`))
//		// ...
//		n.AtRest() // sagas, policies, effects, timers that are due, and views
//		balance, found, err := projection.Get[Balance](t.Context(), n.View(app.Balances), "accounts", "a-1")
//	}
//
// What runs is what runs in production, but for the disk: store and streams are those of a
// NATS server in the process of the test, which waits for no disk. A start takes a
// quarter of a second. Of the configuration, whatever leads to other systems or to other tests
// is replaced: see [Start]. Tests run in parallel, each with a cluster of its own, and leave
// nothing behind.
//
// [Node.Restart] kills the node and opens it again on what it had stored, [Node.Join] opens
// another node of the same cluster.
//
// Time is the machine's, and cannot be moved: timers and deadlines of sagas are tested with
// package actortest, where it can, read models with package projectiontest. Neither needs a
// node.
//
// # Concurrency
//
// A [Node] belongs to the goroutine of its test, but for what it has of [node.Node]. One
// goroutine runs it, and ends with the test.
//
// # Failures
//
// What cannot be done, or not in time, ends the test with what was waited for. The node's
// log is in the test's output.
package nodetest
