package guard_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/node/internal/guard"
)

func TestHosts_Allow(t *testing.T) {
	t.Parallel()
	hosts, err := guard.ParseHosts([]string{" Ganglion.Example.com ", " *.pods.example.", " n1", ""})
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]bool{
		"localhost": true, "localhost:8080": true, "LOCALHOST:1": true, "localhost.": true, "localhost.:8080": true, "a.localhost:80": true,
		"localhost:": true, "127.0.0.1": true, "127.0.0.2:8080": true, "10.1.2.3:8080": true, "[::1]": true, "[::1]:8080": true, "[fe80::1%eth0]:80": true,
		"ganglion.example.com": true, "GANGLION.example.com.:443": true, "a.pods.example": true, "a.b.pods.example:8080": true, "n1:8080": true,

		"": false, ":8080": false, ".": false, "evil.example": false, "pods.example": false, "xpods.example": false, "evil.ganglion.example.com": false,
		"localhost.evil.example": false, "evillocalhost": false, ".localhost": false, "a..localhost": false, "user@localhost": false, "localhost@evil.example": false,
		"localhost:80:80": false, "localhost:x": false, "localhost:123456": false, "localhost/": false, "localhost,evil.example": false, "localhost evil": false,
		"[::1": false, "[::1]x": false, "[localhost]": false, "[127.0.0.1]": false, "::1": false, "127.0.0.1.": false, "127.1.evil": false, "127.0.0.1.evil.example": false,
		"0x7f.0.0.1": false, "2130706433": false, "127.1": false, "localhost\x00": false, "löcalhost": false, strings.Repeat("a", 300): false,
	} {
		if got := hosts.Allow(header); got != want {
			t.Errorf("Host %q: allowed %v, want %v", header, got, want)
		}
	}
	for _, bad := range []string{"*", "*.", "a:80", "http://a", "a b", "a/b", "*.*.a", "ä"} {
		if _, err := guard.ParseHosts([]string{bad}); err == nil {
			t.Errorf("%q is taken as a host", bad)
		}
	}
}

func FuzzHosts_Allow(f *testing.F) {
	for _, s := range []string{"localhost:80", "[::1]:80", "evil", "a@b", "127.0.0.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if !(guard.Hosts{}).Allow(header) {
			return
		}
		host, _, err := net.SplitHostPort(header)
		if err != nil {
			host = strings.Trim(header, "[]")
		}
		name := strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(host, ":"), "."))
		address, _, _ := strings.Cut(name, "%")
		if name != "localhost" && !strings.HasSuffix(name, ".localhost") && net.ParseIP(address) == nil {
			t.Errorf("%q is allowed", header)
		}
	})
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"127.0.0.1:80": true, "127.8.0.1:0": true, "[::1]:80": true, "localhost:80": true, "LocalHost.:80": true, "[::ffff:127.0.0.1]:80": true,
		":80": false, "0.0.0.0:80": false, "[::]:80": false, "10.0.0.1:80": false, "example.com:80": false, "[fe80::1%lo]:80": false, "localhost": false, "": false,
	} {
		if got := guard.Loopback(addr); got != want {
			t.Errorf("%q: loopback %v, want %v", addr, got, want)
		}
	}
}

// request is what a guard is to judge; headers are pairs.
type request struct {
	method, path, host string
	headers            []string
	network            string
}

func (r request) serve(g *guard.Guard) int {
	req := httptest.NewRequest(r.method, r.path, nil)
	req.Host = r.host
	for i := 0; i < len(r.headers); i += 2 {
		req.Header.Add(r.headers[i], r.headers[i+1])
	}
	var local net.Addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
	if r.network == "unix" {
		local = &net.UnixAddr{Name: "admin.sock", Net: "unix"}
	}
	req = req.WithContext(context.WithValue(req.Context(), http.LocalAddrContextKey, local))
	w := httptest.NewRecorder()
	g.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })).ServeHTTP(w, req)
	return w.Code
}

func TestGuard(t *testing.T) {
	t.Parallel()
	const token = "0123456789abcdef"
	refuse := func(w http.ResponseWriter, _ *http.Request, why guard.Refusal) { w.WriteHeader(why.Status) }
	public := func(r *http.Request) bool { return r.URL.Path == "/livez" }
	api := &guard.Guard{Refuse: refuse}
	admin := &guard.Guard{Refuse: refuse, Public: public, Reads: true, Token: token}
	bearer := []string{"Authorization", "Bearer " + token}
	with := func(more ...string) []string { return append(more, bearer...) }
	for name, c := range map[string]struct {
		guard *guard.Guard
		request
		want int
	}{
		"a client":                  {api, request{"POST", "/v1/a/b/C", "127.0.0.1:8080", nil, ""}, 200},
		"a page of ours":            {api, request{"POST", "/v1/a/b/C", "localhost:8080", []string{"Origin", "http://localhost:8080", "Sec-Fetch-Site", "same-origin"}, ""}, 200},
		"an old page of ours":       {api, request{"POST", "/v1/a/b/C", "localhost:8080", []string{"Origin", "http://localhost:8080"}, ""}, 200},
		"another site":              {api, request{"POST", "/v1/a/b/C", "localhost:8080", []string{"Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site"}, ""}, 403},
		"another port":              {api, request{"POST", "/v1/a/b/C", "localhost:8080", []string{"Origin", "http://localhost:3000", "Sec-Fetch-Site", "same-site"}, ""}, 403},
		"an old page elsewhere":     {api, request{"POST", "/v1/a/b/C", "localhost:8080", []string{"Origin", "http://evil.example"}, ""}, 403},
		"no origin":                 {api, request{"POST", "/v1/a/b/C", "localhost:8080", []string{"Origin", "null"}, ""}, 403},
		"a forwarded host is none":  {api, request{"POST", "/v1/a/b/C", "evil.example", []string{"X-Forwarded-Host", "localhost", "Forwarded", "host=localhost"}, ""}, 421},
		"a rebound page":            {api, request{"POST", "/v1/a/b/C", "evil.example:8080", []string{"Origin", "http://evil.example:8080", "Sec-Fetch-Site", "same-origin"}, ""}, 421},
		"a rebound read":            {api, request{"GET", "/v1/a/b", "evil.example:8080", nil, ""}, 421},
		"a read from elsewhere":     {api, request{"GET", "/v1/a/b", "localhost", []string{"Sec-Fetch-Site", "cross-site"}, ""}, 200},
		"an operator":               {admin, request{"POST", "/drain", "localhost:8081", with(), ""}, 200},
		"case of the scheme":        {admin, request{"POST", "/drain", "localhost:8081", []string{"Authorization", "bearer " + token}, ""}, 200},
		"no token":                  {admin, request{"POST", "/drain", "localhost:8081", nil, ""}, 401},
		"no token for reads either": {admin, request{"GET", "/debug/pprof/heap", "localhost:8081", nil, ""}, 401},
		"another token":             {admin, request{"POST", "/drain", "localhost:8081", []string{"Authorization", "Bearer " + token + "x"}, ""}, 401},
		"an empty token":            {admin, request{"POST", "/drain", "localhost:8081", []string{"Authorization", "Bearer "}, ""}, 401},
		"two tokens":                {admin, request{"POST", "/drain", "localhost:8081", with("Authorization", "Bearer x"), ""}, 401},
		"a token in the path":       {admin, request{"POST", "/drain?token=" + token, "localhost:8081", nil, ""}, 401},
		"a page with the token":     {admin, request{"POST", "/drain", "localhost:8081", with("Sec-Fetch-Site", "cross-site"), ""}, 403},
		"a page that reads":         {admin, request{"GET", "/debug/pprof/profile", "localhost:8081", with("Sec-Fetch-Site", "same-site"), ""}, 403},
		"a probe":                   {admin, request{"GET", "/livez", "10.0.0.1:8081", nil, ""}, 200},
		"a probe of another host":   {admin, request{"GET", "/livez", "evil.example", nil, ""}, 200},
		"a socket":                  {admin, request{"POST", "/drain", "", nil, "unix"}, 200},
		"an address of the network": {admin, request{"POST", "/drain", "10.0.0.1:8081", with(), ""}, 200},
	} {
		if got := c.serve(c.guard); got != c.want {
			t.Errorf("%s: %s %s is answered with %d, want %d", name, c.method, c.path, got, c.want)
		}
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	exceeded := make(chan string, 10)
	l := guard.Limit(listener, 2, func(addr string) { exceeded <- addr })
	t.Cleanup(func() { _ = l.Close() })
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func(from string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	dial("127.0.0.1")
	dial("127.0.0.1")
	first, second := <-accepted, <-accepted
	third := dial("127.0.0.1")
	if addr := <-exceeded; addr != "127.0.0.1" {
		t.Errorf("%s is said to have too many connections", addr)
	}
	if n, err := third.Read(make([]byte, 1)); err == nil {
		t.Errorf("the third connection reads %d bytes", n)
	}
	dial("127.0.0.2") // another address has its own
	_ = (<-accepted).Close()
	for range 2 {
		_ = first.Close() // twice counts once
	}
	dial("127.0.0.1")
	<-accepted
	dial("127.0.0.1")
	<-exceeded
	_ = second.Close()
}
