package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// steady drives one client for each of many aggregates, and notes every request
// that fails and how long each aggregate stands still.
type steady struct {
	load     *load
	moves    func(aggregate string) bool // its partition changes hands
	mu       sync.Mutex
	requests int
	failed   []string
	pauses   []still // those above shortPause
}

// still is a time in which an aggregate did not answer.
type still struct {
	moves    bool
	lane     string
	from, to time.Time
}

func (s *still) took() time.Duration { return s.to.Sub(s.from) }

const shortPause = 50 * time.Millisecond

func (s *steady) run(ctx context.Context, aggregates int) {
	var clients sync.WaitGroup
	for n := range aggregates {
		clients.Go(func() {
			lane, id := []string{"durable", "direct"}[n%2], fmt.Sprint("load-", n)
			path := fmt.Sprintf("/v1/portfolio/%s/DepositCash?lane=%s&timeout=10s", id, lane)
			last := time.Now()
			for ctx.Err() == nil {
				status, body, err := s.load.post(context.WithoutCancel(ctx), path, "", `{"amount":1}`)
				now := time.Now()
				s.note(still{s.moves(id), lane, last, now}, status, body, err)
				last = now
				select {
				case <-ctx.Done():
				case <-time.After(shortPause):
				}
			}
		})
	}
	clients.Wait()
}

func (s *steady) note(p still, status int, body []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if p.took() > shortPause {
		s.pauses = append(s.pauses, p)
	}
	if err != nil || status != http.StatusOK {
		s.failed = append(s.failed, fmt.Sprintf("%s lane: %d %s %v", p.lane, status, body, err))
	}
}

// longest returns the longest pause of an aggregate that moves, and of one that
// stays, and by how much the former outlasted the latter at the same time: the
// machine can be busy with something else.
func (s *steady) longest() (moving, staying, excess time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pauses {
		if !p.moves {
			staying = max(staying, p.took())
			continue
		}
		base := time.Duration(0)
		for _, q := range s.pauses {
			if !q.moves && q.from.Before(p.to) && p.from.Before(q.to) {
				base = max(base, q.took())
			}
		}
		moving, excess = max(moving, p.took()), max(excess, p.took()-base)
	}
	return moving, staying, excess
}

// mustNotFail reports requests that have failed, and an aggregate that stood still for
// longer than that, where all of them may move.
func (s *steady) mustNotFail(t *testing.T, longest time.Duration) {
	t.Helper()
	for _, f := range s.failed {
		t.Error(f)
	}
	pause, _, _ := s.longest()
	t.Logf("%d requests, longest pause of an aggregate %v", s.requests, pause)
	if pause > longest {
		t.Errorf("an aggregate stood still for %v, %v are allowed", pause, longest)
	}
}

// TestNode_Drain_HandsOver ends one of two nodes with SIGTERM, and lets it come
// back, under load through the other. No request fails, and no aggregate stands
// still for long. GANGLION_DRAINS sets how often, and has the time held to what is
// promised on a machine of one's own.
func TestNode_Drain_HandsOver(t *testing.T) { //nolint:tparallel // one after the other
	measures(t, "GANGLION_DRAINS")
	binary := nodes.Build(t, "../cmd/node")
	for _, name := range []string{"embedded", "mongo"} {
		t.Run(name, func(t *testing.T) {
			var flags []string
			if name == "mongo" {
				flags = []string{"--mongo-uri", testharness.SharedMongo(t, 3).URI(), "--mongo-database", testharness.DatabaseName(t)}
			}
			drains(t, binary, flags)
		})
	}
}

func drains(t *testing.T, binary string, flags []string) {
	t.Helper()
	const aggregates = 32
	longest := bound(500*time.Millisecond, "GANGLION_DRAINS")
	names := []string{"goes", "stays"}
	m := spawnMembers(t, binary, names, flags...)
	l := newLoad(t, testenv.Seed(t), m.nodes["stays"].URL)
	l.open(aggregates)
	s := &steady{load: l, moves: func(id string) bool {
		p := actor.DefaultPartitions.Of(actor.Address{Kind: "portfolio", ID: id})
		return placement.Highest(names, store.Partition(p)) == "goes"
	}}
	stop := inBackground(t.Context(), func(ctx context.Context) { s.run(ctx, aggregates) })
	for range testenv.Times(t, "GANGLION_DRAINS", 1) {
		start := time.Now()
		m.nodes["goes"].Terminate(t)
		t.Logf("ended within %v", time.Since(start))
		m.awaitShared("stays")
		if v, err := m.view("stays"); err != nil || len(v.Members) != 1 {
			t.Errorf("members after the drain: %+v, %v", v.Members, err)
		}
		m.nodes["goes"].Launch(t)
		m.awaitShared(names...)
	}
	stop()
	for _, f := range s.failed {
		t.Error(f)
	}
	moving, staying, excess := s.longest()
	t.Logf("%d requests; longest pause of an aggregate that moves %v, that stays %v; at most %v longer than what stays at the same time",
		s.requests, moving, staying, excess)
	if excess > longest {
		t.Errorf("an aggregate stood still for %v, %v are allowed", excess, longest)
	}
}

// TestNode_Drain_IsSeenByAll: a node that cannot finish is seen as draining from
// everywhere, with what it still has; then it is gone. "drain" asks for it.
func TestNode_Drain_IsSeenByAll(t *testing.T) {
	t.Parallel()
	server := testharness.NATS(t, testharness.WithListener())
	gate := make(chan struct{})
	names := []string{"goes", "stays"}
	local := map[string]*nodes.Local{}
	for _, name := range names {
		local[name] = nodes.Start(t, node.Config{NATSURL: server.URL(), Name: name}, gauges(gate))
	}
	view := func(asked string) (v gateway.ClusterView) {
		a := caller{t, local[asked].URL()}.do("GET", "/v1/cluster", "")
		if a.status == 200 {
			if err := json.Unmarshal(a.body, &v); err != nil {
				t.Error(err)
			}
		}
		return v
	}
	testharness.Eventually(t, 30*time.Second, func() bool { return shared(view("goes"), names) && shared(view("stays"), names) })

	held := aggregateOf("gauge", "goes", names)
	stalled := make(chan answer, 1)
	go func() {
		stalled <- caller{t, local["stays"].URL()}.post("/v1/gauge/"+held+"/Stall?lane=direct&timeout=60s", `{}`)
	}()
	testharness.Eventually(t, 10*time.Second, func() bool { return local["goes"].Status().Activations == 1 })
	if a := (caller{t, local["goes"].AdminURL()}).post("/drain", ""); a.status != 202 {
		t.Fatalf("drain: %d %s", a.status, a.body)
	}
	<-local["goes"].Drained()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		local["goes"].Stop(t)
	}()
	testharness.Eventually(t, 10*time.Second, func() bool {
		for _, asked := range names {
			v := view(asked)
			left := 0
			for _, p := range v.Partitions {
				if p.Owner == "goes" {
					left++
				}
			}
			if memberState(v, "goes") != gateway.MemberDraining || memberState(v, "stays") != gateway.MemberLive || left != 1 {
				return false
			}
		}
		return true
	})
	close(gate)
	<-ended
	if a := <-stalled; a.status != 200 {
		t.Errorf("the request that held up the drain: %d %s", a.status, a.body)
	}
	testharness.Eventually(t, 10*time.Second, func() bool {
		v := view("stays")
		return len(v.Members) == 1 && shared(v, []string{"stays"})
	})
}

// TestNode_SecondSignal_EndsAtOnce: the store is away, so that nothing can be
// handed back, and the first signal alone has the node try for long.
func TestNode_SecondSignal_EndsAtOnce(t *testing.T) {
	t.Parallel()
	server := testharness.NATS(t, testharness.WithListener())
	p := nodes.Spawn(t, nodes.Build(t, "../cmd/node"), nil, "--nats-url", server.URL(), "--name", "n1")
	server.Stop()
	endsWithSecondSignal(t, p)
}

// endsWithSecondSignal ends a node that can give nothing back. It goes on trying after
// the first signal, and ends with the second.
func endsWithSecondSignal(t *testing.T, p *nodes.Process) {
	t.Helper()
	signal := func() {
		t.Helper()
		if err := p.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	signal()
	select {
	case <-p.Exited():
		t.Fatalf("it ended with the first signal, although it cannot give anything back:\n%s", p.Log())
	case <-time.After(time.Second):
	}
	signal()
	select {
	case <-p.Exited():
	case <-time.After(40 * time.Second):
		t.Fatalf("it does not end:\n%s", p.Log())
	}
}

// memberState returns the state of a node in a view.
func memberState(v gateway.ClusterView, name string) gateway.MemberState {
	for _, m := range v.Members {
		if m.Name == name {
			return m.State
		}
	}
	return ""
}
