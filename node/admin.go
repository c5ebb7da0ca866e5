package node

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ganglion-go/ganglion/store"
)

// adminHandler serves what operators need. It has no access control: it belongs
// on an address that only they reach.
func (n *Node) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, map[string]any{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", n.serveReady)
	mux.HandleFunc("GET /parked", n.serveParked)
	n.projections.register(mux)
	mux.HandleFunc("POST /drain", func(w http.ResponseWriter, _ *http.Request) {
		n.askDrain()
		answerJSON(w, http.StatusAccepted, map[string]any{"status": "draining"})
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// serveReady says whether requests should be sent here.
func (n *Node) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	status := n.runtime.Status()
	faults := []string{}
	if n.draining.Load() {
		faults = append(faults, "draining")
	}
	if !status.LeaseValid {
		faults = append(faults, "no valid lease")
	}
	if !n.conn.IsConnected() {
		faults = append(faults, "not connected to NATS")
	}
	if n.cfg.clustered() && !n.nats.caughtUp() {
		faults = append(faults, "the NATS server has not caught up")
	}
	if err := n.store.Ping(ctx); err != nil {
		faults = append(faults, "store does not answer")
	}
	if len(faults) > 0 {
		answerJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "not ready", "faults": faults})
		return
	}
	answerJSON(w, http.StatusOK, map[string]any{"status": "ok", "partitions": len(status.Partitions)})
}

// parkedView is a parked command as operators see it.
type parkedView struct {
	Aggregate string          `json:"aggregate"`
	CommandID string          `json:"commandId"`
	Name      string          `json:"name"`
	Reason    string          `json:"reason"`
	Stack     string          `json:"stack,omitempty"`
	Attempts  int             `json:"attempts"`
	Time      time.Time       `json:"time"`
	Message   json.RawMessage `json:"message"`
}

func viewParked(p store.Parked) parkedView {
	return parkedView{
		Aggregate: string(p.Aggregate), CommandID: p.CommandID, Name: p.Name, Reason: p.Reason,
		Stack: p.Stack, Attempts: p.Attempts, Time: p.Time, Message: p.Message,
	}
}

// parkedLimit bounds one answer of the list of parked commands.
const parkedLimit = 1000

func (n *Node) serveParked(w http.ResponseWriter, r *http.Request) {
	parked := []parkedView{}
	for p, err := range n.store.ListParked(r.Context(), store.Aggregate(r.URL.Query().Get("aggregate"))) {
		if err != nil {
			answerJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "store does not answer"})
			return
		}
		parked = append(parked, viewParked(p))
		if len(parked) == parkedLimit {
			break
		}
	}
	answerJSON(w, http.StatusOK, map[string]any{"parked": parked})
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone
}
