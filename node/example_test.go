package node_test

import (
	"context"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/node"
)

// Counter is the aggregate of the example.
type Counter struct{ N int }

// Increment is its command.
type Increment struct{ actor.Replies[int] }

// Incremented is its event.
type Incremented struct{}

var Counters = actor.Define("counter", func(d *actor.Definition[Counter]) {
	actor.On(d, func(c *Counter, ctx *actor.Context, _ Increment) (int, error) {
		ctx.Raise(Incremented{})
		return c.N, nil
	})
	actor.Apply(d, func(c *Counter, _ Incremented) { c.N++ })
})

// shop is what an application has of its own.
type shop struct {
	Greeting string `help:"What the page says." default:"Hello" env:"SHOP_GREETING"` // a flag of the node

	client actor.Client
	page   *template.Template
	shown  prometheus.Counter
}

// setup runs when the node is opened and does not serve yet.
func (s *shop) setup(_ context.Context, n *node.Node) (err error) {
	s.client = n.Client()
	if s.page, err = template.New("page").Parse("{{.Greeting}}, visitor {{.N}}!\n"); err != nil {
		return err
	}
	s.shown = prometheus.NewCounter(prometheus.CounterOpts{Name: "shop_pages_total", Help: "Pages shown."})
	n.OnClose(func(context.Context) error { fmt.Println("closed"); return nil })
	return n.Metrics().Register(s.shown)
}

// handler is what the HTTP address serves: pages, and the node's API under a prefix.
func (s *shop) handler(_ *node.Node, api http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/", http.StripPrefix("/api", api))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		n, err := actor.Ask(r.Context(), s.client, Counters.ID("visits"), Increment{})
		if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		s.shown.Inc()
		_ = s.page.Execute(w, struct {
			Greeting string
			N        int
		}{s.Greeting, n})
	})
	return mux
}

// A program with pages of its own. Its main is
//
//	node.MainWith(cfg, Counters)
//
// which has the node's flags, and --greeting besides. Here the node is opened by hand, and
// asked for its page.
func Example_application() {
	s := &shop{Greeting: "Welcome"}
	cfg := node.Config{
		HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Partitions: 4, Logger: slog.New(slog.DiscardHandler),
		Flags: s, Setup: s.setup, Handler: s.handler,
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := visit(ctx, cfg); err != nil {
		fmt.Println(err)
	}
	// Output:
	// Welcome, visitor 1!
	// closed
}

func visit(ctx context.Context, cfg node.Config) (err error) {
	if cfg.DataDir, err = os.MkdirTemp("", "ganglion-example-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(cfg.DataDir) }()
	n, err := node.Open(ctx, cfg, Counters)
	if err != nil {
		return err
	}
	defer func() { _ = n.Close() }()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	if err := n.AwaitServing(ctx, 4); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.HTTPAddr()+"/", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
		return err
	}
	if err := n.Shutdown(ctx); err != nil {
		return err
	}
	return <-ended
}

// A program whose principals may all read states and ask queries, and send commands if
// their token has the scope orders:write.
func ExampleMainWith_rights() {
	definitions := []actor.Registrable{Counters}
	node.MainWith(node.Config{
		Authorize: gateway.AuthorizerFunc(func(_ context.Context, a gateway.Access) error {
			switch {
			case a.Action == gateway.ActionState, a.Action == gateway.ActionQuery:
				return nil
			case a.Action == gateway.ActionCommand && slices.Contains(a.Principal.Strings("scope"), "orders:write"):
				return nil
			}
			return gateway.ErrForbidden // also what later versions add
		}),
	}, definitions...)
}
