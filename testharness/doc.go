// Package testharness gives tests the real servers that Ganglion runs on:
// embedded NATS servers and clusters, and MongoDB replica sets of child
// processes, with the means to stop, kill, pause and cut them off. It is public:
// test your own aggregates and nodes with it.
//
// A package that uses it has one line of set-up:
//
//	func TestMain(m *testing.M) { testharness.Main(m) }
//
// Subpackage mongod runs replica sets without a *testing.T, for benchmarks and
// demos, and natsd does the same with NATS clusters of child processes. Subpackage
// netproxy makes a bad network out of a good one, and slowsync a slow disk. Subpackage chaos has all of it:
// a cluster of processes that breaks on a schedule, and the check of what its
// clients were told.
//
// # Virtual time
//
// [NATS] without options works inside a testing/synctest bubble: a consumer's
// AckWait of 30 s or a key's TTL passes in milliseconds, with the real server and
// a real file store. What that takes: [Main] or [VirtualTime] in TestMain; the
// server and all its clients started inside the bubble; connections through
// [NATSServer.Connect] or nats.InProcessServer. What cannot be in a bubble:
// anything with a socket, that is a listener, a cluster, a proxy or MongoDB. A
// socket's peer is outside, so a goroutine that waits for it keeps the bubble
// from being idle and its clock from moving.
//
// nats.go shares timers between all connections of a binary, and a timer must not
// leave its bubble: the process would die. [NATS] therefore lets one bubble run at
// a time, and none beside tests in real time. Connections to other servers than
// this package's are not kept apart; do not mix them with bubbles in one binary.
//
// # Concurrency
//
// All constructors may be called from parallel tests; each server has its own
// directory and ports. They take the test that owns the server, and must be
// called from its goroutine, since they end the test on failure. Servers stop in
// the test's clean-up, after the clean-ups that were registered later, such as
// those of connections. No goroutine is left then, except those of [VirtualTime].
//
// # Failures
//
// A constructor ends the test when its server does not come up within a bounded
// time. Without a mongod, [Mongo] and [SharedMongo] skip the test with a loud
// line, and fail it where the environment variable CI is set: a run in CI that
// tested nothing must not look like one that passed.
package testharness
