package node_test

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// provider is an outside service that is slow, fails each key up to five times, and notes
// who asks for what. It answers no more than it may at present, so that whoever is killed
// has attempts under way.
type provider struct {
	took time.Duration
	seed uint64

	mu        sync.Mutex
	limit     int                       // successes that there may be now
	raised    chan struct{}             // closed when limit is raised, and replaced
	inFlight  map[int]int               // by process
	most      int                       // at once, of any process
	begun     int                       // attempts
	answered  int                       // of them
	calls     map[string]int            // answered ones, by key
	attempts  map[string]int            // the last one, by key
	succeeded map[string]map[int]string // keys by job and index
	done      int
	repeated  int // successes of a key beyond the first
	faults    []string
}

func newProvider(took time.Duration, seed uint64) *provider {
	return &provider{
		took: took, seed: seed, raised: make(chan struct{}), inFlight: map[int]int{}, calls: map[string]int{}, attempts: map[string]int{}, succeeded: map[string]map[int]string{},
	}
}

type chargeCall struct {
	Key     string `json:"key"`
	Attempt int    `json:"attempt"`
	Job     string `json:"job"`
	Index   int    `json:"index"`
	PID     int    `json:"pid"`
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var c chargeCall
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.begin(&c)
	defer func() {
		p.mu.Lock()
		p.inFlight[c.PID]--
		p.mu.Unlock()
	}()
	select {
	case <-r.Context().Done(): // its node has died
		return
	case <-time.After(p.took):
	}
	for {
		succeeds, later := p.end(&c)
		switch {
		case succeeds:
			_, _ = w.Write([]byte("{}"))
			return
		case later == nil:
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-later:
		}
	}
}

// raise lets that many succeed.
func (p *provider) raise(limit int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = limit
	close(p.raised)
	p.raised = make(chan struct{})
}

func (p *provider) begin(c *chargeCall) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun++
	p.inFlight[c.PID]++
	p.most = max(p.most, p.inFlight[c.PID])
	if p.succeeded[c.Job] == nil {
		p.succeeded[c.Job] = map[int]string{}
	}
	for before := range c.Index {
		if p.succeeded[c.Job][before] == "" {
			p.faultLocked("%s asks for %d before %d is done", c.Job, c.Index, before)
		}
	}
	if c.Attempt <= p.attempts[c.Key] {
		p.faultLocked("attempt %d of %s comes after %d", c.Attempt, c.Key, p.attempts[c.Key])
	}
	p.attempts[c.Key] = c.Attempt
}

// end reports whether the call succeeds. later is when to ask again; nil: it is answered now.
func (p *provider) end(c *chargeCall) (succeeds bool, later <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %s %d", p.seed, c.Job, c.Index)
	fails := int(h.Sum64() >> 32 % 6)
	if p.calls[c.Key] >= fails && p.done >= p.limit {
		return false, p.raised
	}
	p.answered++
	p.calls[c.Key]++
	switch was := p.succeeded[c.Job][c.Index]; {
	case was == c.Key:
		p.repeated++
	case was != "":
		p.faultLocked("%s is charged twice for %d, under %s and %s", c.Job, c.Index, was, c.Key)
	case p.calls[c.Key] <= fails:
		return false, nil
	default:
		p.succeeded[c.Job][c.Index] = c.Key
		p.done++
	}
	return true, nil
}

func (p *provider) faultLocked(format string, args ...any) {
	if len(p.faults) < 20 {
		p.faults = append(p.faults, fmt.Sprintf(format, args...))
	}
}

func (p *provider) progress() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// soakSize is how much a soak of effects asks for. There are more aggregates than a node
// may make attempts at once, or nothing would show that it does not.
type soakSize struct {
	jobs, times int           // aggregates, and effects that each asks for
	took        time.Duration // by the provider, for each attempt
	retry       time.Duration // the first pause
	parallel    int
}

func sizeOfSoak(t *testing.T) soakSize {
	t.Helper()
	text := os.Getenv("GANGLION_SOAK")
	if text == "" {
		return soakSize{jobs: 100, times: 5, took: 100 * time.Millisecond, retry: 20 * time.Millisecond, parallel: 20}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 10 || n%10 != 0 {
		t.Fatalf("GANGLION_SOAK=%q is no multiple of 10", text)
	}
	return soakSize{jobs: n / 10, times: 10, took: time.Second, retry: 100 * time.Millisecond, parallel: 64}
}

// effectSoak is two nodes whose jobs ask the provider.
type effectSoak struct {
	*provider
	t        *testing.T
	size     soakSize
	binary   string
	cluster  []*nodes.Process
	ids      []string // of jobs
	patience time.Duration
}

// TestNode_EffectsSoak has many effects fail at random while both nodes are killed twice, with
// attempts under way: each aggregate's come in order, none is lost or given up, and no node makes
// more attempts at once than it may. GANGLION_SOAK is the number of effects, a multiple of 10
// (`make soak-effects`: 10,000, with a provider that takes a second); GANGLION_SEED repeats a run.
// With GANGLION_OLD (`make rolling`) nodes of a build without effects have the partitions meanwhile.
func TestNode_EffectsSoak(t *testing.T) {
	t.Parallel()
	seed, size, began := testenv.Seed(t), sizeOfSoak(t), time.Now()
	s := &effectSoak{
		provider: newProvider(size.took, seed), t: t, size: size, binary: nodes.Build(t, "./testdata/soak"),
		patience: max(time.Minute, time.Duration(size.jobs*size.times)*size.took/10),
	}
	outside := httptest.NewServer(s)
	t.Cleanup(outside.Close)
	url := testharness.NATS(t, testharness.WithListener()).URL()
	env := []string{"SOAK_PROVIDER=" + outside.URL, "SOAK_RETRY=" + size.retry.String(), fmt.Sprint("SOAK_PARALLEL=", size.parallel)}
	for _, name := range []string{"n1", "n2"} {
		s.cluster = append(s.cluster, nodes.Spawn(t, s.binary, env, "--nats-url", url, "--name", name, "--lease", "1s", "--partitions", "16"))
	}
	for i := range size.jobs {
		if status := s.startJob(s.cluster[0], fmt.Sprint("job-", i)); status != http.StatusOK {
			t.Fatalf("start of job %d: %d", i, status)
		}
	}
	if commit := os.Getenv("GANGLION_OLD"); commit != "" {
		s.roll(commit)
	} else {
		s.kill()
	}
	effects := len(s.ids) * size.times
	s.raise(effects)
	defer func() {
		if done := s.progress(); done < effects {
			for _, n := range s.cluster {
				t.Logf("%d of %d effects; %.3000s; parked: %.1000s\n%.3000s", done, effects,
					caller{t, n.AdminURL()}.do(http.MethodGet, "/effects?limit=5", "").body, caller{t, n.AdminURL()}.do(http.MethodGet, "/parked", "").body, n.Log())
			}
		}
	}()
	testharness.Eventually(t, s.patience, func() bool { return s.progress() >= effects })
	s.check()
	t.Logf("%d effects in %v: %d attempts, of which %d were cut off; %d were answered again that had succeeded; at most %d at once of one node",
		effects, time.Since(began).Round(time.Second), s.begun, s.begun-s.answered, s.repeated, s.most)
}

// startJob has a job ask for all that it asks for.
func (s *effectSoak) startJob(at *nodes.Process, id string) (status int) {
	s.t.Helper()
	status = (caller{s.t, at.URL()}).post("/v1/job/"+id+"/Start", fmt.Sprintf(`{"times":%d}`, s.size.times)).status
	if status == http.StatusOK {
		s.ids = append(s.ids, id)
	}
	return status
}

// kill kills both nodes twice, each time when a sixth more has succeeded.
func (s *effectSoak) kill() {
	s.t.Helper()
	effects := len(s.ids) * s.size.times
	for n := range 4 {
		s.raise(effects * (n + 2) / 6)
		testharness.Eventually(s.t, s.patience, func() bool { return s.progress() >= effects*(n+1)/6 })
		s.cluster[n%2].Kill()
		s.cluster[n%2].Start(s.t)
	}
}

// check looks at all jobs, and at what the provider has seen.
func (s *effectSoak) check() {
	s.t.Helper()
	c := caller{s.t, s.cluster[0].URL()}
	var want []int
	for i := range s.size.times {
		want = append(want, i)
	}
	for _, id := range s.ids {
		var view struct{ State struct{ Done, Failed []int } }
		testharness.Eventually(s.t, s.patience, func() bool {
			got := c.do(http.MethodGet, "/v1/job/"+id, "")
			view.State.Done, view.State.Failed = nil, nil
			return got.status == http.StatusOK && json.Unmarshal(got.body, &view) == nil && len(view.State.Done)+len(view.State.Failed) >= s.size.times
		})
		if !slices.Equal(view.State.Done, want) || len(view.State.Failed) > 0 {
			s.t.Errorf("%s: done %v, given up %v", id, view.State.Done, view.State.Failed)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		s.t.Error(f)
	}
	if s.most > s.size.parallel || s.most < s.size.parallel/2 {
		s.t.Errorf("a node had %d attempts at once, it may have %d", s.most, s.size.parallel)
	}
	if s.begun == s.answered {
		s.t.Error("no attempt was cut off: nothing was tested")
	}
}
