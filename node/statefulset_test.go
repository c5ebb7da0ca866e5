package node_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// statefulSet is what docs/deploy.md has for Kubernetes.
func statefulSet(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "<!-- stateful set: read by node.TestNode_StatefulSet -->\n```yaml\n")
	set, _, ended := strings.Cut(after, "```")
	if !found || !ended {
		t.Fatal("docs/deploy.md has no stateful set")
	}
	return set
}

// pods prepares the documented pods by their names, with addresses of the loopback
// interface and files of the test in the place of the cluster's.
func pods(t *testing.T) map[string]*nodes.Process {
	t.Helper()
	set := statefulSet(t)
	var args []string
	for _, arg := range regexp.MustCompile(`(?m)^ +- (--\S+)$`).FindAllStringSubmatch(set, -1) {
		args = append(args, arg[1])
	}
	hosts := regexp.MustCompile(`ganglion-\d\.ganglion:6222`).FindAllString(set, -1)
	if len(args) < 8 || len(hosts) != 3 {
		t.Fatalf("the stateful set has the flags %v and the routes %v", args, hosts)
	}
	addresses := map[string]string{}
	for _, host := range hosts {
		addresses[host] = nodes.FreeAddress(t)
	}
	secrets := t.TempDir()
	for _, name := range []string{"secret", "admin-token"} {
		if err := os.WriteFile(filepath.Join(secrets, name), []byte(rand.Text()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary := nodes.Build(t, "../cmd/node")
	all := map[string]*nodes.Process{}
	for _, host := range hosts {
		name, _, _ := strings.Cut(host, ".")
		_, port, err := net.SplitHostPort(addresses[host])
		if err != nil {
			t.Fatal(err)
		}
		var flags []string
		for _, arg := range args {
			switch flag, _, _ := strings.Cut(arg, "="); flag {
			case "--data-dir", "--http-addr", "--admin-addr": // the test's own
				continue
			case "--nats-cluster-addr":
				arg = strings.Replace(arg, ":6222", ":"+port, 1) // of all interfaces, as there
			case "--nats-routes":
				for host, addr := range addresses {
					arg = strings.Replace(arg, host, addr, 1)
				}
			}
			arg = strings.ReplaceAll(arg, "$(POD_NAME)", name)
			flags = append(flags, strings.ReplaceAll(arg, "/etc/ganglion", secrets))
		}
		all[name] = nodes.Prepare(t, binary, nil, flags...)
	}
	return all
}

// probe asks as a kubelet does: without a token, under an address. Status 0 is no answer.
func probe(t *testing.T, p *nodes.Process, path string) (status int, faults string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.AdminURL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	var body struct{ Faults []string }
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Errorf("%s: %v", path, err)
	}
	return resp.StatusCode, strings.Join(body.Faults, "; ")
}

// awaitWaiting returns once a pod lives and is not ready for the sake of the others.
func awaitWaiting(t *testing.T, p *nodes.Process) {
	t.Helper()
	testharness.Eventually(t, 20*time.Second, func() bool {
		status, faults := probe(t, p, "/readyz")
		if status == http.StatusOK {
			t.Fatalf("it was ready before it was seen to wait\n%s", p.Log())
		}
		live, _ := probe(t, p, "/livez")
		return live == http.StatusOK && status == http.StatusServiceUnavailable && strings.Contains(faults, "waits for the NATS servers of other nodes")
	})
}

// watched is what was seen of a pod until it was ready.
type watched struct{ lived, starting, waiting bool }

// watch asks a pod until it is ready.
func watch(ctx context.Context, t *testing.T, p *nodes.Process) (w watched) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		ready, faults := probe(t, p, "/readyz")
		live, _ := probe(t, p, "/livez")
		if ready == http.StatusServiceUnavailable && live == http.StatusOK {
			w.lived = true
			w.starting = w.starting || strings.Contains(faults, "starting for")
			w.waiting = w.waiting || strings.Contains(faults, "waits for the NATS servers of other nodes")
		}
		if w.lived && live != http.StatusOK {
			t.Errorf("it was alive, and is not: %d", live)
		}
		if ready == http.StatusOK {
			return w
		}
		select {
		case <-ctx.Done():
			return w
		case <-tick.C:
		}
	}
}

// TestNode_StatefulSet starts the documented pods at once, as they are documented. Each
// of them lives, and says what it does, before all are ready.
func TestNode_StatefulSet(t *testing.T) {
	t.Parallel()
	all := pods(t)
	for _, p := range all {
		p.Launch(t)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var mu sync.Mutex
	var watching sync.WaitGroup
	seen := map[string]watched{}
	for name, p := range all {
		watching.Go(func() {
			w := watch(ctx, t, p)
			mu.Lock()
			defer mu.Unlock()
			seen[name] = w
		})
	}
	watching.Wait()
	waited := false
	for name, w := range seen {
		if waited = waited || w.waiting; !w.lived || !w.starting {
			t.Errorf("of %s was seen, before it was ready: %+v", name, w)
		}
	}
	if !waited { // the one that is launched last may find the others
		t.Errorf("nobody was seen to wait for the others: %+v", seen)
	}
	for name, p := range all {
		p.AwaitReady(t)
		c := caller{t, p.URL()}
		c.expect("at "+name, c.post("/v1/portfolio/"+name+"/CreatePortfolio", `{"userId":"u"}`), 200, "")
	}
}

// TestNode_StatefulSet_OneByOne is what would happen without Parallel: the next pod is
// started when the last one is ready, which it never is before there is a majority. It
// lives all the while, so that nobody starts it again for that.
func TestNode_StatefulSet_OneByOne(t *testing.T) {
	t.Parallel()
	all := pods(t)
	first, second := all["ganglion-0"], all["ganglion-1"]
	first.Launch(t)
	awaitWaiting(t, first)
	const alone = 4 * time.Second // three together need less
	for begin := time.Now(); time.Since(begin) < alone; {
		live, _ := probe(t, first, "/livez")
		ready, faults := probe(t, first, "/readyz")
		if live != http.StatusOK || ready != http.StatusServiceUnavailable || !strings.Contains(faults, "1 of 3 are here, and there is no leader") {
			t.Fatalf("alone: alive %d, ready %d: %s\n%s", live, ready, faults, first.Log())
		}
		wait(t, 100*time.Millisecond)
	}
	second.Launch(t)
	testharness.Eventually(t, 20*time.Second, func() bool {
		_, faults := probe(t, first, "/readyz")
		return strings.Contains(faults, "2 of 3 are here")
	})
	all["ganglion-2"].Launch(t)
	for _, p := range all {
		p.AwaitReady(t)
	}
}

// TestNode_StatefulSet_Leaves: what the stateful set says besides flags.
func TestNode_StatefulSet_Leaves(t *testing.T) {
	t.Parallel()
	set := statefulSet(t)
	for _, want := range []string{
		"podManagementPolicy: Parallel", "publishNotReadyAddresses: true", "clusterIP: None",
		"httpGet: {path: /livez, port: admin}", "httpGet: {path: /readyz, port: admin}",
	} {
		if !strings.Contains(set, want) {
			t.Errorf("it has no %q", want)
		}
	}
	grace := regexp.MustCompile(`terminationGracePeriodSeconds: (\d+)`).FindStringSubmatch(set)
	if grace == nil {
		t.Fatal("it has no grace period")
	}
	if seconds, err := strconv.Atoi(grace[1]); err != nil || time.Duration(seconds)*time.Second < node.ShutdownTimeout+10*time.Second {
		t.Errorf("a grace period of %s s is too short for an end of %v", grace[1], node.ShutdownTimeout)
	}
}

// TestNode_Opening_AnswersProbes is a node whose start fails in the end. It answers until
// then, only what everybody may ask without its token, and leaves nothing open.
func TestNode_Opening_AnswersProbes(t *testing.T) {
	t.Parallel()
	cfg := clusterConfigs(t, "n1", "n2", "n3")[0]
	file, token := secretFile(t)
	cfg.AdminAddr, cfg.AdminTokenFile, cfg.ClusterTimeout = nodes.FreeAddress(t), file, 3*time.Second
	cfg.HTTPAddr = nodes.FreeAddress(t)
	failed := make(chan error, 1)
	go func() {
		_, err := node.Open(t.Context(), cfg, gauges(nil))
		failed <- err
	}()
	base := "http://" + cfg.AdminAddr
	testharness.Eventually(t, 10*time.Second, func() bool {
		conn, err := net.Dial("tcp", cfg.AdminAddr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	// A request of the API, which waits for the node to serve, is told of its end.
	told := make(chan answer, 1)
	go func() { told <- caller{t, "http://" + cfg.HTTPAddr}.post("/v1/gauge/a/Raise", `{"by":1}`) }()
	bearer := []string{"Authorization", "Bearer " + token}
	for _, c := range []struct {
		method, path string
		want         int
		headers      []string
	}{
		{"GET", "/livez", 200, nil},
		{"HEAD", "/livez", 200, nil},
		{"GET", "/readyz", 503, nil},
		{"POST", "/drain", 401, nil},
		{"POST", "/drain", 503, bearer},
		{"GET", "/parked", 401, nil},
		{"GET", "/parked", 503, bearer},
		{"GET", "/metrics", 503, bearer},
		{"GET", "/debug/pprof/goroutine", 401, nil},
		{"GET", "/debug/pprof/goroutine", 200, bearer},
	} {
		if got := ask(t, http.DefaultClient, c.method, base+c.path, "", c.headers...); got != c.want {
			t.Errorf("%s %s %v is answered with %d, want %d", c.method, c.path, c.headers, got, c.want)
		}
	}
	if err := <-failed; err == nil {
		t.Fatal("a node alone of three has opened")
	}
	if a := <-told; a.status != http.StatusServiceUnavailable || !strings.Contains(string(a.body), "no_owner") {
		t.Errorf("the API has answered with %d %s", a.status, a.body)
	}
	l, err := net.Listen("tcp", cfg.AdminAddr)
	if err != nil {
		t.Fatalf("after the end: %v", err)
	}
	_ = l.Close()
	if conn, err := net.Dial("tcp", cfg.NATSClusterAddr); err == nil {
		_ = conn.Close()
		t.Error("the NATS server goes on after the end")
	}
}
