package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestModuleDirs_FindsModulesButNotTheToolsOrTheMainOne(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, dir := range []string{"", "bench", "deep/below", "tools", ".hidden", "a/testdata/fixture"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, dir, "go.mod"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := moduleDirs(root)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i], err = filepath.Rel(root, got[i]); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"bench", filepath.Join("deep", "below")}, got); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
}

func TestFaultPackages_FindsThoseWithSuchTests(t *testing.T) {
	t.Parallel()
	got, err := faultPackages(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"./node", "./runtime", "./store/mongo", "./testharness"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not among %v", want, got)
		}
	}
	if slices.Contains(got, "./gateway") || slices.ContainsFunc(got, func(p string) bool { return strings.HasPrefix(p, "./bench") }) {
		t.Errorf("packages without such tests, or of other modules: %v", got)
	}
}
