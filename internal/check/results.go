package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is one line of go test -json (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of build events
	Test       string
	Output     string
	Elapsed    float64 // seconds
}

// outputMax bounds what is kept of one test's output until its end is known.
const outputMax = 1 << 20

type testKey struct{ pkg, test string }

// slowest is how many tests are named with the time that they took.
const slowest = 25

// timed is a test that has ended.
type timed struct {
	testKey
	seconds float64
}

// results is what a run of go test came to.
type results struct {
	passed, failed int // tests, subtests included
	broken         []string
	skipped        []string
	times          []timed                   // of tests, without subtests
	pending        map[testKey]*bytes.Buffer // output of tests that have not ended, and of packages
	out            io.Writer
}

// readResults follows the events of go test -json to their end, and writes what
// go test alone would write: a line per package and the output of what fails.
func readResults(events io.Reader, out io.Writer) (*results, error) {
	r := &results{pending: map[testKey]*bytes.Buffer{}, out: out}
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return r, err
		}
	}
}

func (r *results) line(line []byte) {
	var e event
	if line[0] != '{' || json.Unmarshal(line, &e) != nil || e.Action == "" {
		_, _ = r.out.Write(line) // go's own words
		return
	}
	switch e.Action {
	case "output":
		r.output(e)
	case "build-output":
		_, _ = io.WriteString(r.out, e.Output)
	case "build-fail":
		r.broken = append(r.broken, e.ImportPath)
	case "pass", "fail", "skip":
		r.end(e)
	}
}

func (r *results) output(e event) {
	if e.Test == "" && isPackageLine(e.Output) {
		if !strings.Contains(e.Output, "[no test") {
			_, _ = io.WriteString(r.out, e.Output)
		}
		return
	}
	if strings.HasPrefix(e.Output, "=== ") {
		return // RUN, PAUSE, CONT, NAME: only go test -v shows them
	}
	key := testKey{e.Package, e.Test}
	kept := r.pending[key]
	if kept == nil {
		kept = &bytes.Buffer{}
		r.pending[key] = kept
	}
	kept.WriteString(e.Output)
	if kept.Len() > 2*outputMax {
		kept.Next(kept.Len() - outputMax)
	}
}

func isPackageLine(s string) bool {
	return strings.HasPrefix(s, "ok  \t") || strings.HasPrefix(s, "FAIL\t") || strings.HasPrefix(s, "?   \t") || strings.HasPrefix(s, "---\t")
}

func (r *results) end(e event) {
	key := testKey{e.Package, e.Test}
	if e.Test != "" && !strings.Contains(e.Test, "/") {
		r.times = append(r.times, timed{key, e.Elapsed})
	}
	switch {
	case e.Test == "" && e.Action == "fail":
		r.broken = append(r.broken, e.Package)
		r.showUnended(e.Package)
	case e.Test == "":
		r.forget(e.Package)
	case e.Action == "pass":
		r.passed++
	case e.Action == "fail":
		r.failed++
		r.show(key)
	default:
		r.skipped = append(r.skipped, e.Package+"."+e.Test+r.reason(key))
	}
	delete(r.pending, key)
}

// reason is what the test itself said before it skipped.
func (r *results) reason(key testKey) string {
	kept := r.pending[key]
	if kept == nil {
		return ""
	}
	var said []string
	for line := range strings.Lines(kept.String()) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "---") {
			said = append(said, line)
		}
	}
	return ": " + strings.Join(said, " ")
}

// showUnended shows the output of a failed package's tests that never ended,
// because it panicked or ran out of time, and of the package itself.
func (r *results) showUnended(pkg string) {
	for _, key := range r.keys(pkg) {
		r.show(key)
		delete(r.pending, key)
	}
}

func (r *results) forget(pkg string) {
	for _, key := range r.keys(pkg) {
		delete(r.pending, key)
	}
}

func (r *results) keys(pkg string) []testKey {
	var keys []testKey
	for key := range r.pending {
		if key.pkg == pkg {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b testKey) int { return strings.Compare(a.test, b.test) })
	return keys
}

func (r *results) show(key testKey) {
	if kept := r.pending[key]; kept != nil {
		_, _ = r.out.Write(kept.Bytes())
	}
}

func (r *results) summary() string {
	var b strings.Builder
	for _, s := range r.skipped {
		b.WriteString("SKIPPED " + s + "\n")
	}
	slices.SortStableFunc(r.times, func(a, b timed) int { return cmp.Compare(b.seconds, a.seconds) })
	for _, t := range r.times[:min(len(r.times), slowest)] {
		if t.seconds >= 1 {
			fmt.Fprintf(&b, "%8.1f s  %s.%s\n", t.seconds, t.pkg[strings.LastIndexByte(t.pkg, '/')+1:], t.test)
		}
	}
	return b.String() + fmt.Sprintf("%d tests passed, %d failed, %d skipped\n", r.passed, r.failed, len(r.skipped))
}

// verdict is an error unless tests ran and none failed, and where none may be
// skipped none was.
func (r *results) verdict(forbidSkips bool) error {
	switch {
	case r.failed > 0 || len(r.broken) > 0:
		slices.Sort(r.broken)
		return fmt.Errorf("%d tests failed, in %s", r.failed, strings.Join(slices.Compact(r.broken), ", "))
	case r.passed == 0:
		return errors.New("no test ran")
	case forbidSkips && len(r.skipped) > 0:
		return fmt.Errorf("%d tests were skipped, and CI may skip none", len(r.skipped))
	}
	return nil
}
