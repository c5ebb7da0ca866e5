package node_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// A command that ends the process of whoever executes it ends a few of them, and is
// then parked: what was promised beside it is done, and its own aggregate goes on.
func TestNode_CommandThatKillsTheProcessIsParked(t *testing.T) {
	t.Parallel()
	binary := nodes.Build(t, "./testdata/crash")
	for name, c := range map[string]struct {
		how   string
		async bool
		flags func(t *testing.T) []string
	}{
		"durable, exit, embedded":      {"exit", true, nil},
		"durable, goroutine, embedded": {"goroutine", true, nil},
		"durable, exit, MongoDB":       {"exit", true, onMongo},
		"direct, recursion, embedded":  {"recursion", false, nil},
		"direct, exit, MongoDB":        {"exit", false, onMongo},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, lives, m := supervised(t, binary, c.flags)
			m.post("before", "Dig", "{}", "Prefer", "respond-async")
			blast, header := "Blast?lane=direct&timeout=5s", []string{"Idempotency-Key", "the-blast"}
			if c.async {
				blast, header = "Blast", append(header, "Prefer", "respond-async")
			}
			if status, _ := m.try("a", blast, `{"how":"`+c.how+`"}`, header...); c.async && status != 0 && status != http.StatusAccepted {
				t.Fatalf("the blast: %d", status)
			}
			for _, id := range []string{"b", "c", "d", "e"} {
				m.post(id, "Dig", "{}", "Prefer", "respond-async")
			}
			testharness.Eventually(t, 90*time.Second, func() bool {
				if !c.async { // its caller goes on
					if status, body := m.try("a", blast, `{"how":"`+c.how+`"}`, header...); status != http.StatusInternalServerError || !strings.Contains(body, "parked") {
						return false
					}
				}
				return strings.Contains(get(t, p.AdminURL()+"/parked"), "the-blast")
			})
			for _, id := range []string{"before", "b", "c", "d", "e"} {
				testharness.Eventually(t, 30*time.Second, func() bool { return strings.Contains(get(t, p.URL()+"/v1/mine/"+id), `"version":1`) })
			}
			if status, body := m.try("a", "Dig", "{}"); status != http.StatusOK {
				t.Errorf("its aggregate: %d %s", status, body)
			}
			if n := lives.Load(); n < 3 || n > 8 {
				t.Errorf("%d lives", n)
			}
		})
	}
}

// supervised starts a node that is started again whenever it dies. flags may be nil.
func supervised(t *testing.T, binary string, flags func(t *testing.T) []string) (*nodes.Process, *atomic.Int64, *miner) {
	t.Helper()
	all := []string{"--partitions", "2", "--lease", "500ms"}
	if flags != nil {
		all = append(all, flags(t)...)
	}
	p := nodes.Spawn(t, binary, nil, all...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.Log())
		}
	})
	return p, supervise(t, p), &miner{t: t, url: p.URL()}
}

func onMongo(t *testing.T) []string {
	t.Helper()
	return []string{"--mongo-uri", testharness.SharedMongo(t, 1).URI(), "--mongo-database", testharness.DatabaseName(t)}
}

// supervise starts the process again whenever it ends, and counts its lives.
func supervise(t *testing.T, p *nodes.Process) *atomic.Int64 {
	t.Helper()
	var lives atomic.Int64
	lives.Store(1)
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-p.Exited():
			}
			if ctx.Err() == nil {
				lives.Add(1)
				p.Launch(t)
			}
		}
	})
	t.Cleanup(func() { stop(); watching.Wait() })
	return &lives
}

type miner struct {
	t   *testing.T
	url string
}

// post repeats a request until it is answered with success: the node may be away.
func (m *miner) post(id, command, body string, header ...string) {
	m.t.Helper()
	header = append(header, "Idempotency-Key", "post-"+id)
	testharness.Eventually(m.t, 60*time.Second, func() bool {
		status, _ := m.try(id, command, body, header...)
		return status == http.StatusOK || status == http.StatusAccepted
	})
}

// try makes one request; 0: it was not answered.
func (m *miner) try(id, command, body string, header ...string) (status int, answer string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url+"/v1/mine/"+id+"/"+command, strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	req.GetBody = nil // not sent again by itself
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	data, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data)
}

// get returns the body of an answer; empty: there was none.
func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	data, _ := io.ReadAll(resp.Body)
	return string(data)
}

// An event that ends the process of whoever handles it, in a projection or in the router
// of a policy, ends a few of them and is then parked: all others are handled, and an
// operator leaves it out.
func TestNode_EventThatKillsTheProcessIsParked(t *testing.T) {
	t.Parallel()
	binary := nodes.Build(t, "./testdata/crash")
	for name, c := range map[string]struct {
		body  string
		in    string // what handles it
		flags func(t *testing.T) []string
	}{
		"projection, exit, embedded":      {`{"view":"exit"}`, "seen", nil},
		"projection, recursion, embedded": {`{"view":"recursion"}`, "seen", nil},
		"projection, exit, MongoDB":       {`{"view":"exit"}`, "seen", onMongo},
		"policy, goroutine, embedded":     {`{"policy":"goroutine"}`, "noting", nil},
		"policy, exit, MongoDB":           {`{"policy":"exit"}`, "noting", onMongo},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, lives, m := supervised(t, binary, c.flags)
			m.post("before", "Dig", "{}")
			m.post("fatal", "Dig", c.body)
			ids := []string{"before", "b", "c", "d", "e"}
			for _, id := range ids[1:] { // while it dies again and again
				m.post(id, "Dig", "{}")
			}
			testharness.Eventually(t, 90*time.Second, func() bool {
				parked := get(t, p.AdminURL()+"/parked")
				return strings.Contains(parked, "processes in a row died") && strings.Contains(parked, `"projection":"`+c.in+`"`)
			})
			if n := lives.Load(); n < 4 || n > 9 {
				t.Errorf("%d lives", n)
			}
			m.post("f", "Dig", "{}")
			for _, id := range append(ids, "f") {
				testharness.Eventually(t, 30*time.Second, func() bool { return strings.Contains(get(t, p.URL()+"/v1/notes/"+id), `"version":1`) })
			}
			adminCall(t, http.MethodPost, p.AdminURL()+"/parked/skip?projection="+c.in+"&aggregate=mine/fatal", http.StatusAccepted)
			testharness.Eventually(t, 30*time.Second, func() bool {
				return !strings.Contains(get(t, p.AdminURL()+"/parked"), "mine/fatal")
			})
			if status, body := m.try("fatal", "Dig", "{}"); status != http.StatusOK {
				t.Errorf("its aggregate: %d %s", status, body)
			}
			noted := map[string]string{"seen": `"version":2`, "noting": `"version":1`}[c.in] // both events, or without the one that was left out
			testharness.Eventually(t, 30*time.Second, func() bool { return strings.Contains(get(t, p.URL()+"/v1/notes/fatal"), noted) })
		})
	}
}
