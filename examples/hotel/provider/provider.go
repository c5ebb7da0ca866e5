// Package provider is a payment provider to try the hotel with: a small HTTP server that
// charges cards, and is as slow and as often out of order as it is told to be.
//
//	POST /charges  Idempotency-Key: K  {"account": "g-1", "cents": 12000}
//	201 {"id": "ch-1", "cents": 12000}       the first time
//	200 {"id": "ch-1", "cents": 12000}       again with the same key
//	402                                      the card is declined, and stays so
//	422                                      the key was used for another charge
//	503                                      it is out of order: nothing was charged, or it was and nobody is told
//
// GET /report has the number of charges, and of calls of each key; GET /charges has the
// charges, in the order in which they were made.
//
// # Concurrency
//
// A [Provider] is safe for concurrent use.
//
// # Failures
//
// Those of its answers. What a provider of [New] has charged is in memory, and gone with the
// process. One of [Open] keeps it in a file: see there.
package provider

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Charge is what is asked of the provider.
type Charge struct {
	Account string `json:"account"`
	Cents   int64  `json:"cents"`
}

// Receipt is the provider's answer.
type Receipt struct {
	ID    string `json:"id"`
	Cents int64  `json:"cents"`
}

// Report counts what a [Provider] was asked for and has done.
type Report struct {
	Calls   int            `json:"calls"`   // that named a key
	Charges int            `json:"charges"` // at most one a key
	Cents   int64          `json:"cents"`   // of all charges
	Keys    map[string]int `json:"keys"`    // calls by key
}

// Config tunes a [Provider]. The zero value is one that is quick and always answers.
type Config struct {
	Delay   time.Duration // before each answer
	Failing float64       // share of the calls that get 503, 0 to 1: half of these have charged before
	Limit   int64         // charges of more cents are declined; 0: none is
	Seed    uint64        // of what fails
}

// Provider is an [http.Handler].
type Provider struct {
	cfg Config
	mux *http.ServeMux

	mu      sync.Mutex
	journal *journal // nil: in memory alone
	random  *rand.Rand
	down    bool
	byKey   map[string]Entry // charges
	charges []Entry          // in order
	report  Report
}

// Entry is a call that named a key, with the charge that it made. Of one that made none,
// there is the key alone.
type Entry struct {
	Key string `json:"key"`
	ID  string `json:"id,omitempty"`
	Charge
}

func (e *Entry) receipt() Receipt { return Receipt{ID: e.ID, Cents: e.Cents} }

// New returns a provider that has charged nobody.
func New(cfg Config) *Provider {
	p := &Provider{
		cfg: cfg, mux: http.NewServeMux(),
		random: rand.New(rand.NewPCG(cfg.Seed, 0)), //nolint:gosec // what fails need not be secret
		byKey:  map[string]Entry{}, report: Report{Keys: map[string]int{}},
	}
	p.mux.HandleFunc("POST /charges", p.charge)
	p.mux.HandleFunc("GET /report", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, p.Report()) })
	p.mux.HandleFunc("GET /charges", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, p.Charges()) })
	return p
}

// ServeHTTP serves one request.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// Down says whether the provider is out of order: every call gets 503.
func (p *Provider) Down(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// Report returns what was asked for and done until now.
func (p *Provider) Report() Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	report := p.report
	report.Keys = make(map[string]int, len(p.report.Keys))
	maps.Copy(report.Keys, p.report.Keys)
	return report
}

// Charges returns the charges that were made until now, in order. It is never nil.
func (p *Provider) Charges() []Entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Entry{}, p.charges...)
}

const maxBody = 64 << 10

func (p *Provider) charge(w http.ResponseWriter, r *http.Request) {
	var c Charge
	key := r.Header.Get("Idempotency-Key")
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&c); err != nil || key == "" || c.Cents <= 0 {
		http.Error(w, "an Idempotency-Key, an account and cents are required", http.StatusBadRequest)
		return
	}
	if p.cfg.Delay > 0 {
		select {
		case <-time.After(p.cfg.Delay):
		case <-r.Context().Done():
			return
		}
	}
	status, receipt := p.decide(key, c)
	if status >= http.StatusMultipleChoices {
		http.Error(w, http.StatusText(status), status)
		return
	}
	answer(w, status, receipt)
}

func (p *Provider) decide(key string, c Charge) (int, Receipt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	draw := p.random.Float64()
	entry, status := Entry{Key: key}, http.StatusServiceUnavailable
	if !p.down && draw >= p.cfg.Failing/2 {
		entry, status = p.chargeLocked(key, c)
	}
	receipt := entry.receipt()
	if status != http.StatusCreated {
		entry = Entry{Key: key} // it made none
	}
	if err := p.journal.write(&entry); err != nil {
		return http.StatusServiceUnavailable, Receipt{} // and nothing was charged
	}
	p.noteLocked(&entry)
	if draw < p.cfg.Failing {
		return http.StatusServiceUnavailable, Receipt{} // and may have charged: only the key can tell
	}
	return status, receipt
}

// chargeLocked returns the charge of a key, a new one under [http.StatusCreated], or why
// there is none.
func (p *Provider) chargeLocked(key string, c Charge) (Entry, int) {
	switch before, again := p.byKey[key]; {
	case again && before.Charge != c:
		return Entry{}, http.StatusUnprocessableEntity
	case again:
		return before, http.StatusOK
	case p.cfg.Limit > 0 && c.Cents > p.cfg.Limit:
		return Entry{}, http.StatusPaymentRequired
	default:
		return Entry{Key: key, ID: fmt.Sprintf("ch-%d", p.report.Charges+1), Charge: c}, http.StatusCreated
	}
}

func (p *Provider) noteLocked(e *Entry) {
	p.report.Calls++
	p.report.Keys[e.Key]++
	if e.ID == "" {
		return
	}
	p.report.Charges++
	p.report.Cents += e.Cents
	p.byKey[e.Key] = *e
	p.charges = append(p.charges, *e)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
