package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// hang leaves a client that sends a beginning and then neither sends nor reads.
func hang(t *testing.T, addr, beginning string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprint(conn, beginning); err != nil {
		t.Fatal(err)
	}
}

// streamLeaders asks for the leaders of all streams; one that has none is "".
func streamLeaders(ctx context.Context, t *testing.T, js jetstream.JetStream) map[string]string {
	t.Helper()
	leaders := map[string]string{}
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		leaders[name] = ""
	}
	if err := names.Err(); err != nil {
		t.Error(err)
	}
	for name := range leaders {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		if s, err := js.Stream(ctx, name); err == nil && s.CachedInfo().Cluster != nil {
			leaders[name] = s.CachedInfo().Cluster.Leader
		}
		cancel()
	}
	return leaders
}

// leadAll has one server lead all streams.
func leadAll(t *testing.T, nc *nats.Conn, js jetstream.JetStream, server string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	testharness.Eventually(t, 45*time.Second, func() bool {
		all := true
		leaders := streamLeaders(ctx, t, js)
		for name, leader := range leaders {
			if leader != server {
				all = false
				_, _ = nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+name, fmt.Appendf(nil, `{"placement":{"preferred":%q}}`, server), time.Second)
			}
		}
		return all && len(leaders) >= 3
	})
}

// TestNode_EmbeddedCluster_ClientsHang ends one of three nodes, whose server leads all
// streams, while its clients neither send nor read. Others have its claims and the streams
// at once: nobody waits for a lease to lapse or for an election.
func TestNode_EmbeddedCluster_ClientsHang(t *testing.T) {
	t.Parallel()
	const partitions = 16
	file, secret := secretFile(t)
	cfgs := clusterConfigs(t, "n1", "n2", "n3")
	for i := range cfgs {
		cfgs[i].NATSSecretFile, cfgs[i].NATSClientAddr, cfgs[i].Partitions = file, nodes.FreeAddress(t), partitions
	}
	opened, ended := runTogether(t, cfgs)
	nc, err := nats.Connect("nats://"+cfgs[1].NATSClientAddr, nats.Token(secret))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	leadAll(t, nc, js, "n1")

	goes, stays := opened[0], caller{t, "http://" + opened[1].HTTPAddr()}
	stays.expect("before", stays.post("/v1/gauge/a/Raise", `{"by":1}`), 200, "")
	body := "HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
	for range 8 {
		hang(t, goes.HTTPAddr(), "POST /v1/gauge/a/Raise?timeout=60s "+body)
		hang(t, goes.HTTPAddr(), "POST /v1/none/a/Raise?timeout=60s "+body)
		hang(t, goes.HTTPAddr(), "POST /v1/gauge/a/Ra") // no request yet
		hang(t, goes.HTTPAddr(), "GET /v1/gauge/a/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
		hang(t, goes.AdminAddr(), "POST /drain "+body)
		hang(t, goes.AdminAddr(), "GET /debug/pprof/profile?seconds=25 HTTP/1.1\r\nHost: localhost\r\n\r\n")
		hang(t, cfgs[0].NATSClientAddr, fmt.Sprintf("CONNECT {\"auth_token\":%q,\"verbose\":false}\r\nSUB > 1\r\n", secret))
	}
	ctx, cancel := context.WithTimeout(t.Context(), node.ShutdownTimeout)
	defer cancel()
	start := time.Now()
	if err := goes.Shutdown(ctx); err != nil {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
	down := time.Now()
	t.Logf("it ended in %v", down.Sub(start))
	testharness.Within(t, 3*time.Second, func() bool { // elections take 4 s at least
		for _, leader := range streamLeaders(t.Context(), t, js) {
			if leader != "n2" && leader != "n3" {
				return false
			}
		}
		return true
	})
	view := viewOf(t, stays)
	if len(view.Members) != 2 || !shared(view, []string{"n2", "n3"}) {
		t.Errorf("%v after the end: %+v %+v", time.Since(down), view.Members, view.Partitions)
	}
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
	stays.expect("after", stays.post("/v1/gauge/a/Raise", `{"by":1}`), 200, "")
}

// viewOf is the cluster as a node sees it.
func viewOf(t *testing.T, c caller) (v gateway.ClusterView) {
	t.Helper()
	a := c.do("GET", "/v1/cluster", "")
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
