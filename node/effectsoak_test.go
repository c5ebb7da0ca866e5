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
// who asks for what.
type provider struct {
	took time.Duration
	seed uint64

	mu        sync.Mutex
	inFlight  map[int]int // by process
	most      int         // at once, of any process
	calls     map[string]int
	attempts  map[string]int            // the last one, by key
	succeeded map[string]map[int]string // keys by job and index
	done      int
	repeated  int // successes of a key beyond the first
	faults    []string
}

func newProvider(took time.Duration, seed uint64) *provider {
	return &provider{
		took: took, seed: seed, inFlight: map[int]int{}, calls: map[string]int{}, attempts: map[string]int{}, succeeded: map[string]map[int]string{},
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
	if !p.end(&c) {
		http.Error(w, "try again", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("{}"))
}

func (p *provider) begin(c *chargeCall) {
	p.mu.Lock()
	defer p.mu.Unlock()
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

// end reports whether the call succeeds.
func (p *provider) end(c *chargeCall) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[c.Key]++
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %s %d", p.seed, c.Job, c.Index)
	switch was := p.succeeded[c.Job][c.Index]; {
	case was == c.Key:
		p.repeated++
	case was != "":
		p.faultLocked("%s is charged twice for %d, under %s and %s", c.Job, c.Index, was, c.Key)
	case p.calls[c.Key] <= int(h.Sum64()>>32%6):
		return false
	default:
		p.succeeded[c.Job][c.Index] = c.Key
		p.done++
	}
	return true
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

// TestNode_EffectsSoak has many effects fail at random while both nodes are killed twice:
// each aggregate's come in order, none is lost or given up, and no node makes more
// attempts at once than it may. GANGLION_SOAK is the number of effects, a multiple of 10 (`make
// soak-effects`: 10,000, with a provider that takes a second); GANGLION_SEED repeats a run.
func TestNode_EffectsSoak(t *testing.T) {
	t.Parallel()
	seed := testenv.Seed(t)
	effects, took := 500, 100*time.Millisecond
	if text := os.Getenv("GANGLION_SOAK"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 10 || n%10 != 0 {
			t.Fatalf("GANGLION_SOAK=%q is no multiple of 10", text)
		}
		effects, took = n, time.Second
	}
	p := newProvider(took, seed)
	outside := httptest.NewServer(p)
	t.Cleanup(outside.Close)
	server := testharness.NATS(t, testharness.WithListener())
	binary := nodes.Build(t, "./testdata/soak")
	var cluster []*nodes.Process
	for i := range 2 {
		cluster = append(cluster, nodes.Spawn(t, binary, []string{"SOAK_PROVIDER=" + outside.URL},
			"--nats-url", server.URL(), "--name", fmt.Sprintf("n%d", i+1), "--lease", "1s"))
	}
	jobs := effects / 10
	c := caller{t, cluster[0].URL()}
	for i := range jobs {
		c.expect("start", c.post(fmt.Sprintf("/v1/job/%d/Start", i), `{"times":10}`), 200, "")
	}
	patience := max(time.Minute, time.Duration(effects)*took/10)
	for kill := range 4 {
		testharness.Eventually(t, patience, func() bool { return p.progress() >= effects*(kill+1)/6 })
		victim := cluster[kill%2]
		victim.Kill()
		victim.Launch(t)
		victim.AwaitReady(t)
	}
	testharness.Eventually(t, patience, func() bool { return p.progress() >= effects })
	c = caller{t, cluster[0].URL()}
	want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	for i := range jobs {
		var view struct {
			State struct {
				Asked        int
				Done, Failed []int
			} `json:"state"`
		}
		testharness.Eventually(t, patience, func() bool {
			got := c.do("GET", fmt.Sprintf("/v1/job/%d", i), "")
			view.State.Done, view.State.Failed = nil, nil
			return got.status == 200 && json.Unmarshal(got.body, &view) == nil && len(view.State.Done)+len(view.State.Failed) >= view.State.Asked
		})
		if !slices.Equal(view.State.Done, want) || len(view.State.Failed) > 0 {
			t.Errorf("job %d: done %v, given up %v", i, view.State.Done, view.State.Failed)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		t.Error(f)
	}
	if p.most > 64 || p.most < 10 {
		t.Errorf("a node had %d attempts at once", p.most)
	}
	t.Logf("%d effects, %d of them answered again, %d attempts at once at the most", effects, p.repeated, p.most)
}
