package testharness

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// removeWithin bounds the removal of a folder at a test's end.
const removeWithin = 10 * time.Second

// TempDir is t.TempDir for the store of a NATS server in this process: it removes the
// folder again and again for a while. A server that has shut down may still be writing
// the files of a batch that its client did not finish, and t.TempDir then fails the
// test with "directory not empty".
func TempDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store") // its parent is removed after it
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatalf("testharness: %v", err)
	}
	t.Cleanup(func() {
		end := time.After(removeWithin)
		for {
			err := os.RemoveAll(dir)
			if err == nil {
				return
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-end:
				t.Errorf("testharness: remove the store: %v", err)
				return
			}
		}
	})
	return dir
}
