// Package node is a ready-made node process: it reads a configuration, connects
// or embeds what it says, serves the aggregates that it is given, and offers
// subcommands against a running cluster. [Main] is a user's whole main:
//
//	func main() { node.Main(Accounts) }
//
// A process that wants more control makes a [Config], calls [Open], and runs the
// [Node] that it gets.
//
// # Applications
//
// [MainWith] takes a [Config] with what is the application's own. [Config].Setup opens it
// when the node is open and does not serve yet: the node has its client, its views
// ([Node.View]) and a registry of metrics ([Node.Metrics]) by then, and closes what Setup
// has given to [Node.OnClose]. [Config].Handler says what the HTTP address serves: routes,
// pages and middleware beside the API, on one port, behind the same guard. The API is an
// ordinary handler, to be mounted anywhere, also under a prefix; [Node.GatewayConfig],
// [NewHistory] and [NewCluster] are for servers elsewhere. [Config].Flags and
// [Config].Commands put flags and subcommands beside the node's. The example shows a whole
// program.
//
// Values come from a flag, from its environment variable, from the Config, or are the
// default, in this order. What is empty says nothing.
//
// # Who may come in
//
// The HTTP API and the admin server listen on the loopback interface unless the
// configuration says otherwise. Both refuse requests of pages of other origins (403
// cross_origin) and requests for hosts that are not theirs (421 unknown_host); what
// X-Forwarded headers say does not count. On an address that other machines reach, the
// admin server asks for a token (401 unauthorized); on a unix socket, which only the
// node's user may open, for nothing. GET /livez and GET /readyz need none of these. No
// log line and no error shows a password.
//
// # Probes
//
// The admin server serves before anything else is opened, which may take minutes where
// NATS servers of other nodes are waited for, or longer. GET /livez is 200 from then on,
// until the process ends. GET /readyz is 503 with what the node waits for, until it has
// all that it serves with and a valid lease. Whatever else operators ask for is 503
// meanwhile. Requests of the API wait for the node, and are 503 no_owner after 10 s.
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
// [ErrNATSUnreachable] say why there is no connection, [ErrCertificate] which certificate
// cannot be used, [ErrNoQuorum] that embedded
// servers did not find together, an [*UndecodableError] what is stored that the
// definitions cannot read, an [*UndeclaredError] which commands wait that they do not
// declare, [ErrDataDirInUse] and [ErrOtherServer] that the data
// folder is somebody else's. Main exits with 2 for those, and with 1 when the
// node could not be started or could not go on. The first SIGTERM or SIGINT
// shuts down in order, the second at once.
package node
