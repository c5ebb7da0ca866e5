package node_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// replaced is a cluster of three whose members are replaced one after another.
type replaced struct {
	t      *testing.T
	binary string
	flags  []string
	live   []string // in the order of their starts
	addrs  map[string]string
	nodes  map[string]*nodes.Process
}

// add prepares a node that knows those that live, and others that are named.
func (r *replaced) add(name string, routes ...string) {
	r.t.Helper()
	routes = slices.DeleteFunc(routes, func(addr string) bool { return addr == r.addrs[name] })
	flags := append([]string{
		"--name", name, "--nats-cluster-addr", r.addrs[name], "--nats-routes", strings.Join(routes, ","),
	}, r.flags...)
	r.nodes[name] = nodes.Prepare(r.t, r.binary, nil, flags...)
	r.live = append(r.live, name)
}

// ready asks a node, and returns its warnings.
func (r *replaced) ready(name string) (status int, state, warnings string) {
	r.t.Helper()
	code, body := admin(r.t, r.nodes[name], "/readyz")
	var got struct {
		Status   string
		Warnings []string
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		r.t.Fatalf("%s: %v", body, err)
	}
	return code, got.Status, strings.Join(got.Warnings, "; ")
}

// write has a command executed at the node, in the time that an election may take.
func (r *replaced) write(name string, n int) {
	r.t.Helper()
	c := caller{r.t, r.nodes[name].URL()}
	key := fmt.Sprintf("deposit-%d", n)
	testharness.Eventually(r.t, 45*time.Second, func() bool {
		return c.post("/v1/portfolio/p/DepositCash?timeout=5s", `{"amount":1}`, "Idempotency-Key", key).status == http.StatusOK
	})
}

// TestNode_ReplaceMember loses all nodes of a cluster for good, one after another, and has
// each replaced by one with another name. Until then every node says that the streams lack
// a replica. After three replacements another one may be lost, and nothing that was
// acknowledged is.
func TestNode_ReplaceMember(t *testing.T) {
	t.Parallel()
	t.Run("jetstream", func(t *testing.T) {
		t.Parallel()
		replaceMembers(t)
	})
	t.Run("mongo", func(t *testing.T) {
		t.Parallel()
		replaceMembers(t, "--mongo-uri", testharness.SharedMongo(t, 1).URI(), "--mongo-database", testharness.DatabaseName(t))
	})
}

func replaceMembers(t *testing.T, flags ...string) {
	r := &replaced{t: t, binary: nodes.Build(t, "../cmd/node"), flags: flags, addrs: map[string]string{}, nodes: map[string]*nodes.Process{}}
	for i := range 6 {
		r.addrs[fmt.Sprintf("n%d", i+1)] = nodes.FreeAddress(t)
	}
	defer func() {
		for name, p := range r.nodes {
			if t.Failed() && slices.Contains(r.live, name) {
				_, ready := admin(t, p, "/readyz")
				_, lacks := admin(t, p, "/nats-members")
				t.Logf("%s: %s %s\n%s", name, ready, lacks, p.Log())
			}
		}
	}()
	for _, name := range []string{"n1", "n2", "n3"} {
		r.add(name, r.addrs["n1"], r.addrs["n2"], r.addrs["n3"])
		r.nodes[name].Launch(t)
	}
	for _, name := range r.live {
		r.nodes[name].AwaitReady(t)
	}
	c := caller{t, r.nodes["n1"].URL()}
	c.expect("create", c.post("/v1/portfolio/p/CreatePortfolio", `{"userId":"u"}`), 200, "")
	written := 0
	for i := range 3 {
		lost, fresh := r.live[0], fmt.Sprintf("n%d", i+4)
		r.nodes[lost].Kill()
		r.live = r.live[1:]
		survivor := r.live[0]
		r.expectRefusal(survivor, lost, "no replacement")
		r.expectRefusal(survivor, r.live[1], "the member is there")
		r.expectRefusal(survivor, "nobody", "no such member")
		r.add(fresh, r.addrs[r.live[0]], r.addrs[r.live[1]])
		r.nodes[fresh].Start(t)
		for _, name := range r.live {
			testharness.Eventually(t, 30*time.Second, func() bool {
				code, state, warnings := r.ready(name)
				return code == http.StatusOK && state == "degraded" && strings.Contains(warnings, "lack a replica") && strings.Contains(warnings, lost)
			})
		}
		if _, metrics := admin(t, r.nodes[fresh], "/metrics"); strings.Contains(metrics, "ganglion_streams_lacking_replicas 0") {
			t.Error("the gauge of the new node knows of no lack")
		}
		r.write(survivor, written)
		written++
		r.replace(r.live[i%3], lost)
		for _, name := range r.live {
			testharness.Eventually(t, 30*time.Second, func() bool {
				code, state, _ := r.ready(name)
				return code == http.StatusOK && state == "ok"
			})
		}
	}
	r.nodes[r.live[0]].Kill()
	for range 3 {
		r.write(r.live[1], written)
		written++
	}
	var got struct{ State struct{ Cash int } }
	if err := json.Unmarshal(caller{t, r.nodes[r.live[2]].URL()}.do("GET", "/v1/portfolio/p", "").body, &got); err != nil || got.State.Cash != written {
		t.Errorf("%d deposits were acknowledged, there are %d: %v", written, got.State.Cash, err)
	}
}

// replace runs the subcommand once the servers count the member as lost, 10 s after its
// end.
func (r *replaced) replace(asked, lost string) {
	r.t.Helper()
	testharness.Eventually(r.t, 45*time.Second, func() bool {
		out, code := execute(r.t, r.binary, "replace-member", lost, "--admin-url="+r.nodes[asked].AdminURL())
		if code != 0 && !strings.Contains(out, "the member is there") || code == 0 && !strings.Contains(out, "all streams have their replicas") {
			r.t.Fatalf("replace-member %s: exit %d\n%s", lost, code, out)
		}
		return code == 0
	})
}

// expectRefusal runs the subcommand for a member that is not to be replaced now. A group
// that has just lost its leader answers after an election.
func (r *replaced) expectRefusal(asked, member, why string) {
	r.t.Helper()
	var out string
	testharness.Eventually(r.t, 45*time.Second, func() bool {
		var code int
		out, code = execute(r.t, r.binary, "replace-member", member, "--admin-url="+r.nodes[asked].AdminURL())
		return code == 1 && !slices.ContainsFunc([]string{"leader", "unavailable", lateOf(why)}, func(s string) bool { return strings.Contains(out, s) })
	})
	if !strings.Contains(out, why) {
		r.t.Errorf("replace-member %s: no %q in\n%s", member, why, out)
	}
}

// lateOf is what is said of a lost member until the servers count it as lost.
func lateOf(why string) string {
	if why == "no replacement" {
		return "the member is there"
	}
	return "unavailable"
}
