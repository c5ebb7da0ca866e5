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
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// verdict is what a caller knows of a command after all its attempts.
type verdict int

const (
	unknown     verdict = iota // may or may not have taken effect
	succeeded                  // 200
	notExecuted                // a definite failure
)

// attempt is a command as its caller saw it.
type attempt struct {
	aggregate string
	key       string
	verdict   verdict
	version   actor.Version
	status    int
}

// load drives deposits of 1 over HTTP from several clients, and remembers what
// each was told. A part of the unknown outcomes is asked for again with the same
// key, until it is resolved; the others are left as they are.
type load struct {
	t      *testing.T
	urls   func() string // base of the API to use next
	client *http.Client
	seed   uint64

	mu       sync.Mutex
	attempts []attempt
	wrong    []string
	pauseGap time.Duration // longest time between two successes of any client
	last     time.Time
}

func newLoad(t *testing.T, seed uint64, urls func() string) *load {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &load{t: t, urls: urls, seed: seed, client: &http.Client{Transport: transport, Timeout: 15 * time.Second}}
}

// bound is what a figure is held to: limit itself in a run for its own sake, which
// the variable that sets how often asks for, and ten times as much beside the tests of
// other packages, which keep all processors busy, where it only finds what has got worse by an
// order of magnitude.
func bound[T ~int64 | ~float64](limit T, variable string) T {
	if os.Getenv(variable) != "" {
		return limit
	}
	return 10 * limit
}

// measures has a test run alone in its package in a run for its own sake, see bound, and beside
// others else.
func measures(t *testing.T, variable string) {
	t.Helper()
	if os.Getenv(variable) == "" {
		t.Parallel()
	}
}

// post sends one attempt, exactly one: without GetBody the transport cannot send
// it again by itself, as it else does with a request that has an Idempotency-Key.
func (l *load) post(ctx context.Context, path, key, body string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.urls()+path, io.NopCloser(bytes.NewReader([]byte(body))))
	if err != nil {
		return 0, nil, err
	}
	req.GetBody = nil
	req.ContentLength = int64(len(body))
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, data, err
}

// clientPause is the longest pause of a client between two commands: so many clients leave the
// processors to what is tested.
const clientPause = 40 * time.Millisecond

// run drives clients until ctx ends. Every client ends after its command in hand.
func (l *load) run(ctx context.Context, clients, aggregates int) {
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(l.seed, uint64(c)))
			for n := 0; ctx.Err() == nil; n++ {
				l.command(ctx, rnd, fmt.Sprintf("c%d-%d-%d", l.seed, c, n), fmt.Sprintf("load-%d", rnd.IntN(aggregates)))
				<-time.After(time.Duration(rnd.Int64N(int64(clientPause))))
			}
		})
	}
	wg.Wait()
}

// inBackground runs a load beside the test, until ctx ends or the function that it
// returns is called, which waits until the load is over.
func inBackground(ctx context.Context, run func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

func (l *load) command(ctx context.Context, rnd *rand.Rand, key, aggregate string) {
	lane := ""
	if rnd.IntN(2) == 0 {
		lane = "&lane=direct"
	}
	insist := rnd.IntN(2) == 0
	a := attempt{aggregate: aggregate, key: key}
	inDoubt := false
	for {
		// The request outlives the end of the load: its answer is what is checked.
		status, body, err := l.post(context.WithoutCancel(ctx), "/v1/portfolio/"+aggregate+"/DepositCash?timeout=5s"+lane, key, `{"amount":1}`)
		a.status = status
		a.verdict = l.judge(status, body, err, &a)
		if a.verdict == unknown {
			inDoubt = true
		}
		if a.verdict == notExecuted && inDoubt {
			a.verdict = unknown // this attempt was not executed, an earlier one may have been
		}
		if a.verdict == succeeded || !insist || ctx.Err() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	l.remember(a)
	if a.verdict != succeeded {
		select { // a node that is down answers at once: do not fill the record with that
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (l *load) judge(status int, body []byte, err error, a *attempt) verdict {
	switch {
	case err != nil && isRefused(err):
		return notExecuted
	case err != nil || status == http.StatusGatewayTimeout:
		return unknown
	case status == http.StatusOK:
		var ok struct{ Version actor.Version }
		if json.Unmarshal(body, &ok) != nil || ok.Version == 0 {
			l.complain("answer %s", body)
		}
		a.version = ok.Version
		return succeeded
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		return notExecuted
	default:
		l.complain("status %d: %s", status, body)
		return unknown
	}
}

func isRefused(err error) bool {
	u, ok := errors.AsType[*url.Error](err)
	return ok && errors.Is(u.Err, errConnectionRefused)
}

func (l *load) complain(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

func (l *load) remember(a attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts = append(l.attempts, a)
	if a.verdict == succeeded {
		if now := time.Now(); l.last.IsZero() || now.Sub(l.last) <= l.pauseGap {
			l.last = now
		} else {
			l.pauseGap, l.last = now.Sub(l.last), now
		}
	}
}

// check compares what callers were told with the histories.
func (l *load) check(aggregates int) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.wrong {
		l.t.Error(w)
	}
	found := map[string][]actor.Version{}
	for n := range aggregates {
		aggregate := fmt.Sprintf("load-%d", n)
		for _, e := range l.events(aggregate) {
			found[aggregate+" "+e.CommandID] = append(found[aggregate+" "+e.CommandID], e.Version)
		}
	}
	counts := map[verdict]int{}
	for _, a := range l.attempts {
		versions := found[a.aggregate+" "+a.key]
		counts[a.verdict]++
		switch {
		case len(versions) > 1:
			l.t.Errorf("%s took effect %d times: %v", a.key, len(versions), versions)
		case a.verdict == succeeded && len(versions) == 0:
			l.t.Errorf("%s was acknowledged at version %d and is not in the history", a.key, a.version)
		case a.verdict == succeeded && versions[0] != a.version:
			l.t.Errorf("%s was acknowledged at version %d and is at %d", a.key, a.version, versions[0])
		case a.verdict == notExecuted && len(versions) > 0:
			l.t.Errorf("%s was told as not executed (%d) and is at version %v", a.key, a.status, versions)
		}
	}
	l.t.Logf("%d acknowledged, %d not executed, %d unknown, longest pause %v", counts[succeeded], counts[notExecuted], counts[unknown], l.pauseGap)
	if counts[succeeded] == 0 {
		l.t.Error("no command succeeded: nothing was tested")
	}
}

type eventRecord struct {
	Version   actor.Version
	Type      string
	CommandID string
}

// events reads a whole history and checks that it has no gap.
func (l *load) events(aggregate string) []eventRecord {
	l.t.Helper()
	var all []eventRecord
	for after := actor.Version(0); ; {
		var page struct {
			Events []eventRecord
			Next   actor.Version
		}
		l.get(fmt.Sprintf("/v1/portfolio/%s/events?after=%d&limit=1000", aggregate, after), &page)
		for _, e := range page.Events {
			if e.Version != actor.Version(len(all)+1) {
				l.t.Fatalf("%s: version %d follows %d", aggregate, e.Version, len(all))
			}
			all = append(all, e)
		}
		if len(page.Events) == 0 {
			return all
		}
		after = page.Next
	}
}

func (l *load) get(path string, into any) {
	l.t.Helper()
	resp, err := l.client.Get(l.urls() + path)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		l.t.Fatalf("GET %s: %d %s %v", path, resp.StatusCode, data, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		l.t.Fatalf("GET %s: %v", path, err)
	}
}

// open creates the aggregates, and waits until that is possible.
func (l *load) open(aggregates int) {
	l.t.Helper()
	for n := range aggregates {
		for deadline := time.Now().Add(time.Minute); ; wait(l.t, 100*time.Millisecond) { // a partition may have no owner yet
			status, body, err := l.post(l.t.Context(), fmt.Sprintf("/v1/portfolio/load-%d/CreatePortfolio", n), fmt.Sprint("open-", n), `{"userId":"u"}`)
			if err == nil && status == http.StatusOK {
				break
			}
			if time.Now().After(deadline) {
				l.t.Fatalf("create: %d %s %v", status, body, err)
			}
		}
	}
}
