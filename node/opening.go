package node

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

// opening is a node before it has all that it serves with. That may take minutes, for the
// servers of other nodes, or hours, for its own server to read what it has stored: the
// admin server tells of it meanwhile. It is safe for concurrent use.
type opening struct {
	begin   time.Time
	waits   atomic.Pointer[func() string]
	running chan struct{} // closed when the node runs
	failed  chan struct{} // closed when it never will
	run     func()        // closes running
}

// started begins to measure.
func (o *opening) started() {
	o.begin, o.running, o.failed = time.Now(), make(chan struct{}), make(chan struct{})
	o.run = sync.OnceFunc(func() { close(o.running) })
}

// fails has what waits for the node answered.
func (o *opening) fails() {
	o.step("the start has failed, the log says why")
	close(o.failed)
}

// onceRunning has requests of the API wait for the node to run: for as long as one waits
// for an owner if it does not say otherwise. After that it is not executed.
func (o *opening) onceRunning(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-o.running:
			next.ServeHTTP(w, r)
			return
		default:
		}
		select {
		case <-o.running:
			next.ServeHTTP(w, r)
			return
		case <-r.Context().Done(): // nobody hears it
		case <-o.failed:
		case <-time.After(gateway.DefaultTimeout):
		}
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Connection", "close") // its body is of no interest
		answerProblem(w, http.StatusServiceUnavailable, actor.CodeNoOwner, "the node does not serve yet: /readyz of its admin server says why")
	})
}

// waitsFor says what the node does now. what is called by whoever asks.
func (o *opening) waitsFor(what func() string) { o.waits.Store(&what) }

// step says what the node does now, in words that stay.
func (o *opening) step(what string) { o.waitsFor(func() string { return what }) }

// fault is why the node is not ready.
func (o *opening) fault() string {
	what := "begins"
	if f := o.waits.Load(); f != nil {
		what = (*f)()
	}
	return fmt.Sprintf("starting for %v: %s", since(o.begin), what)
}

// handler serves until the node is open. There are no metrics yet: to read those of the
// process would look like progress of a server that starts.
func (o *opening) handler() http.Handler {
	mux := http.NewServeMux()
	registerAlways(mux)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		answerNotReady(w, o.fault())
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answerProblem(w, http.StatusServiceUnavailable, codeUnavailable, o.fault())
	})
	return mux
}

// registerAlways adds what is served from the first moment to the last. There is no
// /debug/pprof/cmdline: flags may hold a password.
func registerAlways(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, map[string]any{"status": "ok"})
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}

func answerNotReady(w http.ResponseWriter, faults ...string) {
	answerJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "not ready", "faults": faults})
}
