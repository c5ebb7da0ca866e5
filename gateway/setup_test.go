package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

// The definition that most tests serve.

type account struct {
	Owner   string           `json:"owner"`
	Balance int64            `json:"balance"`
	Pending map[string]money `json:"pending"`
	Entries []entry          `json:"entries,omitempty"`
}

type money int64

type entry struct {
	Amount money     `json:"amount"`
	At     time.Time `json:"at"`
}

type Open struct {
	actor.Replies[actor.None]
	Owner string `json:"owner"`
}

type Deposit struct {
	actor.Replies[Receipt]
	Amount money   `json:"amount"`
	First  *entry  `json:"first,omitempty"`
	More   []entry `json:"more"`
}

type Receipt struct {
	Balance int64    `json:"balance"`
	Last    *entry   `json:"last"`
	Tags    []string `json:"tags"`
}

type Close struct {
	actor.Replies[actor.None]
}

type Statement struct {
	actor.Replies[Receipt]
	Limit int `json:"limit"`
}

type opened struct {
	Owner string `json:"owner"`
}

var errAmount = actor.Reject("invalid_amount", "the amount must be positive")

func (a *account) open(ctx *actor.Context, c Open) (actor.None, error) {
	ctx.Raise(opened{Owner: c.Owner})
	return actor.None{}, nil
}

func (a *account) deposit(*actor.Context, Deposit) (Receipt, error)          { return Receipt{}, errAmount }
func (a *account) close(*actor.Context, Close) (actor.None, error)           { return actor.None{}, nil }
func (a *account) statement(*actor.QueryContext, Statement) (Receipt, error) { return Receipt{}, nil }
func (a *account) opened(e opened)                                           { a.Owner = e.Owner }

func accounts() *actor.Aggregate[account] {
	return actor.Define("account", func(d *actor.Definition[account]) {
		actor.On(d, (*account).open, actor.NewOnly())
		actor.On(d, (*account).deposit)
		actor.On(d, (*account).close, actor.ExistingOnly())
		actor.Query(d, (*account).statement)
		actor.Apply(d, (*account).opened)
		d.Rejections(errAmount)
	})
}

// client is an actor.Client that does as it is told, and keeps what it was sent.
type client struct {
	deliver func(context.Context, actor.Message) actor.Outcome
	enqueue func(context.Context, actor.Message) error

	mu       sync.Mutex
	messages []actor.Message
}

func (c *client) keep(m actor.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages = append(c.messages, m)
}

func (c *client) Deliver(ctx context.Context, m actor.Message) actor.Outcome {
	c.keep(m)
	if c.deliver == nil {
		return actor.Outcome{Version: 41, Reply: []byte(`{"balance":5}`)}
	}
	return c.deliver(ctx, m)
}

func (c *client) Enqueue(ctx context.Context, m actor.Message) error {
	c.keep(m)
	if c.enqueue == nil {
		return nil
	}
	return c.enqueue(ctx, m)
}

func (c *client) sent() []actor.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]actor.Message(nil), c.messages...)
}

// one returns the only message that was sent.
func (c *client) one(t *testing.T) actor.Message {
	t.Helper()
	sent := c.sent()
	if len(sent) != 1 {
		t.Fatalf("%d messages were sent, not 1", len(sent))
	}
	return sent[0]
}

// givesUpAfter checks that a message that was asked for since a moment gives up after a
// time. From when exactly the gateway counts is between that moment and now.
func givesUpAfter(t *testing.T, m actor.Message, since time.Time, want time.Duration) {
	t.Helper()
	earliest, latest := since.Round(0).Add(want), time.Now().Round(0).Add(want)
	if got := m.Deadline.Round(0); got.Before(earliest) || got.After(latest) {
		t.Errorf("deadline %v, not from %v to %v", got, earliest, latest)
	}
}

// history is an in-memory gateway.History of one aggregate.
type history struct {
	mu     sync.Mutex
	events []gateway.Event
	err    error
	pageOf int // most events returned at once; 0: no bound
	wakes  map[chan struct{}]bool
	deaf   bool // no wake-ups
	reads  int
	ids    []string // sorted
	past   func(gateway.Moment) (gateway.PastState, error)
}

func (h *history) Events(_ context.Context, _ actor.Address, after actor.Version, limit int) ([]gateway.Event, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads++
	if h.err != nil {
		return nil, h.err
	}
	from := min(int(after), len(h.events))
	if h.pageOf > 0 {
		limit = min(limit, h.pageOf)
	}
	return h.events[from:min(len(h.events), from+limit)], nil
}

func (h *history) Watch(context.Context, actor.Address) (<-chan struct{}, func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wake := make(chan struct{}, 1)
	if h.wakes == nil {
		h.wakes = map[chan struct{}]bool{}
	}
	h.wakes[wake] = true
	return wake, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.wakes, wake)
	}
}

func (h *history) watchers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.wakes)
}

func (h *history) Local(context.Context, actor.Address) (json.RawMessage, actor.Version, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return nil, 0, h.err
	}
	return json.RawMessage(`{"owner":"local"}`), actor.Version(len(h.events)), nil
}

func (h *history) Aggregates(_ context.Context, kind actor.Kind, prefix, after string, limit int) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return nil, h.err
	}
	var ids []string
	for _, id := range h.ids {
		if kind == "account" && strings.HasPrefix(id, prefix) && id > after && len(ids) < limit {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (h *history) At(_ context.Context, _ actor.Address, m gateway.Moment) (gateway.PastState, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return gateway.PastState{}, h.err
	}
	if h.past == nil {
		return gateway.PastState{State: json.RawMessage(`{"owner":"past","balance":1,"pending":null}`), Version: 1}, nil
	}
	return h.past(m)
}

func (h *history) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

func (h *history) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reads
}

// add appends n events and wakes the watchers.
func (h *history) add(n int) { h.append(n, "opened.v1") }

// hide does so with events that hold outcomes alone.
func (h *history) hide(n int) { h.append(n, actor.EventOutcome) }

func (h *history) append(n int, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for range n {
		v := actor.Version(len(h.events) + 1)
		h.events = append(h.events, gateway.Event{
			Version: v, Type: name, Data: json.RawMessage("{\n\"owner\": \"<o>\"}"), CommandID: "c-1",
			Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)),
		})
	}
	if h.deaf {
		return
	}
	for wake := range h.wakes {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

type clusterFunc func(context.Context) (gateway.ClusterView, error)

func (f clusterFunc) Cluster(ctx context.Context) (gateway.ClusterView, error) { return f(ctx) }

// fixture is a gateway behind a real HTTP server.
type fixture struct {
	client  *client
	history *history
	gateway *gateway.Gateway
	server  *httptest.Server
}

func setup(t *testing.T, configure ...func(*gateway.Config)) *fixture {
	t.Helper()
	f := &fixture{client: &client{}, history: &history{}}
	cfg := gateway.Config{
		History: f.history,
		Cluster: clusterFunc(func(context.Context) (gateway.ClusterView, error) { return gateway.ClusterView{}, nil }),
	}
	for _, c := range configure {
		c(&cfg)
	}
	f.gateway = newGateway(t, f.client, cfg)
	f.server = httptest.NewServer(f.gateway)
	t.Cleanup(f.server.Close)
	return f
}

func newGateway(t testing.TB, c actor.Client, cfg gateway.Config) *gateway.Gateway {
	t.Helper()
	g, err := gateway.New(c, []actor.Registrable{accounts()}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// answer is a response that was read whole.
type answer struct {
	*http.Response
	body string
}

// do sends one request. Headers are "Name: value".
func (f *fixture) do(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	a, err := send(t.Context(), f.server.Client(), method, f.server.URL+path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func send(ctx context.Context, c *http.Client, method, url, body string, headers ...string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ": ")
		if !ok {
			return answer{}, errors.New("header without a value: " + h)
		}
		r.Header.Add(name, value)
	}
	resp, err := c.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return answer{resp, string(data)}, err
}

// problem checks that a is a well-formed problem and returns it.
func (a answer) problem(t *testing.T) gateway.Problem {
	t.Helper()
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("status %d with Content-Type %q, not a problem: %s", a.StatusCode, got, a.body)
	}
	var p gateway.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("problem %s: %v", a.body, err)
	}
	if p.Status != a.StatusCode || p.Title != http.StatusText(p.Status) || p.Code == "" {
		t.Fatalf("status %d with problem %s", a.StatusCode, a.body)
	}
	return p
}

// fails checks a problem's status and code.
func (a answer) fails(t *testing.T, status int, code actor.Code) gateway.Problem {
	t.Helper()
	p := a.problem(t)
	if p.Status != status || p.Code != code {
		t.Fatalf("got %d %s, want %d %s: %s", p.Status, p.Code, status, code, p.Detail)
	}
	return p
}

// is checks the status and the whole body.
func (a answer) is(t *testing.T, status int, body string) {
	t.Helper()
	if a.StatusCode != status || strings.TrimSpace(a.body) != body {
		t.Fatalf("got %d %s, want %d %s", a.StatusCode, a.body, status, body)
	}
}
