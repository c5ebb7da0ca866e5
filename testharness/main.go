package testharness

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/ganglion-go/ganglion/testharness/natsd"
	"github.com/ganglion-go/ganglion/testharness/slowsync"
)

// Main is the TestMain of a package that uses this harness:
//
//	func TestMain(m *testing.M) { testharness.Main(m) }
//
// It prepares virtual time (see [VirtualTime]), runs the tests, and then closes
// what they shared. It leaves the exit code to the testing package, except that
// it exits with 1 when a shared resource cannot be closed.
//
// In a process that package natsd has started it runs a server and no test, in one that
// package slowsync has started the program under test.
func Main(m *testing.M) {
	if natsd.RunChild() || slowsync.RunChild() {
		return
	}
	VirtualTime()
	closeMongo, removePrograms := manageSharedMongo(), manageSharedPrograms()
	m.Run()
	if err := errors.Join(closeMongo(), removePrograms()); err != nil {
		fmt.Fprintln(os.Stderr, "testharness: close what tests shared:", err)
		os.Exit(1)
	}
}
