package testharness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// buildTimeout bounds the compilation of a program on a machine that has much else to do.
const buildTimeout = 10 * time.Minute

// sharedPrograms holds what the tests of this binary have compiled, by package and flags.
// It is a global because a test binary is what they are shared by; [Main] empties it.
var sharedPrograms = struct {
	sync.Mutex
	managed bool // Main is there to remove them
	dir     string
	built   map[string]func() (string, error)
}{built: map[string]func() (string, error){}}

// Program compiles a main package and returns the path of the binary, which is not to be
// written to. The package is a path as go build takes it, seen from the working directory;
// flags are more arguments of go build. Whatever the tests of a package ask for is
// compiled once: a link takes seconds of both cores. Without [Main] as its TestMain, which
// removes the binaries, a package's tests compile one each.
func Program(t testing.TB, pkg string, flags ...string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("testharness: %v", err)
	}
	build, err := sharedBuild(dir, pkg, flags)
	if err != nil {
		t.Fatalf("testharness: %v", err)
	}
	if build == nil {
		own := filepath.Join(t.TempDir(), "node")
		build = func() (string, error) { return own, goBuild(dir, own, pkg, flags) }
	}
	binary, err := build()
	if err != nil {
		t.Fatalf("testharness: %v", err)
	}
	return binary
}

// sharedBuild returns nil where nobody would remove the binary.
func sharedBuild(dir, pkg string, flags []string) (build func() (string, error), err error) {
	key := strings.Join(append([]string{dir, pkg}, flags...), "\x00")
	sharedPrograms.Lock()
	defer sharedPrograms.Unlock()
	if !sharedPrograms.managed {
		return nil, nil
	}
	if sharedPrograms.dir == "" {
		if sharedPrograms.dir, err = os.MkdirTemp("", "ganglion-programs-"); err != nil {
			return nil, err
		}
	}
	build, ok := sharedPrograms.built[key]
	if !ok {
		binary := filepath.Join(sharedPrograms.dir, strconv.Itoa(len(sharedPrograms.built)), "node")
		build = sync.OnceValues(func() (string, error) { return binary, goBuild(dir, binary, pkg, flags) })
		sharedPrograms.built[key] = build
	}
	return build, nil
}

// goBuild has a context of its own: the binary outlives the test that asks for it first.
func goBuild(dir, binary, pkg string, flags []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	args := append(append([]string{"build"}, flags...), "-o", binary, pkg)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// manageSharedPrograms allows shared programs and returns what removes all of them.
func manageSharedPrograms() (removeAll func() error) {
	sharedPrograms.Lock()
	defer sharedPrograms.Unlock()
	sharedPrograms.managed = true
	return func() error {
		sharedPrograms.Lock()
		defer sharedPrograms.Unlock()
		sharedPrograms.managed = false
		if sharedPrograms.dir == "" {
			return nil
		}
		return os.RemoveAll(sharedPrograms.dir)
	}
}
