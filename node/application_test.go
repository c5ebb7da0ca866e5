package node_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// wrapped is the writer of a middleware.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// bare is one that hides what the server's writer can do.
type bare struct{ http.ResponseWriter }

// pages is what an application serves beside the node's API.
func pages(n *node.Node, api http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /pages/{name}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "page "+r.PathValue("name"))
	})
	mux.HandleFunc("POST /pages/{name}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("no page") })
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "begun\n")
		_ = http.NewResponseController(w).Flush()
		<-n.Stopping()
		_, _ = io.WriteString(w, "ended\n")
	})
	mounted := http.StripPrefix("/api", api)
	mux.Handle("/api/", mounted)
	mux.HandleFunc("/bare/api/", func(w http.ResponseWriter, r *http.Request) {
		http.StripPrefix("/bare", mounted).ServeHTTP(bare{w}, r)
	})
	mux.HandleFunc("/swallow/api/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		http.StripPrefix("/swallow", mounted).ServeHTTP(w, r)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Middleware", "seen")
		mux.ServeHTTP(wrapped{w}, r)
	})
}

// firstLines reads an answer that does not end, as far as a line with some text.
func firstLines(t *testing.T, url, until string) io.Reader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	r := bufio.NewReader(resp.Body)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%s ended before %q: %v", url, until, err)
		}
		if strings.Contains(line, until) {
			return r
		}
	}
}

// TestNode_Application is a node with what an application adds: Setup with a metric, a view
// and a command, a handler with pages, middleware and the API under a prefix.
func TestNode_Application(t *testing.T) {
	t.Parallel()
	definition := gauges(nil)
	reached := projection.NewCollection[map[string]actor.Version]("levels")
	levels := projection.Define("levels", func(d *projection.Definition) {
		d.Collections(reached)
		projection.On(d, definition, func(_ context.Context, tx *projection.Tx, e projection.Event[raised]) error {
			return reached.Put(tx, e.Source.ID, map[string]actor.Version{"level": e.Version})
		})
		d.Index(reached, "level") // of no effect here
	})
	closed := make(chan string, 2)
	var view *projection.View
	url := serverInMemory(t)
	n := nodes.Start(t, node.Config{
		NATSURL: url, Name: "n1", Partitions: 4, Projections: []*projection.Projection{levels}, ProjectionLimits: projection.Config{Tick: 50 * time.Millisecond},
		Logger: slog.New(slog.DiscardHandler),
		Setup: func(ctx context.Context, n *node.Node) error {
			greetings := prometheus.NewCounter(prometheus.CounterOpts{Name: "app_greetings_total", Help: "Greetings."})
			n.OnClose(func(context.Context) error { closed <- "pool"; return nil })
			n.OnClose(func(context.Context) error { closed <- "cache"; return nil })
			view = n.View(levels)
			return errors.Join(n.Metrics().Register(greetings), actor.Send(ctx, n.Client(), definition.ID("early"), raise{By: 7}))
		},
		Handler: pages,
	}, definition)
	c := caller{t, n.URL()}
	if err := view.Wait(t.Context(), projection.Version(definition.ID("early"), 1)); err != nil {
		t.Fatal(err)
	}
	if a := c.do("GET", "/pages/one", ""); a.status != 200 || string(a.body) != "page one" || a.header.Get("X-Middleware") != "seen" {
		t.Errorf("a page: %d %s", a.status, a.body)
	}
	c.expect("a command", c.post("/api/v1/gauge/a/Raise", `{"by":1}`), 200, "")
	c.expect("without the prefix", c.post("/v1/gauge/a/Raise", `{"by":1}`), 404, "")
	c.expect("a page of another origin", c.post("/pages/one", "", "Sec-Fetch-Site", "cross-site"), 403, "cross_origin")
	c.expect("a panic", c.do("GET", "/panic", ""), 500, "internal")
	c.expect("a body that was swallowed", c.post("/swallow/api/v1/gauge/a/Raise", `{"by":1}`), 400, "malformed")
	c.expect("a writer that hides the server's", c.post("/bare/api/v1/gauge/a/Raise", `{"by":1}`), 200, "")
	c.expect("a stream to one", c.do("GET", "/bare/api/v1/gauge/a/events", "", "Accept", "text/event-stream"), 500, "internal")
	if a := c.do("GET", "/api/openapi.json", ""); a.status != 200 || !strings.Contains(string(a.body), `"servers": [{"url":"/api"}]`) {
		t.Errorf("the document under a prefix: %d %.200s", a.status, a.body)
	}
	firstLines(t, n.URL()+"/api/v1/gauge/a/events", `"version":2`)
	if a := (caller{t, n.AdminURL()}).do("GET", "/metrics", ""); !strings.Contains(string(a.body), "app_greetings_total 0") || !strings.Contains(string(a.body), "ganglion_partitions 4") {
		t.Errorf("metrics of the application and the node are not both there:\n%s", a.body)
	}
	serveElsewhere(t, n, url, definition)

	live := firstLines(t, n.URL()+"/live", "begun")
	begin := time.Now()
	n.Stop(t)
	if rest, err := io.ReadAll(live); err != nil || string(rest) != "ended\n" {
		t.Errorf("a stream of the application at the end: %q, %v", rest, err)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("the end took %v", took)
	}
	if first, second := <-closed, <-closed; first != "cache" || second != "pool" {
		t.Errorf("closed %s, then %s", first, second)
	}
}

// serveElsewhere serves the API with servers of the caller's: from the node, and without one.
func serveElsewhere(t *testing.T, n *nodes.Local, url string, definition actor.Registrable) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s, err := jetstream.Open(t.Context(), nc, jetstream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	bus, err := natsbus.Open(t.Context(), nc, natsbus.Config{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := bus.Client(natsbus.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	alone, err := gateway.New(client, []actor.Registrable{definition}, gateway.Config{
		History: node.NewHistory(s, nil, definition), Cluster: node.NewCluster(natsbus.DefaultNamespace, s, bus, nc),
	})
	if err != nil {
		t.Fatal(err)
	}
	beside, err := gateway.New(n.Client(), []actor.Registrable{definition}, n.GatewayConfig())
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]http.Handler{"the node's": n.Gateway(), "one beside it": beside, "one without a node": alone} {
		server := httptest.NewServer(http.StripPrefix("/deep/api", h))
		c := caller{t, server.URL + "/deep/api"}
		c.expect(name+": a command", c.post("/v1/gauge/b/Raise", `{"by":1}`), 200, "")
		if a := c.do("GET", "/v1/gauge/b/events", ""); a.status != 200 || !strings.Contains(string(a.body), `"raised.v1"`) {
			t.Errorf("%s: events: %d %s", name, a.status, a.body)
		}
		if a := c.do("GET", "/v1/cluster", ""); a.status != 200 || !strings.Contains(string(a.body), `"owner":"n1"`) {
			t.Errorf("%s: the cluster: %d %s", name, a.status, a.body)
		}
		server.Close()
	}
}

// TestNode_Application_Fails: a start that ends for the application's sake leaves nothing
// behind, and says why.
func TestNode_Application_Fails(t *testing.T) {
	t.Parallel()
	url := serverInMemory(t)
	for name, c := range map[string]struct {
		cfg  node.Config
		want string
	}{
		"setup":      {node.Config{Setup: func(context.Context, *node.Node) error { return errors.New("no such host") }}, "Config.Setup: no such host"},
		"no handler": {node.Config{Handler: func(*node.Node, http.Handler) http.Handler { return nil }}, "Config.Handler: it returned no handler"},
		"clash": {node.Config{Handler: func(_ *node.Node, api http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/{$}", api)
			mux.Handle("/{$}", api)
			return mux
		}}, "Config.Handler: it panicked"},
		"a metric of ours": {node.Config{Setup: func(_ context.Context, n *node.Node) error {
			return n.Metrics().Register(prometheus.NewGauge(prometheus.GaugeOpts{Name: "ganglion_partitions", Help: "Partitions that the node serves."}))
		}}, "duplicate"},
	} {
		cfg := c.cfg
		cfg.Name, cfg.NATSURL, cfg.Partitions, cfg.HTTPAddr, cfg.AdminAddr = "n1", url, 4, "127.0.0.1:0", "127.0.0.1:0"
		cfg.Logger = slog.New(slog.DiscardHandler)
		closed := false
		setup := cfg.Setup
		cfg.Setup = func(ctx context.Context, n *node.Node) error {
			n.OnClose(func(context.Context) error { closed = true; return nil })
			if setup == nil {
				return nil
			}
			return setup(ctx, n)
		}
		n, err := node.Open(t.Context(), cfg, gauges(nil))
		if err == nil {
			_ = n.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !closed {
			t.Errorf("%s: %v, closed %t; want %q", name, err, closed, c.want)
		}
	}
}

// TestNode_Setup_IsWaitedFor: probes and requests while an application opens what is its own.
func TestNode_Setup_IsWaitedFor(t *testing.T) {
	t.Parallel()
	admin, api := nodes.FreeAddress(t), nodes.FreeAddress(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	answered := make(chan answer, 1)
	go func() {
		<-begun
		c := caller{t, "http://" + admin}
		a := c.do("GET", "/readyz", "")
		if live := c.do("GET", "/livez", ""); a.status != 503 || !strings.Contains(string(a.body), "runs the application's setup") || live.status != 200 {
			t.Errorf("while it is set up: /readyz %d %s, /livez %d", a.status, a.body, live.status)
		}
		go func() { answered <- (caller{t, "http://" + api}).post("/v1/gauge/a/Raise", `{"by":1}`) }()
		close(goOn)
	}()
	nodes.Start(t, node.Config{
		NATSURL: serverInMemory(t), Name: "n1", Partitions: 4, HTTPAddr: api, AdminAddr: admin,
		Setup: func(ctx context.Context, _ *node.Node) error {
			close(begun)
			select {
			case <-goOn:
				return nil
			case <-ctx.Done():
				return fmt.Errorf("setup: %w", context.Cause(ctx))
			}
		},
	}, gauges(nil))
	if a := <-answered; a.status != 200 {
		t.Errorf("a request that came meanwhile: %d %s", a.status, a.body)
	}
}
