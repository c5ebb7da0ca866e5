package load_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/tradertest"
)

// fakeNode serves the outer contract from aggregates in memory, and goes wrong
// in the ways in which a node may: it cuts connections before and after it has
// executed a command, says that it does not know, and asks to come back.
type fakeNode struct {
	*httptest.Server
	requests atomic.Int64 // that carry a command
	lanes    sync.Map

	world *tradertest.World

	mu        sync.Mutex
	random    *rand.Rand
	faults    float64                                           // share of requests that meet one
	intercept func(w http.ResponseWriter, r *http.Request) bool // tampers with an answer; true: it has answered
}

func newFakeNode(t *testing.T, faults float64) *fakeNode {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("faults were chosen with seed %d", seed)
		}
	})
	n := &fakeNode{world: tradertest.New(t, seed, faults), random: rand.New(rand.NewPCG(seed, 0)), faults: faults}
	n.Server = httptest.NewServer(http.HandlerFunc(n.serve))
	t.Cleanup(n.Close)
	return n
}

func (n *fakeNode) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		n.requests.Add(1)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.intercept != nil && n.intercept(w, r) {
		return
	}
	fault := n.random.Float64() < n.faults
	kind := n.random.IntN(5)
	switch {
	case fault && kind == 0: // cut before it was executed
		panic(http.ErrAbortHandler)
	case fault && kind == 1:
		problem(w, http.StatusServiceUnavailable, "no_owner")
		return
	case fault && kind == 2:
		w.Header().Set("Retry-After", "0")
		problem(w, http.StatusTooManyRequests, "overloaded")
		return
	case fault && kind == 3: // executed, and cut
		n.answer(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case fault: // executed, and not known
		n.answer(httptest.NewRecorder(), r)
		problem(w, http.StatusGatewayTimeout, "outcome_unknown")
		return
	}
	n.answer(w, r)
}

func (n *fakeNode) answer(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/v1/"), "/")
	id, err := url.PathUnescape(parts[1])
	if err != nil || len(parts) > 3 {
		problem(w, http.StatusNotFound, "unknown_route")
		return
	}
	to := actor.Address{Kind: actor.Kind(parts[0]), ID: id}
	defer n.world.Deliver(n.random.IntN(20)) // what sagas do goes on beside
	if r.Method == http.MethodPost {
		n.lanes.Store(r.Header.Get("Ganglion-Lane"), true)
		n.command(w, r, to, parts[2])
		return
	}
	shown := n.world.Show(to)
	if shown.Code != actor.CodeOK {
		problem(w, http.StatusNotFound, string(shown.Code))
		return
	}
	reply(w, map[string]any{"version": shown.Version, "state": json.RawMessage(shown.Reply)})
}

func (n *fakeNode) command(w http.ResponseWriter, r *http.Request, to actor.Address, name string) {
	key := r.Header.Get("Idempotency-Key")
	body, err := io.ReadAll(r.Body)
	if err != nil || key == "" {
		problem(w, http.StatusBadRequest, "malformed")
		return
	}
	o, known := n.world.Decide(actor.Message{Target: to, ID: actor.CommandID(key), Name: name, Data: body, Time: time.Now(), Attempt: 1})
	switch {
	case !known:
		problem(w, http.StatusNotFound, "unknown_kind")
	case o.Code == actor.CodeOK:
		reply(w, map[string]any{"version": o.Version, "reply": json.RawMessage(o.Reply)})
	case o.Code == actor.CodeRejected:
		problem(w, http.StatusUnprocessableEntity, o.Rejection.Code)
	case o.Code == actor.CodeAlreadyExists || o.Code == actor.CodeDoesNotExist:
		problem(w, http.StatusConflict, string(o.Code))
	default:
		problem(w, http.StatusBadRequest, string(o.Code))
	}
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // a client that is gone
}

func problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"title":"t","status":%d,"code":%q,"detail":"for people"}`, status, code)
}
