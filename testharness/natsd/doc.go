// Package natsd runs clusters of NATS servers with JetStream as child processes,
// which can be killed, paused, restarted and cut off from each other. The server
// is the one that is compiled into the test: a child is the test binary itself,
// started again. A package that uses natsd therefore needs
//
//	func TestMain(m *testing.M) { testharness.Main(m) }
//
// or a TestMain, or main, that begins with [RunChild].
//
// For tests that need no killed process, testharness.NATSCluster runs servers in
// the process of the test, which is faster.
//
// # Concurrency
//
// All methods may be called from any goroutine, except that one [Server] must not
// be started and killed at the same time, and that [Cluster.Close] must be the
// last. Every running server has one goroutine that holds an operating system
// thread, as with package mongod.
//
// # Failures
//
// [*StartError]: a server ended instead of coming up; it carries the end of its
// log. [ErrNotReady]: JetStream had no leader that all servers follow before the
// context ended. [ErrNotRunning]: the server to pause or resume is down.
// [ErrNoLeader]: the stream has none at the moment.
package natsd
