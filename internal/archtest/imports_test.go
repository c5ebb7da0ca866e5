package archtest_test

import (
	"testing"

	"github.com/ganglion-go/ganglion/internal/archtest"
	"github.com/ganglion-go/ganglion/internal/testenv"
)

const root = "../.."

func TestModule_ImportsFollowTheRule(t *testing.T) {
	t.Parallel()
	testenv.StatSources(t, root)
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

func contains(packages []archtest.Package, path string) bool {
	for _, p := range packages {
		if p.ImportPath == path {
			return true
		}
	}
	return false
}
