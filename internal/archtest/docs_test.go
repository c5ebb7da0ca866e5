package archtest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestReadme_CodeIsCompiled: a code block under a comment that names a file is
// that file.
func TestReadme_CodeIsCompiled(t *testing.T) {
	t.Parallel()
	blocks := regexp.MustCompile("(?s)<!-- (\\S+\\.go) -->\n```go\n(.*?)```\n").FindAllStringSubmatch(readFile(t, "README.md"), -1)
	if len(blocks) < 3 {
		t.Fatalf("README.md shows %d files, and not an aggregate, its test and its main", len(blocks))
	}
	lines := 0
	for i, b := range blocks {
		if want := readFile(t, b[1]); b[2] != want {
			t.Errorf("README.md shows another %s than there is", b[1])
		}
		if i < 3 { // what follows is told of further on
			lines += strings.Count(b[2], "\n")
		}
	}
	if lines >= 60 {
		t.Errorf("an aggregate, its test and a node take %d lines, and should take less than 60", lines)
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
	for _, doc := range documents(t) {
		text := readFile(t, doc)
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
