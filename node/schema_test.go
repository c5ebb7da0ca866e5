package node_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// awaitEvents waits until the event stream has n events.
func awaitEvents(t *testing.T, server *testharness.NATSServer, n uint64) {
	t.Helper()
	js, err := jetstream.New(server.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	testharness.Eventually(t, 10*time.Second, func() bool {
		s, err := js.Stream(t.Context(), "ganglion_EVENTS")
		return err == nil && s.CachedInfo().State.LastSeq >= n
	})
}

// TestNode_Schema_StartIsRefused: the new build stores its form of an event and a kind
// that the old one does not have, and is gone. The old one alone does not start: it says
// the name, how many there are and where one is, and exits with 1. The unknown kind is
// no reason. It starts when told to, or beside the new build, which starts as ever.
func TestNode_Schema_StartIsRefused(t *testing.T) {
	t.Parallel()
	old, next := nodes.Build(t, "./testdata/upgrade/old"), nodes.Build(t, "./testdata/upgrade/new")
	server := testharness.NATS(t, testharness.WithListener())
	p := nodes.Spawn(t, old, nil, "--name", "n1", "--nats-url", server.URL(), "--partitions", "16", "--lease", "1s")
	c := caller{t, p.URL()}
	c.expect("an old event", c.post("/v1/account/a%2F1/Deposit", `{"amount":7}`), 200, "")
	p.Terminate(t)
	p.Use(next)
	p.Start(t) // the old build's event is upcast
	for range 3 {
		c.expect("a new event", c.post("/v1/account/a%2F1/Deposit", `{"amount":7}`), 200, "")
	}
	c.expect("a new kind", c.post("/v1/note/n-1/Deposit", `{"amount":7}`), 200, "")
	awaitEvents(t, server, 5)
	second := nodes.Prepare(t, old, nil, "--name", "n2", "--nats-url", server.URL(), "--lease", "1s")
	second.Launch(t) // it gets no partitions, as there are newer nodes
	testharness.Eventually(t, 30*time.Second, func() bool { return strings.Contains(second.Log(), "msg=listening") })
	if log := second.Log(); !strings.Contains(log, "nodes of another build") || !strings.Contains(log, "kinds that this build does not have") {
		t.Errorf("beside the new build:\n%s", log)
	}
	second.Kill()
	p.Terminate(t)

	refused := func(why string, args ...string) {
		t.Helper()
		begun := time.Now()
		out, code := execute(t, old, append([]string{"--nats-url", server.URL(), "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--lease", "1s"}, args...)...)
		for _, want := range []string{"account", "deposited.v2", "3 ×", "account/a/1", "event 4"} {
			if code != 1 || !strings.Contains(out, want) || strings.Contains(out, "deposited.v1") || strings.Contains(out, "written.v1") {
				t.Errorf("%s: exit %d, no %q in\n%s", why, code, want, out)
			}
		}
		t.Logf("%s: refused within %v", why, time.Since(begun))
	}
	refused("alone", "--name", "n3")
	p.Start(t)
	p.Kill()
	refused("beside one that was killed", "--name", "n3")

	checked := func(binary string, wantCode int, want ...string) {
		t.Helper()
		out, code := execute(t, binary, "check-events", "--nats-url", server.URL(), "--quiet", "1s")
		for _, w := range want {
			if code != wantCode || !strings.Contains(out, w) {
				t.Errorf("check-events: exit %d, no %q in\n%s", code, w, out)
			}
		}
	}
	checked(next, 0, "5 commits with 5 events, 0 of them")
	checked(old, 1, `account: 3 × "deposited.v2", such as event 2 of account/a/1`, `note: 1 × "written.v1", such as event 1 of note/n-1`, "4 of them")

	p.Use(old)
	third := nodes.Spawn(t, old, nil, "--name", "n3", "--nats-url", server.URL(), "--schema-check", "warn", "--lease", "1s")
	if log := third.Log(); !strings.Contains(log, "aggregates cannot be loaded") || !strings.Contains(log, "deposited.v2") {
		t.Errorf("told to warn:\n%s", log)
	}
	refused("beside the same build", "--name", "n4")
	third.Terminate(t)
	off := nodes.Spawn(t, old, []string{"GANGLION_SCHEMA_CHECK=off"}, "--name", "n5", "--nats-url", server.URL(), "--lease", "1s")
	if log := off.Log(); strings.Contains(log, "deposited.v2") {
		t.Errorf("told to be silent:\n%s", log)
	}
	off.Terminate(t)
	p.Use(next)
	p.Start(t)
	if got := c.do("GET", "/v1/account/a%2F1", ""); !strings.Contains(string(got.body), `"balance":28`) {
		t.Errorf("the new build, in the end: %s", got.body)
	}
}
