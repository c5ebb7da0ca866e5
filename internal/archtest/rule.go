package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// Module is the path of this module, with which the import paths of its
// packages begin.
const Module = "github.com/ganglion-go/ganglion"

// Rule says what a package may import.
//
// All patterns are exact paths, or end in "/..." and then include what lies
// below. Those of packages in this module are relative to it. "..." alone is
// everything.
type Rule struct {
	Packages  string   // whom it is for; of several the longest wins
	Ours      []string // packages of this module
	Libraries []string // packages of other modules
	Tests     []string // packages of this module in its test files, beside Ours, itself and what lies below
}

// Package is what `go list` says about one. Imports of the standard library may
// be among them.
type Package struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// Check returns the violations of the rules, in the order of packages.
func Check(packages []Package, rules []Rule) []string {
	var violations []string
	for _, p := range packages {
		name, ours := relative(p.ImportPath)
		if !ours {
			continue
		}
		rule, ok := find(rules, name)
		if !ok {
			violations = append(violations, name+" has no rule: say in internal/archtest what it may import")
			continue
		}
		violations = append(violations, rule.check(name, p)...)
	}
	return violations
}

func find(rules []Rule, name string) (best Rule, found bool) {
	for _, r := range rules {
		if match(r.Packages, name) && (!found || len(r.Packages) > len(best.Packages)) {
			best, found = r, true
		}
	}
	return best, found
}

func (r Rule) check(name string, p Package) []string {
	var violations []string
	for _, path := range p.Imports {
		if !r.allows(path) {
			violations = append(violations, fmt.Sprintf("%s imports %s", name, path))
		}
	}
	tests := slices.Concat(p.TestImports, p.XTestImports)
	slices.Sort(tests)
	for _, path := range slices.Compact(tests) {
		if !r.allowsTest(name, path) {
			violations = append(violations, fmt.Sprintf("the tests of %s import %s", name, path))
		}
	}
	return violations
}

func (r Rule) allows(path string) bool {
	if name, ours := relative(path); ours {
		return matchAny(r.Ours, name)
	}
	return isStandard(path) || matchAny(r.Libraries, path)
}

// allowsTest: tests may use any library that the module requires.
func (r Rule) allowsTest(self, path string) bool {
	name, ours := relative(path)
	return !ours || match(self+"/...", name) || matchAny(r.Ours, name) || matchAny(r.Tests, name)
}

func relative(path string) (name string, ours bool) {
	if path == Module {
		return ".", true
	}
	return strings.CutPrefix(path, Module+"/")
}

// isStandard: no package of the standard library has a dot in its first path
// element, and all others have one (go help importpath).
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

func match(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == below || strings.HasPrefix(name, below+"/")
	}
	return pattern == name
}
