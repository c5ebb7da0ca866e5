package node

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/runtime"
)

// serveAdmin serves what operators need. guardAdmin stands before it.
func (n *Node) serveAdmin(w http.ResponseWriter, r *http.Request) {
	if opened := n.operation.Load(); opened != nil {
		(*opened).ServeHTTP(w, r)
		return
	}
	n.beginning.ServeHTTP(w, r)
}

// adminHandler is for a node that is open.
func (n *Node) adminHandler() http.Handler {
	mux := http.NewServeMux()
	registerAlways(mux)
	mux.HandleFunc("GET /readyz", n.serveReady)
	(&parking{store: n.store, client: n.internal, reread: n.bus.Reread, outbox: n.bus, commits: n.store, projections: n.projections}).register(mux)
	n.projections.register(mux)
	(&effects{bus: n.bus, store: n.store, here: n.runtime}).register(mux)
	n.members.register(mux, n.replicas)
	mux.HandleFunc("POST /drain", func(w http.ResponseWriter, _ *http.Request) {
		n.askDrain()
		answerJSON(w, http.StatusAccepted, map[string]any{"status": "draining"})
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.metrics.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	return n.reads(mux)
}

// openOperators makes what the admin server shows of aggregates.
func (n *Node) openOperators(definitions []actor.Registrable) error {
	cfg := n.served
	cfg.Authenticate, cfg.Authorize, cfg.WholeEvents, cfg.Listener = nil, nil, true, gateway.EventListener{}
	g, err := gateway.New(n.Client(), definitions, cfg)
	if err != nil {
		return errors.Join(err, ErrConfig)
	}
	n.operators = g
	if !n.cfg.DashboardCommands {
		return nil
	}
	cfg.Authenticate = operatorAuthenticator{}
	if n.sending, err = gateway.New(n.Client(), definitions, cfg); err != nil {
		return errors.Join(err, ErrConfig)
	}
	return nil
}

// reads has states and events read by operators, whatever the kinds hide and whatever
// rights there are. Commands take the HTTP API. (A mux would clean ids out of paths.)
func (n *Node) reads(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if read := r.Method == http.MethodGet || r.Method == http.MethodHead; read && strings.HasPrefix(r.URL.EscapedPath(), "/v1/") {
			n.operators.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serveReady says whether requests should be sent here.
func (n *Node) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	status := n.runtime.Status()
	faults := n.faults(&status)
	if err := n.store.Ping(ctx); err != nil {
		faults = append(faults, "store does not answer")
	}
	if len(faults) > 0 {
		answerNotReady(w, faults...)
		return
	}
	body := map[string]any{"status": "ok", "partitions": len(status.Partitions)}
	if warnings := n.replicas.warnings(); len(warnings) > 0 {
		// 503 would take the nodes that are left out of service.
		body["status"], body["warnings"] = "degraded", warnings
	}
	answerJSON(w, http.StatusOK, body)
}

// faults are why no requests should be sent here, but for what the store says.
func (n *Node) faults(status *runtime.Status) []string {
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
	if status.Cut {
		faults = append(faults, "cut off from NATS: connected nodes get its partitions")
	}
	if n.cfg.clustered() && !n.nats.caughtUp() {
		faults = append(faults, "the NATS server has not caught up")
	}
	if s := n.storage.current(); s.fault != nil {
		faults = append(faults, s.fault.Error())
	}
	return faults
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone
}
