// Package netproxy stands between a client and a server on TCP and misbehaves on
// demand: it can be cut, cut in one direction, healed and slowed down. A cut
// stalls connections and does not close them, which is what a partition of a real
// network does and what a stopped server does not.
//
// [Proxy] is a port of its own, for anything that connects to an address. [Dialer]
// plugs into drivers that discover their servers themselves, as those of MongoDB
// and NATS do: it sends every address that is dialled through a proxy, so one
// client can be cut off from all servers while these still see each other. [Egress]
// does the same for a child process, with a link of its own for each server:
// [DialThrough] is the dialer that goes into the child.
//
// One difference to a real partition remains: a new connection is accepted while
// the network is cut, since the operating system does that, and then stays silent
// instead of timing out in the dial.
//
// It is no use of an existing proxy because the ones that embed, toxiproxy above
// all, drop the bytes of a cut or close the connection; TCP does neither.
//
// # Concurrency
//
// All methods may be called from any goroutine. A proxy runs a goroutine that
// accepts and up to six for each connection, and so does an egress; Close waits for all of them.
//
// # Failures
//
// Only [New] and a dial can fail, with the error of the network. When the target
// refuses a connection, the client's one is closed.
package netproxy
