package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node/internal/dashboard"
	"github.com/ganglion-go/ganglion/store"
)

// dashboardPage reports whether a request of the admin server is for a page.
func dashboardPage(r *http.Request) bool { return dashboard.Serves(r.URL.Path) }

// adminRoutes parts the pages from what programs use. What pages do goes the way of programs,
// log included.
func (n *Node) adminRoutes() http.Handler {
	n.dashboard = dashboard.New(dashboard.Config{
		Node: n.cfg.Name, Namespace: n.cfg.Namespace, Build: n.build(), Token: n.cfg.adminToken,
		Waits: n.start.fault, Stopping: n.stopping, Logger: n.cfg.Logger,
	})
	n.onClose(n.jobs.running.Wait) // after the clients are closed that they wait for
	pages := http.MaxBytesHandler(n.dashboard, dashboard.FormMax)
	operation := n.audited(http.MaxBytesHandler(http.HandlerFunc(n.serveAdmin), 0))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if dashboardPage(r) {
			pages.ServeHTTP(w, r)
			return
		}
		operation.ServeHTTP(w, r)
	})
}

// openDashboard has the pages show the cluster.
func (n *Node) openDashboard() {
	n.onClose(n.jobs.stop)
	s := &dashboardSource{
		node: n, operation: n.audited(http.HandlerFunc(n.serveAdmin)), lastSeen: &lastSeen{},
		parking: &parking{store: n.store, client: n.internal, reread: n.bus.Reread, outbox: n.bus, commits: n.store, projections: n.projections},
		effects: &effects{bus: n.bus, store: n.store, here: n.runtime},
	}
	s.inspector = n.newInspector(s.parking, s.effects)
	n.dashboard.Open(s)
}

// dashboardSource is what the pages of this node show.
type dashboardSource struct {
	*inspector
	node      *Node
	operation http.Handler
	parking   *parking
	effects   *effects
	lastSeen  *lastSeen
}

var _ dashboard.Source = (*dashboardSource)(nil)

// Act implements [dashboard.Source].
func (s *dashboardSource) Act(ctx context.Context, by dashboard.Operator, target string) dashboard.Result {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, http.NoBody)
	if err != nil {
		return dashboard.Result{Status: http.StatusBadRequest, Text: err.Error()}
	}
	r.RemoteAddr = by.From
	r.Header.Set(headerOperator, by.Who)
	if len(by.Credentials) > 0 {
		r.Header[headerCredentials] = by.Credentials
	}
	answer := &answerRecorded{header: http.Header{}, status: http.StatusOK}
	s.operation.ServeHTTP(answer, r)
	return answer.result()
}

// Start implements [dashboard.Source].
func (s *dashboardSource) Start(job func(ctx context.Context)) bool { return s.node.jobs.start(job) }

// answerRecorded is an answer that goes nowhere.
type answerRecorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answerRecorded) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answerRecorded) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *answerRecorded) Write(p []byte) (int, error) { return a.body.Write(p) }

// result puts the answer into words.
func (a *answerRecorded) result() dashboard.Result {
	var told struct {
		Detail   string
		Code     string
		Status   any // a number in a problem
		Outcome  *outcomeView
		Outcomes []outcomeView
	}
	_ = json.Unmarshal(a.body.Bytes(), &told) // what cannot be read says nothing
	r := dashboard.Result{OK: a.status < http.StatusMultipleChoices, Status: a.status}
	word, _ := told.Status.(string)
	if word == "" {
		word = wordOf(a.status)
	}
	if !r.OK && a.status < http.StatusBadRequest {
		word = "there is nothing of that name"
	}
	r.Text = word
	if !r.OK && told.Code != "" {
		r.Text = told.Code
	}
	if told.Detail != "" {
		r.Text += ": " + told.Detail
	}
	if told.Outcome != nil {
		told.Outcomes = append(told.Outcomes, *told.Outcome)
	}
	for _, o := range told.Outcomes {
		r.Text += ", " + string(o.Code)
		if o.Rejection != nil {
			r.Text += " (" + o.Rejection.Code + ")"
		}
		if o.Version > 0 {
			r.Text += fmt.Sprintf(", version %d", o.Version)
		}
	}
	return r
}

// background is what goes on beside requests, until the node is closed. The zero value is
// ready.
type background struct {
	mu      sync.Mutex
	closed  bool
	cancels map[int]context.CancelFunc
	next    int
	running sync.WaitGroup
}

// start runs a job in a goroutine of its own; false: the node is closed.
func (b *background) start(job func(ctx context.Context)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // it ends with the node
	id := b.next
	b.next++
	if b.cancels == nil {
		b.cancels = map[int]context.CancelFunc{}
	}
	b.cancels[id] = cancel
	b.running.Go(func() {
		defer b.forget(id)
		job(ctx)
	})
	return true
}

func (b *background) forget(id int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cancels[id]()
	delete(b.cancels, id)
}

// stop has all of them end, and lets none begin. It does not wait for them.
func (b *background) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, cancel := range b.cancels {
		cancel()
	}
}

// lastSeen keeps what the store and the nodes said last, for while they say nothing. It is safe for
// concurrent use.
type lastSeen struct {
	mu       sync.Mutex
	at       time.Time
	claims   []store.Claim
	sessions []store.Session
	told     map[string]answerSeen // by incarnation
}

// answerSeen is what a node said.
type answerSeen struct {
	standing
	at time.Time
}

// answers adds to what nodes say now what those said a moment ago that say nothing: one late
// answer is no silence.
func (l *lastSeen) answers(now map[string]standing) map[string]standing {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told == nil {
		l.told = map[string]answerSeen{}
	}
	for incarnation, seen := range l.told {
		if time.Since(seen.at) >= seenLately {
			delete(l.told, incarnation)
		}
	}
	for incarnation, s := range now {
		l.told[incarnation] = answerSeen{s, time.Now()}
	}
	all := make(map[string]standing, len(l.told))
	for incarnation, seen := range l.told {
		all[incarnation] = seen.standing
	}
	return all
}

func (l *lastSeen) set(claims []store.Claim, sessions []store.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.claims, l.sessions = time.Now(), claims, sessions
}

func (l *lastSeen) get() (time.Time, []store.Claim, []store.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at, slices.Clone(l.claims), slices.Clone(l.sessions)
}

// partOf reports a partition's figures by the session that tells them.
func partOf(told map[string]standing, claim *store.Claim) (lag int, known bool) {
	lag, known = told[claim.Session].Lag[actor.Partition(claim.Partition)]
	return lag, known
}
