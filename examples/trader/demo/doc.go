// Package demo runs the whole of the trading application on one machine, as separate
// processes of one binary: two nodes with web servers, three NATS servers, a MongoDB
// replica set of three and a load balancer. It also has the parts themselves, as
// subcommands that can be started by hand, on machines of their own: docs/two-machines.md.
//
// It is no way to run production: everything is on one machine, nobody authenticates to
// NATS and MongoDB, and MongoDB is found or fetched by testharness/mongod.
//
// # Concurrency
//
// A [Demo] belongs to the caller of [Run]. Each part has a goroutine that starts it, waits
// for its end and starts it again. On Linux another one keeps the thread that has forked
// the process, see start.
//
// # Failures
//
// A part that does not come up ends [Run] with the end of its log. One that ends later,
// killed or by itself, is started again some seconds later; one that ends right after its
// start, three times in a row, stays down, and Run says so. No process outlives Run, also
// if it is killed: each watches a pipe to it, and on Linux has a signal that comes with its
// parent's death besides.
package demo
