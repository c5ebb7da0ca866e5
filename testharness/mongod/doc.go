// Package mongod finds or fetches a MongoDB server binary and runs replica sets
// of it as child processes on this machine, for tests, benchmarks and demos. It
// is not meant for production.
//
// [Find] looks for a binary in the environment variable [EnvBinary], on PATH and
// in the user's cache directory, and downloads a pinned and checksummed one at
// last. [StartReplicaSet] starts one or more members and waits for a writable
// primary. Each [Member] can be killed, paused and restarted, and with
// [Config.Proxied] cut off from everybody.
//
// To cut one client off while the members still see each other, leave the set
// as it is and put a netproxy.Dialer between that client's driver and its
// network, see the example.
//
// # Concurrency
//
// All methods may be called from any goroutine, except [ReplicaSet.Close], which
// must be the last. For every running member one goroutine holds one operating
// system thread: on Linux a child is killed by the kernel when the thread that
// forked it ends, so this thread must live exactly as long as the child does.
// Elsewhere a child outlives a parent that is killed before it calls Close.
//
// # Failures
//
// [ErrNotFound]: there is no binary, the [*NotFoundError] says what was tried;
// skip or install one. [*ChecksumError]: a download was not what it should be
// and is gone. [*StartError]: a member did not come up or initiate, it carries
// the end of the log. [ErrNoPrimary]: no election was won before the context
// ended, as in a set that has lost its majority. [ErrNotReplicated]: a member did
// not follow before the context ended. [ErrNotRunning]: the member to
// pause or resume is down.
package mongod
