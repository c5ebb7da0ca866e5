package archtest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/internal/archtest"
)

const (
	natsGo     = "github.com/nats-io/nats.go"
	natsServer = "github.com/nats-io/nats-server/v2/server"
	driver     = "go.mongodb.org/mongo-driver/v2/mongo"
)

func ours(names ...string) []string {
	paths := make([]string, len(names))
	for i, n := range names {
		paths[i] = archtest.Module + "/" + n
	}
	return paths
}

// TestCheck_Edges tries edges that this module does not have, one by one.
func TestCheck_Edges(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		from, imports string
		allowed       bool
	}{
		{"actor", "encoding/json", true},
		{"actor", archtest.Module + "/store", false},
		{"actor", archtest.Module + "/internal/placement", false},
		{"actor", "golang.org/x/sync/errgroup", false},
		{"actor/actortest", archtest.Module + "/actor", true},
		{"actor/actortest", "github.com/google/go-cmp/cmp", true},
		{"actor/actortest", archtest.Module + "/runtime", false},
		{"store", archtest.Module + "/actor", false},
		{"store", driver, false},
		{"store/memory", archtest.Module + "/store", true},
		{"store/memory", archtest.Module + "/actor", false},
		{"store/mongo", driver, true},
		{"store/mongo", archtest.Module + "/internal/jsonbson", true},
		{"store/mongo", archtest.Module + "/store/memory", false},
		{"store/mongo", natsGo, false},
		{"internal/jsonbson", archtest.Module + "/runtime", false},
		{"store/jetstream", natsGo + "/jetstream", true},
		{"store/jetstream", natsServer, false},
		{"store/jetstream", archtest.Module + "/natsbus", false},
		{"store/jetstream", archtest.Module + "/store/mongo", false},
		{"runtime", archtest.Module + "/actor", true},
		{"runtime", archtest.Module + "/store", true},
		{"runtime", archtest.Module + "/store/memory", false},
		{"runtime", archtest.Module + "/natsbus", false},
		{"runtime", natsGo, false},
		{"runtime", driver, false},
		{"natsbus", archtest.Module + "/actor", true},
		{"natsbus", archtest.Module + "/actor/actortest", false},
		{"natsbus", archtest.Module + "/store", false},
		{"natsbus", archtest.Module + "/runtime", false},
		{"natsbus", natsServer, false},
		{"gateway", archtest.Module + "/actor", true},
		{"gateway", archtest.Module + "/natsbus", false},
		{"gateway", archtest.Module + "/store", false},
		{"node", natsServer, true},
		{"node", archtest.Module + "/gateway", true},
		{"node", archtest.Module + "/testharness", false},
		{"node", archtest.Module + "/examples/trader", false},
		{"cmd/node", archtest.Module + "/examples/trader", true},
		{"cmd/node", archtest.Module + "/testharness/mongod", false},
		{"testharness", archtest.Module + "/node", true},
	} {
		got := archtest.Check([]archtest.Package{{ImportPath: archtest.Module + "/" + test.from, Imports: []string{test.imports}}}, archtest.Rules())
		if allowed := len(got) == 0; allowed != test.allowed {
			t.Errorf("%s imports %s: allowed %v, want %v", test.from, test.imports, allowed, test.allowed)
		}
	}
}

func TestCheck_TestFiles(t *testing.T) {
	t.Parallel()
	got := archtest.Check([]archtest.Package{
		{
			ImportPath:   archtest.Module + "/natsbus",
			TestImports:  ours("testharness"),
			XTestImports: append(ours("natsbus", "testharness", "store/mongo"), natsServer),
		},
		{ImportPath: archtest.Module + "/store/memory", XTestImports: ours("store/memory", "store/storetest", "runtime")},
	}, archtest.Rules())
	want := []string{
		"the tests of natsbus import " + archtest.Module + "/store/mongo",
		"the tests of store/memory import " + archtest.Module + "/runtime",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

func TestCheck_PackageWithoutRule(t *testing.T) {
	t.Parallel()
	got := archtest.Check([]archtest.Package{
		{ImportPath: archtest.Module + "/util"},
		{ImportPath: archtest.Module + "/actors", Imports: []string{natsGo}},
		{ImportPath: "example.com/elsewhere", Imports: ours("runtime")},
	}, archtest.Rules())
	want := []string{
		"util has no rule: say in internal/archtest what it may import",
		"actors has no rule: say in internal/archtest what it may import",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

// TestCheck_LongestPatternWins: actor's rule is not what holds below it.
func TestCheck_LongestPatternWins(t *testing.T) {
	t.Parallel()
	rules := []archtest.Rule{
		{Packages: "a/...", Ours: []string{"b"}},
		{Packages: "a/strict"},
	}
	packages := []archtest.Package{
		{ImportPath: archtest.Module + "/a/strict", Imports: ours("b")},
		{ImportPath: archtest.Module + "/a/other", Imports: ours("b", "b/below")},
	}
	for range 2 {
		want := []string{"a/strict imports " + archtest.Module + "/b", "a/other imports " + archtest.Module + "/b/below"}
		if diff := cmp.Diff(want, archtest.Check(packages, rules)); diff != "" {
			t.Errorf("violations (-want +got):\n%s", diff)
		}
		rules[0], rules[1] = rules[1], rules[0]
	}
}
