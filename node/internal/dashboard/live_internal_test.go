package dashboard

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestEvents_Send_CarriageReturns: a text of a user's cannot begin an event of its own.
func TestEvents_Send_CarriageReturns(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	out := &events{w: w, out: http.NewResponseController(w)}
	if err := out.send("show", []byte("a\revent: over\rdata: x\r\nb")); err != nil {
		t.Fatal(err)
	}
	if got, want := w.Body.String(), "event: show\ndata: a event: over data: x \ndata: b\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
