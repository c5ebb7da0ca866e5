package node_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// ask sends a request of a host; headers are pairs.
func ask(t *testing.T, client *http.Client, method, url, host string, headers ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(`{"by":1}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// port is the base of a server that listens on all addresses.
func port(t *testing.T, addr string) string {
	t.Helper()
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return "http://127.0.0.1:" + p
}

// TestNode_Doors: what a web page, a page whose name was made to mean this machine, and
// somebody on the network can have of a node.
func TestNode_Doors(t *testing.T) {
	t.Parallel()
	file, token := secretFile(t)
	n := nodes.Start(t, node.Config{Partitions: 4, AdminAddr: "0.0.0.0:0", AdminTokenFile: file, AllowedHosts: []string{"n1.example"}}, gauges(nil))
	api, admin := n.URL(), port(t, n.AdminAddr())
	command := api + "/v1/gauge/a/Raise"
	bearer := "Bearer " + token
	for _, c := range []struct {
		what, method, url, host string
		want                    int
		headers                 []string
	}{
		{"curl -d", "POST", command, "", 200, []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{"an allowed name", "POST", command, "N1.example.:80", 200, nil},
		{"a page", "POST", command, "", 403, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}},
		{"an old page", "POST", command, "", 403, []string{"Origin", "https://evil.example"}},
		{"a rebound page", "POST", command, "evil.example", 421, []string{"Origin", "http://evil.example", "Sec-Fetch-Site", "same-origin"}},
		{"a rebound read", "GET", api + "/v1/gauge/a", "evil.example", 421, nil},
		{"a preflight", "OPTIONS", command, "", 405, []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}},
		{"a probe", "GET", admin + "/livez", "any.example", 200, nil},
		{"a probe", "HEAD", admin + "/readyz", "any.example", 200, nil},
		{"a probe that is none", "POST", admin + "/livez", "any.example", 421, nil},
		{"no token", "POST", admin + "/drain", "", 401, nil},
		{"no token for metrics", "GET", admin + "/metrics", "", 401, nil},
		{"a token", "GET", admin + "/metrics", "", 200, []string{"Authorization", bearer}},
		{"a page of an operator", "POST", admin + "/parked/skip", "", 403, []string{"Authorization", bearer, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}},
		{"a profile for a page", "GET", admin + "/debug/pprof/profile", "", 403, []string{"Authorization", bearer, "Sec-Fetch-Site", "cross-site"}},
		{"flags", "GET", admin + "/debug/pprof/cmdline", "", 404, []string{"Authorization", bearer}},
	} {
		if got := ask(t, http.DefaultClient, c.method, c.url, c.host, c.headers...); got != c.want {
			t.Errorf("%s: %s %s is answered with %d, want %d", c.what, c.method, c.url, got, c.want)
		}
	}
	c := caller{t, api}
	c.expect("a page", c.post("/v1/gauge/a/Raise", `{"by":1}`, "Origin", "https://evil.example"), 403, "cross_origin")
	if got := c.do("GET", "/v1/gauge/a", ""); !strings.Contains(string(got.body), `"Level":2`) {
		t.Errorf("what was refused took effect: %s", got.body)
	}
}

// TestNode_AdminSocket: on a unix socket that only its user opens there is no token, and
// no host; what a dead process has left is replaced.
func TestNode_AdminSocket(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "gn") //nolint:usetesting // paths of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "admin.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close()
	n := nodes.Start(t, node.Config{Partitions: 4, AdminAddr: "unix:" + path}, gauges(nil))
	if info, err := os.Stat(path); err != nil || info.Mode() != os.ModeSocket|0o600 || n.AdminAddr() != "unix:"+path {
		t.Errorf("at %s is %v, %v", n.AdminAddr(), info.Mode(), err)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}
	t.Cleanup(client.CloseIdleConnections)
	if got := ask(t, client, "GET", "http://anything/parked", ""); got != 200 {
		t.Errorf("the list of what is parked is answered with %d", got)
	}
	if _, err := node.Open(t.Context(), node.Config{DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", AdminAddr: "unix:" + path}, gauges(nil)); err == nil {
		t.Error("a second node takes the socket of the first one")
	}
	if got := ask(t, client, "GET", "http://anything/livez", ""); got != 200 {
		t.Errorf("after another node has tried: %d", got)
	}
	n.Stop(t)
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket is left behind")
	}
}

// TestNode_CommandLine_Token: subcommands have the token from a file, and reach the node
// on a unix socket as well.
func TestNode_CommandLine_Token(t *testing.T) {
	t.Parallel()
	file, _ := secretFile(t)
	other, _ := secretFile(t)
	n := nodes.Start(t, node.Config{Partitions: 4, AdminTokenFile: file}, gauges(nil))
	for _, c := range []struct {
		want int
		args []string
	}{
		{1, nil},
		{1, []string{"--admin-token-file", other}},
		{2, []string{"--admin-token-file", "/nowhere"}},
		{0, []string{"--admin-token-file", file}},
	} {
		var out, errs strings.Builder
		code := node.Run(append([]string{"parked", "--admin-url", n.AdminURL()}, c.args...), &out, &errs, node.Config{}, nil)
		if code != c.want {
			t.Errorf("parked %v: exit %d, want %d\n%s%s", c.args, code, c.want, out.String(), errs.String())
		}
	}
}

// TestNode_CommandLine_ShowsNoSecret: whatever the command line is wrong about.
func TestNode_CommandLine_ShowsNoSecret(t *testing.T) {
	t.Parallel()
	const password = "very-secret"
	for name, args := range map[string][]string{
		"URL of NATS":     {"--nats-url", "nats://u:" + password + "@h:port"},
		"nobody there":    {"--nats-url", "nats://u:" + password + "@127.0.0.1:1"},
		"URI of MongoDB":  {"--mongo-uri", "mongodb://u:" + password + "@h:port/"},
		"escape":          {"--mongo-uri", "mongodb://u:" + password + "%zz@h/"},
		"sign in it":      {"--mongo-uri", "mongodb://u:" + password + "@x@h/?w=many"},
		"value":           {"--mongo-uri", "mongodb://h/?authMechanism=PLAIN&authMechanismProperties=" + password},
		"option's value":  {"--mongo-uri", "mongodb://h/?tls=true&tlsCertificateKeyFile=/nowhere&tlsCertificateKeyFilePassword=" + password},
		"number":          {"--mongo-uri", "mongodb://u:" + password + "@h/?maxPoolSize=" + password},
		"unknown flag":    {"--mongo-urr=mongodb://u:" + password + "@h/"},
		"an API's URL":    {"status", "--url", "http://u:" + password + "@127.0.0.1:1"},
		"an API's broken": {"status", "--url", "http://u:" + password + "@127.0.0.1:port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if args[0] != "status" {
				args = append(args, "--data-dir", t.TempDir(), "--http-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
			}
			var out, errs strings.Builder
			code := node.Run(args, &out, &errs, node.Config{}, nil)
			if text := fmt.Sprint(out.String(), errs.String()); code == 0 || strings.Contains(text, password) {
				t.Errorf("exit %d: %s", code, text)
			}
		})
	}
}
