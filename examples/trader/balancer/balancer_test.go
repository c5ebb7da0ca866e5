package balancer_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/balancer"
	"github.com/ganglion-go/ganglion/testharness"
)

// web is a web server that says its name and the body it got.
type web struct {
	*httptest.Server
	ready atomic.Bool
}

func newWeb(t *testing.T, name string) *web {
	t.Helper()
	w := &web{}
	w.ready.Store(true)
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(rw http.ResponseWriter, _ *http.Request) {
		if !w.ready.Load() {
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(rw, name+" "+r.Host+" "+string(body))
	})
	w.Server = httptest.NewServer(mux)
	t.Cleanup(w.Close)
	return w
}

func (w *web) backend() string { return w.URL + "=" + w.URL + "/readyz" }

// start serves a balancer.
func start(t *testing.T, backends ...string) (base string) {
	t.Helper()
	b, err := balancer.New(backends)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(b)
	ended := make(chan struct{})
	go func() { defer close(ended); b.Run(t.Context()) }()
	t.Cleanup(func() { s.Close(); <-ended })
	return s.URL
}

func ask(t *testing.T, url, body string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	data, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(data)
}

func TestBalancer_TakesTurns(t *testing.T) {
	t.Parallel()
	a, b := newWeb(t, "a"), newWeb(t, "b")
	base := start(t, a.backend(), b.backend())
	host := strings.TrimPrefix(base, "http://")
	seen := map[string]int{}
	for range 10 {
		status, text := ask(t, base, "order")
		if status != http.StatusOK || text[1:] != " "+host+" order" {
			t.Fatalf("%d %q", status, text)
		}
		seen[text[:1]]++
	}
	if seen["a"] != 5 || seen["b"] != 5 {
		t.Error(seen)
	}
	b.ready.Store(false)
	testharness.Eventually(t, 10*time.Second, func() bool {
		for range 4 {
			if _, text := ask(t, base, ""); text[:1] == "b" {
				return false
			}
		}
		return true
	})
	b.ready.Store(true)
	testharness.Eventually(t, 10*time.Second, func() bool {
		_, text := ask(t, base, "")
		return text[:1] == "b"
	})
}

// A web server that dies costs no request: the next one is asked, with the same body.
func TestBalancer_DeadBackend(t *testing.T) {
	t.Parallel()
	a := newWeb(t, "a")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := "http://" + l.Addr().String()
	_ = l.Close()
	base := start(t, a.backend(), dead+"="+a.URL+"/readyz")
	for range 6 {
		if status, text := ask(t, base, "order"); status != http.StatusOK || !strings.HasSuffix(text, " order") {
			t.Fatalf("%d %q", status, text)
		}
	}
	if status, _ := ask(t, base+"/abort", ""); status != http.StatusServiceUnavailable {
		t.Errorf("nobody answers: %d", status)
	}
	if status, _ := ask(t, base, strings.Repeat("x", balancer.MaxBody+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body beyond the bound: %d", status)
	}
}

// What hangs at a web server that does not answer any more is sent to another.
func TestBalancer_SilentBackend(t *testing.T) {
	t.Parallel()
	a := newWeb(t, "a")
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers, as a paused process
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	silent := "http://" + l.Addr().String()
	base := start(t, a.backend(), silent+"="+silent+"/readyz")
	for range 2 {
		if status, text := ask(t, base, "order"); status != http.StatusOK || text[:1] != "a" {
			t.Fatalf("%d %q", status, text)
		}
	}
}

func TestNew_Refuses(t *testing.T) {
	t.Parallel()
	for _, backends := range [][]string{nil, {"http://a"}, {"a=b"}, {"http://a/path=http://a"}, {"http://a=ftp://a"}, {"http://=http://a"}} {
		if _, err := balancer.New(backends); err == nil {
			t.Errorf("%q are taken", backends)
		}
	}
}
