package testharness

import (
	"fmt"
	"os"
	"testing"

	"github.com/ganglion-go/ganglion/testharness/natsd"
)

// Main is the TestMain of a package that uses this harness:
//
//	func TestMain(m *testing.M) { testharness.Main(m) }
//
// It prepares virtual time (see [VirtualTime]), runs the tests, and then closes
// what they shared. It leaves the exit code to the testing package, except that
// it exits with 1 when a shared resource cannot be closed.
//
// In a process that package natsd has started it runs a server and no test.
func Main(m *testing.M) {
	if natsd.RunChild() {
		return
	}
	VirtualTime()
	closeShared := manageSharedMongo()
	m.Run()
	if err := closeShared(); err != nil {
		fmt.Fprintln(os.Stderr, "testharness: close shared replica sets:", err)
		os.Exit(1)
	}
}
