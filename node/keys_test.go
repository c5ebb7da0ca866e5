package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// TestNode_CommandID_StaysTheSameCommand: the id that the gateway has made for a command
// comes back as a key, and so do keys of callers that look like such an id: once the
// aggregate's memory has forgotten them, and after a restart.
func TestNode_CommandID_StaysTheSameCommand(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, cfg node.Config) {
		cfg.Name, cfg.Lease, cfg.Limits = "same-command", 500*time.Millisecond, runtime.Config{RingMax: 4}
		n := nodes.Start(t, cfg, gauges(nil))
		c := caller{t, n.URL()}
		others := func() {
			t.Helper()
			for range 10 {
				c.expect("another", c.post("/v1/gauge/k/Raise?lane=direct", `{"by":1}`), 200, "")
			}
		}
		c.expect("the first", c.post("/v1/gauge/k/Raise", `{"by":100}`), 200, "")
		first := map[string]answer{}
		bodies := map[string]string{}
		for _, body := range []string{`{"by":1000}`, `{"by":-1000000}`} {
			for _, lane := range []string{"durable", "direct"} {
				a := c.post("/v1/gauge/k/Raise?lane="+lane, body)
				id := a.header.Get("Ganglion-Command-ID")
				if id == "" {
					t.Fatalf("no id: %d %s", a.status, a.body)
				}
				first[id], bodies[id] = a, body
			}
		}
		for i, key := range []string{"ffffffff-ffff-7fff-bfff-ffffffffffff", "00000000-0000-7000-8000-000000000000", "order-1"} {
			bodies[key] = fmt.Sprintf(`{"by":%d}`, 10000*(i+1))
			first[key] = c.post("/v1/gauge/k/Raise", bodies[key], "Idempotency-Key", key)
			c.expect("a key", first[key], 200, "")
		}
		again := func(when string) {
			t.Helper()
			for id, want := range first {
				if a := c.post("/v1/gauge/k/Raise", bodies[id], "Idempotency-Key", id); a.status != want.status || string(a.body) != string(want.body) {
					t.Errorf("%s, %s %s: %d %s, first it was %d %s", when, id, bodies[id], a.status, a.body, want.status, want.body)
				}
			}
		}
		others()
		again("forgotten")
		n.Stop(t)
		n = nodes.Start(t, cfg, gauges(nil))
		c = caller{t, n.URL()}
		again("after a restart")
		others()
		again("after a restart, forgotten")
		if got := c.do("GET", "/v1/gauge/k", ""); !strings.HasSuffix(string(got.body), `"state":{"Level":62120}}`) {
			t.Errorf("state: %s", got.body)
		}
	})
}
