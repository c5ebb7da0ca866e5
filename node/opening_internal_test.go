package node

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/gateway"
)

// TestOpening_OnceRunning: a request of the API waits for the node to run, and not for ever.
func TestOpening_OnceRunning(t *testing.T) {
	t.Parallel()
	const served = http.StatusNoContent
	for name, c := range map[string]struct {
		then   func(o *opening) // three seconds after the request came
		status int
		after  time.Duration
	}{
		"it runs":          {func(o *opening) { o.run() }, served, 3 * time.Second},
		"it fails":         {func(o *opening) { o.fails() }, http.StatusServiceUnavailable, 3 * time.Second},
		"it goes on":       {func(*opening) {}, http.StatusServiceUnavailable, gateway.DefaultTimeout},
		"it ran all along": {nil, served, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var o opening
				o.started()
				if c.then == nil {
					o.run()
				} else {
					time.AfterFunc(3*time.Second, func() { c.then(&o) })
				}
				begin, w := time.Now(), httptest.NewRecorder()
				h := o.onceRunning(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(served) }))
				h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/cluster", nil))
				if took := time.Since(begin); w.Code != c.status || took != c.after {
					t.Errorf("%d after %v, want %d after %v", w.Code, took, c.status, c.after)
				}
				if refused := w.Code != served; refused != strings.Contains(w.Body.String(), "no_owner") || refused != (w.Header().Get("Retry-After") != "") {
					t.Errorf("answered with %v %s", w.Header(), w.Body)
				}
			})
		})
	}
}
