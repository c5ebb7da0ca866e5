package testenv

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// earlierTimeout bounds the compilation of another build, all of whose packages may be new
// to the build cache.
const earlierTimeout = 15 * time.Minute

// Earlier compiles a main package as a commit of this repository has it, for tests of rolling
// upgrades, and returns the path of the binary. pkg is its folder, seen from the root of the
// module; files are more of its files, by name, as it need not be there then. The build's
// version is that of the commit.
func Earlier(t testing.TB, commit, pkg string, files map[string][]byte) string {
	t.Helper()
	source, binary := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "node")
	ctx, cancel := context.WithTimeout(t.Context(), earlierTimeout)
	defer cancel()
	run := func(in string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // git and go
		cmd.Dir = in
		out, err := cmd.Output()
		if err != nil {
			text := string(out)
			if failed, ok := err.(*exec.ExitError); ok { //nolint:errorlint // as Output returns it
				text += string(failed.Stderr)
			}
			t.Fatalf("testenv: the build of %s: %v: %v\n%s", commit, args, err, text)
		}
		return string(out)
	}
	root := run(".", "git", "rev-parse", "--show-toplevel")
	run(".", "git", "clone", "--quiet", "--shared", "--no-checkout", root[:len(root)-1], source)
	run(source, "git", "checkout", "--quiet", commit)
	for name, content := range files {
		file := filepath.Join(source, filepath.FromSlash(pkg), name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatalf("testenv: %v", err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatalf("testenv: %v", err)
		}
	}
	run(source, "go", "build", "-trimpath", "-o", binary, "./"+pkg) // the build cache then knows it, wherever it is
	return binary
}
