// Package slowsync runs child processes whose file system syncs take as long as the
// test says, as on a disk that is slow or has much to do.
//
// The kernel itself holds the calls: a seccomp filter that the child installs before it
// becomes the program under test hands every fsync, fdatasync and opening with O_SYNC or
// O_DSYNC to the test, which lets it go on after the delay. The program is unchanged,
// needs no other file system and no privilege, and syncs of different files wait beside
// each other, as with a disk of long latency. A file that is opened to be written
// synchronously counts as one sync. Linux alone has this.
//
// # Concurrency
//
// [New] and [Syncs.Command] are called from the test's goroutine; the other methods are
// safe for concurrent use. Goroutines end with the test.
//
// # Failures
//
// A system without seccomp notifications ends the test. A child that cannot install its
// filter exits with status 1 and says why.
package slowsync
