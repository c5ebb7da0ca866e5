// Package node is a ready-made node process: it reads a configuration, connects
// or embeds what it says, serves the aggregates that it is given, and offers
// subcommands against a running cluster. [Main] is a user's whole main:
//
//	func main() { node.Main(Accounts) }
//
// A process that wants more control makes a [Config], calls [Open], and runs the
// [Node] that it gets.
//
// # Concurrency
//
// A [Node] runs its own goroutines between Open and Close. Its methods are safe
// for concurrent use.
//
// # Failures
//
// A configuration is checked as a whole; Open reports all faults at once as
// errors that wrap [ErrConfig]. [ErrNATSRefused], [ErrNATSUntrusted] and
// [ErrNATSUnreachable] say why there is no connection, [ErrNoQuorum] that embedded
// servers did not find together, an [*UndecodableError] what is stored that the
// definitions cannot read, [ErrDataDirInUse] and [ErrOtherServer] that the data
// folder is somebody else's. Main exits with 2 for those, and with 1 when the
// node could not be started or could not go on. The first SIGTERM or SIGINT
// shuts down in order, the second at once.
package node
