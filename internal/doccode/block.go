package doccode

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ErrOpenBlock is wrapped by the error for a block that does not end.
var ErrOpenBlock = errors.New("the block does not end")

const fence = "```"

// Block is a fenced block of a document in Markdown.
type Block struct {
	Line  int    // of its fence, from 1
	Lang  string // as the fence says; empty: it says nothing
	Label string // empty: it has none
	Text  string // its lines, each with its end
}

// Parse returns the blocks of a document, in their order. Fences are at the beginning of a
// line.
func Parse(document string) ([]Block, error) {
	var blocks []Block
	lines := strings.SplitAfter(document, "\n")
	for i := 0; i < len(lines); i++ {
		lang, opens := strings.CutPrefix(strings.TrimSpace(lines[i]), fence)
		if !opens || !strings.HasPrefix(lines[i], fence) {
			continue
		}
		b := Block{Line: i + 1, Lang: lang}
		if i > 0 {
			b.Label = label(lines[i-1])
		}
		length := slices.IndexFunc(lines[i+1:], func(line string) bool { return strings.TrimRight(line, " \r\n") == fence })
		if length < 0 {
			return nil, fmt.Errorf("line %d: %w", b.Line, ErrOpenBlock)
		}
		b.Text = strings.Join(lines[i+1:i+1+length], "")
		blocks = append(blocks, b)
		i += length + 1
	}
	return blocks, nil
}

// label returns what the line above a block says of it.
func label(line string) string {
	labels := regexp.MustCompile(`^(?:<!-- (.+) -->$|\*\*(.+?)\*\*)`)
	if m := labels.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
		return m[1] + m[2]
	}
	return ""
}

// PartOf reports whether the block is in text: its lines, one after another, with the same
// indentation before each of them that is not empty.
func (b *Block) PartOf(text string) bool {
	want, have := trimmedLines(b.Text), trimmedLines(text)
	if len(want) == 0 || want[0] == "" {
		return false
	}
	for i := range len(have) - len(want) + 1 {
		indent, found := strings.CutSuffix(have[i], want[0])
		if !found || strings.TrimLeft(indent, " \t") != "" {
			continue
		}
		if slices.EqualFunc(want, have[i:i+len(want)], func(w, h string) bool {
			return w == "" && h == "" || w != "" && h == indent+w
		}) {
			return true
		}
	}
	return false
}

// trimmedLines returns the lines without white space at their ends.
func trimmedLines(text string) []string {
	if text = strings.TrimRight(text, " \t\r\n"); text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \t\r")
	}
	return lines
}

// Prints reports whether output is what the block says, see the package's documentation.
// anywhere: it may be a part of the output.
func (b *Block) Prints(output string, anywhere bool) bool {
	var pattern strings.Builder
	for _, line := range trimmedLines(b.Text) {
		if strings.TrimSpace(line) == "..." {
			pattern.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		for i, part := range strings.Split(strings.Join(strings.Fields(line), " "), "...") {
			if i > 0 {
				pattern.WriteString(`[^\n]*`)
			}
			pattern.WriteString(regexp.QuoteMeta(part))
		}
		pattern.WriteString(`\n`)
	}
	expression := `(?m)^` + pattern.String()
	if !anywhere {
		expression = `\A` + pattern.String() + `\z`
	}
	return regexp.MustCompile(expression).MatchString(normal(output))
}

// normal returns the lines of a text that are not empty, with single blanks.
func normal(text string) string {
	var all strings.Builder
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 0 {
			all.WriteString(strings.Join(fields, " ") + "\n")
		}
	}
	return all.String()
}
