package archtest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGuarantees_NameTestsThatExist: every test that docs/guarantees.md calls a
// proof is there, in the package that it names, and so is every case of the
// store's contract.
func TestGuarantees_NameTestsThatExist(t *testing.T) {
	t.Parallel()
	text := readFile(t, "docs/guarantees.md")
	named := regexp.MustCompile("`([a-z][a-z/]*)\\.(Test\\w+)`").FindAllStringSubmatch(text, -1)
	for _, m := range named {
		if !hasTest(t, m[1], m[2]) {
			t.Errorf("docs/guarantees.md names a test %s of %s, and there is none", m[2], m[1])
		}
	}
	// A name in any other form would not be looked up.
	if all := regexp.MustCompile(`\bTest[A-Z]\w*`).FindAllString(text, -1); len(all) != len(named)+1 { // one is in a command line
		t.Errorf("docs/guarantees.md names %d tests, %d of them as `package.Test`", len(all), len(named))
	}
	contract := sources(t, "store/storetest", "*.go")
	cases := regexp.MustCompile("`([A-Z]\\w+/[a-z][a-z ]*)`").FindAllStringSubmatch(text, -1)
	for _, m := range cases {
		if !strings.Contains(contract, `{"`+m[1]+`", `) {
			t.Errorf("docs/guarantees.md names the case %q, and the store's contract has none", m[1])
		}
	}
	if len(named) < 30 || len(cases) < 5 {
		t.Errorf("found %d tests and %d cases in docs/guarantees.md: has its form changed?", len(named), len(cases))
	}
}

func hasTest(t *testing.T, pkg, test string) bool {
	t.Helper()
	return strings.Contains(sources(t, pkg, "*_test.go"), "\nfunc "+test+"(t *testing.T)")
}

// sources returns the text of a package's files that match.
func sources(t *testing.T, pkg, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pkg, pattern))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}
