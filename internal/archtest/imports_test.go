package archtest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/internal/archtest"
)

const root = "../.."

func TestModule_ImportsFollowTheRule(t *testing.T) {
	t.Parallel()
	statSources(t, root)
	packages, err := archtest.List(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if !contains(packages, archtest.Module+"/actor") || !contains(packages, archtest.Module+"/runtime") {
		t.Fatalf("go list knows only %d packages of the module, and not all that must be there", len(packages))
	}
	for _, v := range archtest.Check(packages, archtest.Rules()) {
		t.Error(v)
	}
}

// statSources looks at every source file of the module, because go test does not
// see what the go command reads that the test runs: it would give an old result
// out of its cache.
func statSources(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		_, err = os.Stat(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func contains(packages []archtest.Package, path string) bool {
	for _, p := range packages {
		if p.ImportPath == path {
			return true
		}
	}
	return false
}
