package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Paths that publish writes, under the root of the repository.
const (
	jsonPath  = "docs/why-routing.json"
	chartPath = "docs/why-routing.svg"
	storyPath = "docs/why-routing.md"
	frontPath = "README.md"
)

// The lines between which publish writes.
const (
	figuresBegin = "<!-- figures: written by make bench-routing -->\n"
	figuresEnd   = "<!-- end of figures -->\n"
)

// errMarkers: a document lacks the place for the figures.
var errMarkers = errors.New("no place for the figures")

func publishedJSON(root string) string { return filepath.Join(root, jsonPath) }

// publish writes report, chart, and the figures of both documents. A report that
// lacks a cell of the tables is refused.
func publish(root string, r *report) error {
	if missing := r.missing(); len(missing) > 0 {
		return fmt.Errorf("not published, for want of: %s", strings.Join(missing, "; "))
	}
	chart, err := r.chart()
	if err != nil {
		return fmt.Errorf("chart: %w", err)
	}
	if err := r.write(publishedJSON(root)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, chartPath), chart, 0o644); err != nil { //nolint:gosec // for people to read
		return err
	}
	for path, figures := range map[string]string{storyPath: r.story(), frontPath: r.front()} {
		if err := rewrite(filepath.Join(root, path), figures); err != nil {
			return err
		}
	}
	return nil
}

// missing names the cells of the tables that the report does not fill.
func (r *report) missing() (all []string) {
	for _, aggregates := range slices.Compact(append([]int{1, 10, 1000}, r.aggregates()...)) {
		for _, servers := range []int{2, 4} {
			for _, w := range ways() {
				if _, ok := r.find(w.Name, servers, aggregates); !ok {
					all = append(all, fmt.Sprintf("%d aggregates, %d servers, %s", aggregates, servers, w.Name))
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func rewrite(file, figures string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text, err := replaceFigures(string(data), figures)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(text), 0o644) //nolint:gosec // for people to read
}

// replaceFigures puts figures between the markers of a document.
func replaceFigures(text, figures string) (string, error) {
	before, rest, ok := strings.Cut(text, figuresBegin)
	_, after, ok2 := strings.Cut(rest, figuresEnd)
	if !ok || !ok2 {
		return "", errMarkers
	}
	return before + figuresBegin + "\n" + figures + "\n" + figuresEnd + after, nil
}

// story is the figures of docs/why-routing.md.
func (r *report) story() string {
	var b strings.Builder
	b.WriteString("![Commands a second and 99th percentile, with and without routing](why-routing.svg)\n\n")
	b.WriteString(r.conditions() + "; " + r.Time.Format("2 January 2006") + ".\n\n")
	b.WriteString("How many times as many commands a second as the best of the ways without routing:\n\n")
	b.WriteString(r.comparison().markdown())
	for _, n := range r.aggregates() {
		b.WriteString("\n### " + aggregatesTitle(n) + "\n\n" + r.table(n).markdown())
	}
	return b.String()
}

// front is the figures of README.md.
func (r *report) front() string {
	return "![Commands a second and 99th percentile, with and without routing](docs/why-routing.svg)\n\n" + r.comparison().markdown()
}
