package archtest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/internal/doccode"
)

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// tutorial is run by the test of package doccode.
const tutorial = "docs/tutorial.md"

// TestDocs_CodeIsCompiled: every block of Go code is a file of this repository or a part of
// one, as its label says, see package doccode.
func TestDocs_CodeIsCompiled(t *testing.T) {
	t.Parallel()
	compared := 0
	for _, doc := range documents(t) {
		if doc == tutorial {
			continue
		}
		for _, b := range blocks(t, doc) {
			if b.Lang == "go" {
				compared++
				compare(t, doc, &b)
			}
		}
	}
	if compared < 6 {
		t.Errorf("%d blocks of Go code in the documents: has their form changed?", compared)
	}
}

func blocks(t *testing.T, doc string) []doccode.Block {
	t.Helper()
	all, err := doccode.Parse(readFile(t, doc))
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return all
}

func compare(t *testing.T, doc string, b *doccode.Block) {
	t.Helper()
	name, part := strings.CutPrefix(b.Label, "in ")
	switch {
	case !strings.HasSuffix(name, ".go"):
		t.Errorf("%s, line %d: no label says which file this code is of, see internal/doccode/doc.go", doc, b.Line)
	case part && !b.PartOf(readFile(t, name)):
		t.Errorf("%s, line %d: this is no part of %s", doc, b.Line, name)
	case !part && b.Text != readFile(t, name):
		t.Errorf("%s, line %d: %s is another one", doc, b.Line, name)
	}
}

func TestReadme_AnAggregateIsShort(t *testing.T) {
	t.Parallel()
	files, lines := 0, 0
	for _, b := range blocks(t, "README.md") {
		if b.Lang == "go" && files < 3 { // the aggregate, its test and a node
			files++
			lines += strings.Count(b.Text, "\n")
		}
	}
	if files != 3 || lines >= 60 {
		t.Errorf("an aggregate, its test and a node take %d lines in %d files, and should take less than 60", lines, files)
	}
}

func TestReadme_ListsEveryFlag(t *testing.T) {
	t.Parallel()
	readme := readFile(t, "README.md")
	variables := regexp.MustCompile(`env:"(GANGLION_\w+)"`).FindAllStringSubmatch(readFile(t, "node/flags.go"), -1)
	flags := len(variables)
	for _, variable := range variables {
		env := variable[1]
		flag := "--" + strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(env, "GANGLION_"), "_", "-"))
		if row := "| `" + flag + "` | `" + env + "` | "; !strings.Contains(readme, row) {
			t.Errorf("README.md has no row %s", row)
		}
	}
	if listed := strings.Count(readme, "\n| `--"); listed != flags {
		t.Errorf("README.md lists %d flags, the node has %d", listed, flags)
	}
}

// TestDocs_NameWhatExists: links between the documents, and files of code that
// they name.
func TestDocs_NameWhatExists(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	file := regexp.MustCompile("`([a-z][A-Za-z0-9_./-]*/[A-Za-z0-9_.-]+\\.(?:go|md|yml))`")
	code := regexp.MustCompile("(?ms)^```.*?^```$")
	for _, doc := range documents(t) {
		text := code.ReplaceAllString(readFile(t, doc), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(doc), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", doc, m[1], err)
			}
		}
		for _, m := range file.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s names %s: %v", doc, m[1], err)
			}
		}
	}
}

func documents(t *testing.T) []string {
	t.Helper()
	docs := []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}
	err := fs.WalkDir(os.DirFS(root), "docs", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			docs = append(docs, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return docs
}
