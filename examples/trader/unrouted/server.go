package unrouted

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync/atomic"
)

const maxBody = 1 << 20 // bytes, as Ganglion's gateway has it

// Server is one web server. It is an [http.Handler]:
//
//	POST /v1/account/{id}/deposit   {"amount":..., "note":...} -> {"version":n,"reply":balance}
//	POST /v1/account/{id}/withdraw  the same; 422 insufficient: the balance is below the amount
//	GET  /v1/account/{id}           -> {"version":n,"state":{"balance":n}}
//	GET  /counts                    -> {"saves":n,"conflicts":n,"retries":n,"gaveUp":n}
type Server struct {
	cfg     Config
	storage Storage
	cache   *cache // nil: none
	turns   *turns // nil: none
	counts  Counts
	mux     *http.ServeMux
}

// Counts is what a server has done since it was made.
type Counts struct {
	Loads     atomic.Int64 // reads of the store
	CacheHits atomic.Int64
	Saves     atomic.Int64 // that succeeded
	Conflicts atomic.Int64 // saves that lost
	Retries   atomic.Int64 // attempts after the first one of a command
	GaveUp    atomic.Int64 // commands whose last attempt lost
}

// New returns a server over a storage that others share. The error names all that
// is wrong with cfg.
func New(storage Storage, cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, storage: storage, mux: http.NewServeMux()}
	if cfg.Cache {
		if s.cache, err = newCache(cfg.CacheSize, cfg.CacheTTL); err != nil {
			return nil, err
		}
	}
	if cfg.TakeTurns {
		s.turns = newTurns()
	}
	s.mux.HandleFunc("POST /v1/"+Kind+"/{id}/deposit", func(w http.ResponseWriter, r *http.Request) { s.serveChange(w, r, 1) })
	s.mux.HandleFunc("POST /v1/"+Kind+"/{id}/withdraw", func(w http.ResponseWriter, r *http.Request) { s.serveChange(w, r, -1) })
	s.mux.HandleFunc("GET /counts", s.serveCounts)
	s.mux.HandleFunc("GET /v1/"+Kind+"/{id}", s.serveState)
	return s, nil
}

// Counts returns the server's counters, which go on counting.
func (s *Server) Counts() *Counts { return &s.counts }

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.Timeout)
	defer cancel()
	s.mux.ServeHTTP(w, r.WithContext(ctx))
}

// serveChange serves a deposit, or with sign -1 a withdrawal.
func (s *Server) serveChange(w http.ResponseWriter, r *http.Request, sign int64) {
	var d Deposit
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&d); err != nil || d.Amount <= 0 {
		reply(w, http.StatusBadRequest, problem{Code: "malformed"})
		return
	}
	d.Amount *= sign
	a, err := s.deposit(r.Context(), r.PathValue("id"), d)
	switch {
	case err == nil:
		reply(w, http.StatusOK, deposited{Version: a.Version, Reply: a.Balance})
	case errors.Is(err, errInsufficient):
		reply(w, http.StatusUnprocessableEntity, problem{Code: "insufficient"})
	case errors.Is(err, errGaveUp):
		reply(w, http.StatusConflict, problem{Code: "gave_up"})
	case errors.Is(err, errNotSaved):
		reply(w, http.StatusServiceUnavailable, problem{Code: "unavailable"})
	default:
		reply(w, http.StatusGatewayTimeout, problem{Code: "outcome_unknown"})
	}
}

func (s *Server) serveState(w http.ResponseWriter, r *http.Request) {
	a, err := s.load(r.Context(), r.PathValue("id"))
	switch {
	case err != nil:
		reply(w, http.StatusServiceUnavailable, problem{Code: "unavailable"})
	case a.Version == 0:
		reply(w, http.StatusNotFound, problem{Code: "does_not_exist"})
	default:
		reply(w, http.StatusOK, current{Version: a.Version, State: balance{a.Balance}})
	}
}

// Figures are a server's counters as it shows them.
type Figures struct {
	Saves     int64 `json:"saves"`
	Conflicts int64 `json:"conflicts"`
	Retries   int64 `json:"retries"`
	GaveUp    int64 `json:"gaveUp"`
}

func (s *Server) serveCounts(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, Figures{s.counts.Saves.Load(), s.counts.Conflicts.Load(), s.counts.Retries.Load(), s.counts.GaveUp.Load()})
}

// Bodies of answers.
type (
	deposited struct {
		Version int64 `json:"version"`
		Reply   int64 `json:"reply"`
	}
	current struct {
		Version int64   `json:"version"`
		State   balance `json:"state"`
	}
	balance struct {
		Balance int64 `json:"balance"`
	}
	problem struct {
		Code string `json:"code"`
	}
)

// reply sends an answer. What cannot be sent, because the client has gone, is
// nobody's any more.
func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
