package pages_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/pages"
)

// TestEvents_Send: nothing in the data begins a field of its own.
func TestEvents_Send(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ data, want string }{
		"nothing":           {"", "event: show\ndata:\n\n"},
		"lines":             {"a\nb\n", "event: show\ndata: a\ndata: b\n\n"},
		"an empty line":     {"a\n\nb", "event: show\ndata: a\ndata: \ndata: b\n\n"},
		"carriage returns":  {"a\revent: over\r\nb", "event: show\ndata: a event: over \ndata: b\n\n"},
		"a field in a line": {"a\nevent: over\n", "event: show\ndata: a\ndata: event: over\n\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			if err := pages.NewEvents(w, time.Second).Send("show", []byte(test.data)); err != nil {
				t.Fatal(err)
			}
			if got := w.Body.String(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
