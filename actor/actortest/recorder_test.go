package actortest_test

import (
	"fmt"
	goruntime "runtime"
	"strings"
	"testing"
)

// recorder is a testing.TB that keeps what a fixture reports.
type recorder struct {
	testing.TB
	reports  []string
	fatal    bool
	cleanups []func()
}

func (r *recorder) Helper()                   {}
func (r *recorder) Logf(string, ...any)       {}
func (r *recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(f string, a ...any) { r.reports = append(r.reports, fmt.Sprintf(f, a...)) }

func (r *recorder) Fatalf(f string, a ...any) {
	r.Errorf(f, a...)
	r.FailNow()
}

func (r *recorder) FailNow() {
	r.fatal = true
	goruntime.Goexit()
}

// record runs a test body on its own goroutine, as testing does, with its cleanups.
func record(t *testing.T, body func(t testing.TB)) *recorder {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, f := range r.cleanups {
				f()
			}
		}()
		body(r)
	}()
	<-done
	return r
}

// wantReport requires exactly one report, with all of the given parts.
func (r *recorder) wantReport(t *testing.T, parts ...string) {
	t.Helper()
	if len(r.reports) != 1 {
		t.Fatalf("want one report, got %d:\n%s", len(r.reports), strings.Join(r.reports, "\n---\n"))
	}
	for _, part := range parts {
		if !strings.Contains(r.reports[0], part) {
			t.Errorf("the report does not contain %q:\n%s", part, r.reports[0])
		}
	}
}

func (r *recorder) wantNone(t *testing.T) {
	t.Helper()
	if len(r.reports) > 0 {
		t.Fatalf("want no report, got:\n%s", strings.Join(r.reports, "\n---\n"))
	}
}
