// Package loopback picks TCP ports on 127.0.0.1 for servers that must know
// their port before they listen on it: cluster routes of NATS, members of a
// replica set, servers that come back on the same address after a restart.
//
// Ports are taken from below the range that kernels use for outgoing
// connections, so that no client socket can occupy the port of a server that is
// down for a moment. A reserved port is marked by a UDP socket bound to the same
// number: UDP does not get in the way of the TCP server, and every other process
// that reserves through this package sees the mark, also while the server is
// down. The kernel removes the mark with the process.
//
// # Concurrency
//
// [Reserve] may be called from any goroutine and any number of processes.
// [Port.Release] is safe to call more than once.
//
// # Failures
//
// [Reserve] fails with [ErrNoPort] when a bounded number of tries found no free
// port. A program that does not use this package can still take a reserved TCP
// port; the server then reports that itself.
package loopback
