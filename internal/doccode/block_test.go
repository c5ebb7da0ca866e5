package doccode_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/internal/doccode"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const document = "# Title\n\n<!-- a/b.go -->\n```go\npackage b\n```\ntext\n**c.go**, added:\n```go\n\n// ``` no fence\n```\n\n```\nplain\n```\n  ```no\n"
	got, err := doccode.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	want := []doccode.Block{
		{Line: 4, Lang: "go", Label: "a/b.go", Text: "package b\n"},
		{Line: 9, Lang: "go", Label: "c.go", Text: "\n// ``` no fence\n"},
		{Line: 14, Text: "plain\n"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
	if _, err := doccode.Parse("a\n```sh\nls\n"); !errors.Is(err, doccode.ErrOpenBlock) {
		t.Errorf("a block without an end: %v", err)
	}
}

func TestBlock_PartOf(t *testing.T) {
	t.Parallel()
	const file = "package a\n\nfunc f() {\n\tif x {\n\t\ty()\n\n\t\tz()\n\t}\n}\n"
	for text, want := range map[string]bool{
		"if x {\n\ty()\n\n\tz()\n}\n": true,
		"package a\n":                 true,
		"}\n":                         true,
		"\tif x {\n\t\ty()\n":         true,
		"if x {\n\t\ty()\n":           false, // not the same indentation
		"if x {\n\tz()\n":             false, // a line is left out
		"x {\n":                       false, // not a whole line
		"y()\nz()\n":                  false,
		"":                            false,
		"\n":                          false,
		"}\n}\n}\n":                   false,
	} {
		if got := (&doccode.Block{Text: text}).PartOf(file); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestBlock_Prints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, output string
		whole, part  bool
	}{
		{"a\n", "a\n", true, true},
		{"a\n", "a", true, true},
		{"a\n", "a\nb\n", false, true},
		{"b\n", "a\nb\n", false, true},
		{"a\nb\n", "a\n\nb\r\n", true, true},
		{"a b\n", "a\t  b  \n", true, true},
		{"a\n...\nb\n", "a\nb\n", true, true},
		{"a\n...\nb\n", "a\n1\n2\nb\n", true, true},
		{"a\n...\n", "a\n1\n2\n", true, true},
		{`{"id":"...","n":1}`, `{"id":"x","n":1}`, true, true},
		{`{"id":"...","n":1}`, `{"id":"x","n":2}`, false, false},
		{`{"id":"...","n":1}`, "{\"id\":\"x\n\",\"n\":1}", false, false}, // not over lines
		{"(a)+\n", "aa\n", false, false},
		{"", "a\n", false, true},
		{"", "", true, true},
	} {
		b := &doccode.Block{Text: c.text}
		if whole, part := b.Prints(c.output, false), b.Prints(c.output, true); whole != c.whole || part != c.part {
			t.Errorf("%q of %q: %v as a whole, %v as a part", c.text, c.output, whole, part)
		}
	}
}
