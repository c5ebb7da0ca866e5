package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// balancer spreads requests over the nodes that say on /readyz that they are ready,
// which it asks four times in the time for which a node lingers. A request is made again, at another node, only if the
// node refuses the connection: then it was sent to nobody. Everything else that is
// not the answer is a failure, a broken connection included.
type balancer struct {
	nodes   []*nodes.Process
	client  *http.Client
	ready   atomic.Pointer[[]string] // base URLs
	turn    atomic.Uint64
	refused atomic.Int64 // connections
}

func newBalancer(t *testing.T, members []*nodes.Process) *balancer {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	b := &balancer{nodes: members, client: &http.Client{Transport: transport, Timeout: 30 * time.Second}}
	b.look(t.Context())
	return b
}

// run keeps looking who is ready.
func (b *balancer) run(ctx context.Context) {
	for ctx.Err() == nil {
		b.look(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func (b *balancer) look(ctx context.Context) {
	var mu sync.Mutex
	var asking sync.WaitGroup
	var ready []string
	for _, n := range b.nodes {
		asking.Go(func() {
			if !b.isReady(ctx, n) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ready = append(ready, n.URL())
		})
	}
	asking.Wait()
	if ctx.Err() == nil { // else nobody could answer
		b.ready.Store(&ready)
	}
}

// isReady waits for an answer as long as a busy machine may take: one that is late says nothing
// about the node, and a node that has ended meanwhile refuses the connection, which is no failure.
func (b *balancer) isReady(ctx context.Context, n *nodes.Process) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.AdminURL()+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

var errNobodyReady = errors.New("no node is ready")

// do makes one request.
func (b *balancer) do(ctx context.Context, method, path, body string) (status int, data []byte, err error) {
	err = errNobodyReady
	for range 2 * len(b.nodes) {
		ready := *b.ready.Load()
		if len(ready) == 0 {
			return 0, nil, err
		}
		base := ready[b.turn.Add(1)%uint64(len(ready))]
		status, data, err = b.once(ctx, method, base+path, body)
		if err == nil || !isRefused(err) {
			return status, data, err
		}
		b.refused.Add(1)
	}
	return 0, nil, err
}

// once sends a request that the transport cannot send again by itself.
func (b *balancer) once(ctx context.Context, method, url, body string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, io.NopCloser(bytes.NewReader([]byte(body))))
	if err != nil {
		return 0, nil, err
	}
	req.GetBody, req.ContentLength = nil, int64(len(body))
	resp, err := b.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, data, err
}

// savers each have an account or a note of their own, deposit into it, and read it.
// They want every answer to be the one that a single process would give.
type savers struct {
	b        *balancer
	mu       sync.Mutex
	failed   []string
	requests int
	longest  time.Duration // of a request
}

func (s *savers) note(took time.Duration, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	s.longest = max(s.longest, took)
	if format != "" {
		s.failed = append(s.failed, fmt.Sprintf(format, args...))
	}
}

// run drives one aggregate until ctx ends, with the answer to each request awaited.
func (s *savers) run(ctx context.Context, rnd *rand.Rand, kind, id string) {
	for n := int64(1); ctx.Err() == nil; n++ {
		lane := []string{"durable", "direct"}[rnd.IntN(2)]
		path := "/v1/" + kind + "/" + id
		if !s.expect(ctx, http.MethodPost, path+"/Deposit?timeout=20s&lane="+lane, `{"amount":1}`, n) ||
			rnd.IntN(3) == 0 && !s.expect(ctx, http.MethodGet, path+"?timeout=20s", "", n) {
			return // what follows would only repeat it
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(rnd.Int64N(int64(2 * clientPause)))):
		}
	}
}

// expect makes a request after which version and balance are n.
func (s *savers) expect(ctx context.Context, method, path, body string, n int64) bool {
	start := time.Now()
	// The request outlives the end of the load: its answer is what is checked.
	status, data, err := s.b.do(context.WithoutCancel(ctx), method, path, body)
	took := time.Since(start)
	var got struct {
		Version int64
		Reply   int64
		State   struct{ Balance int64 }
	}
	if err != nil || status != http.StatusOK {
		s.note(took, "%s %s, the %d.: %d %s %v, after %v", method, path, n, status, data, err, took)
		return false
	}
	if err := json.Unmarshal(data, &got); err != nil || got.Version != n || got.Reply+got.State.Balance != n {
		s.note(took, "%s %s: %s, want version and balance %d", method, path, data, n)
		return false
	}
	s.note(took, "")
	return true
}

// TestNode_RollingRestart_NoRequestFails replaces three nodes, one after the other,
// by a build that stores another form of an event and has another kind, and then
// restarts each of them, under load on both lanes and with reads. The other kind is
// used from the moment on at which the first node has it, through all nodes. Each
// node gets SIGTERM, ends, is started, and the next one follows when it is ready and
// has a partition. No request fails: see balancer for what counts. GANGLION_ROLLS sets
// how often the nodes are restarted.
func TestNode_RollingRestart_NoRequestFails(t *testing.T) { //nolint:tparallel // one cluster at a time
	t.Parallel()
	old, next := nodes.Build(t, "./testdata/upgrade/old"), nodes.Build(t, "./testdata/upgrade/new")
	for _, name := range []string{"embedded", "mongo"} {
		t.Run(name, func(t *testing.T) {
			flags := []string{"--nats-url", testharness.NATS(t, testharness.WithListener()).URL()}
			if name == "mongo" {
				flags = append(flags, "--mongo-uri", testharness.SharedMongo(t, 3).URI(), "--mongo-database", testharness.DatabaseName(t))
			}
			rollingRestart(t, old, next, flags)
		})
	}
}

func rollingRestart(t *testing.T, old, next string, flags []string) {
	t.Helper()
	names := []string{"n1", "n2", "n3"}
	m := &members{t: t, nodes: map[string]*nodes.Process{}}
	var all []*nodes.Process
	for _, name := range names {
		m.nodes[name] = nodes.Spawn(t, old, nil, append([]string{"--name", name}, flags...)...)
		all = append(all, m.nodes[name])
	}
	m.awaitShared(names...)
	seed := testenv.Seed(t)
	s := &savers{b: newBalancer(t, all)}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { s.b.run(ctx) })
	start := func(kind string) {
		for i := range 16 {
			running.Go(func() {
				s.run(ctx, rand.New(rand.NewPCG(seed, uint64(i))), kind, fmt.Sprint("s-", i))
			})
		}
	}
	start("account")
	wait(t, 500*time.Millisecond)
	for round := range 1 + testenv.Times(t, "GANGLION_ROLLS", 1) {
		for i, name := range names {
			begun := time.Now()
			m.nodes[name].Terminate(t)
			ended := time.Since(begun)
			m.nodes[name].Use(next)
			m.nodes[name].Start(t)
			t.Logf("round %d: %s ended within %v, was back after %v", round, name, ended, time.Since(begun))
			if round == 0 && i == 0 {
				start("note")
			}
		}
	}
	m.awaitShared(names...)
	wait(t, 500*time.Millisecond)
	cancel()
	running.Wait()
	for _, f := range slices.Compact(s.failed) {
		t.Error(f)
	}
	t.Logf("%d requests, the longest took %v; %d connections were refused", s.requests, s.longest, s.b.refused.Load())
	if s.requests < 1000 {
		t.Error("there was hardly any load")
	}
}
