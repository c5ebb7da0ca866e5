package load

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRecorder_Early: what a walk waits for, and reads before it is there, is told as
// expected, and not among the answers that were not.
func TestRecorder_Early(t *testing.T) {
	t.Parallel()
	r := NewRecorder()
	refusal := &RefusalError{Status: http.StatusNotFound, Code: "does_not_exist"}
	for range 3 {
		r.attempt(http.MethodGet, time.Millisecond, refusal.failure())
	}
	r.early("trade", refusal)
	r.early("trade", refusal)
	report := func() string {
		var out strings.Builder
		if err := r.WriteReport(&out, time.Second); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	const expected = "read before it was there, as expected:\n"
	if got := report(); !strings.Contains(got, expected+"         2  trade\n") || !strings.Contains(got, "         1  404 does_not_exist\n") {
		t.Errorf("two of three were expected:\n%s", got)
	}
	r.early("trade", refusal)
	if got := report(); !strings.Contains(got, expected+"         3  trade\n") || strings.Contains(got, "404") {
		t.Errorf("all were expected:\n%s", got)
	}
}
