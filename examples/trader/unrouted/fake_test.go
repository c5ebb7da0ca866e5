package unrouted_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/ganglion-go/ganglion/examples/trader/unrouted"
	"github.com/ganglion-go/ganglion/testharness"
)

func TestMain(m *testing.M) { testharness.Main(m) }

// memory is a storage with a hook in front of each save, where another server can
// get in.
type memory struct {
	before func(id string) error // nil: none
	after  func(version int64)   // nil: none; a save has been made, its server has not heard of it

	mu       sync.Mutex
	accounts map[string]unrouted.Account
	appends  int
}

func newMemory() *memory {
	return &memory{accounts: map[string]unrouted.Account{}}
}

func (m *memory) Load(_ context.Context, id string) (unrouted.Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.accounts[id], nil
}

func (m *memory) Append(_ context.Context, id, _ string, _ unrouted.Deposit, next unrouted.Account) error {
	m.mu.Lock()
	m.appends++
	m.mu.Unlock()
	if m.before != nil {
		if err := m.before(id); err != nil {
			return err
		}
	}
	if !m.save(id, next) {
		return unrouted.ErrConflict
	}
	if m.after != nil {
		m.after(next.Version)
	}
	return nil
}

func (m *memory) save(id string, next unrouted.Account) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if next.Version <= m.accounts[id].Version {
		return false
	}
	m.accounts[id] = next
	return true
}

// intrude saves a deposit that no server under test knows of.
func (m *memory) intrude(id string, amount int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.accounts[id]
	m.accounts[id] = unrouted.Account{Version: a.Version + 1, Balance: a.Balance + amount}
}

func newServer(t *testing.T, storage unrouted.Storage, cfg unrouted.Config) *unrouted.Server {
	t.Helper()
	s, err := unrouted.New(storage, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type answer struct {
	Status  int
	Version int64
	Reply   int64
	State   struct{ Balance int64 }
	Code    string
}

func request(t *testing.T, h http.Handler, method, path, body string) answer {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	a := answer{Status: w.Code}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Errorf("%s %s: %d %q: %v", method, path, w.Code, w.Body, err)
	}
	return a
}

func deposit(t *testing.T, h http.Handler) answer {
	t.Helper()
	return request(t, h, http.MethodPost, "/v1/account/a/deposit", `{"amount":5,"note":"n"}`)
}

func read(t *testing.T, h http.Handler) answer {
	t.Helper()
	return request(t, h, http.MethodGet, "/v1/account/a", "")
}
