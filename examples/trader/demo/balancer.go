package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/ganglion-go/ganglion/examples/trader/balancer"
)

// Balancer is the subcommand that runs the load balancer.
type Balancer struct {
	Addr       string   `default:"127.0.0.1:8080" help:"Address to listen on." placeholder:"HOST:PORT"`
	Backend    []string `required:"" help:"Base URL of a web server, and the URL that answers 200 while it is ready; once for each." placeholder:"WEB=READY"`
	APIAddr    string   `help:"Address of the loopback interface for the nodes' command APIs, which authenticate nobody, and for figures (GET /balancer). Default: there is none." placeholder:"HOST:PORT"`
	APIBackend []string `help:"Base URL of a command API, and the URL that answers 200 while it is ready; once for each." placeholder:"API=READY"`
}

var errAPIBackend = errors.New("--api-addr is of the loopback interface, and comes with --api-backend")

// Run serves until ctx ends.
func (c *Balancer) Run(ctx context.Context) error {
	pages, err := balancer.New(c.Backend)
	if err != nil {
		return fmt.Errorf("%w: --backend: %w", ErrUsage, err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return err
	}
	if c.APIAddr == "" && len(c.APIBackend) == 0 {
		return pages.Serve(ctx, l)
	}
	defer func() { _ = l.Close() }()
	if !isLoopback(c.APIAddr) || c.APIAddr == "" || len(c.APIBackend) == 0 {
		return fmt.Errorf("%w: %w", ErrUsage, errAPIBackend)
	}
	api, err := balancer.New(c.APIBackend)
	if err != nil {
		return fmt.Errorf("%w: --api-backend: %w", ErrUsage, err)
	}
	apis, err := new(net.ListenConfig).Listen(ctx, "tcp", c.APIAddr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		defer cancel() // one does not go on without the other
		ended <- api.ServeWith(ctx, apis, inner(pages, api))
	}()
	err = pages.Serve(ctx, l)
	cancel()
	return errors.Join(err, <-ended)
}

// BalancerFigures is what GET /balancer answers at the balancer's inner address.
type BalancerFigures struct {
	Pages []balancer.Figures `json:"pages"`
	API   []balancer.Figures `json:"api"`
}

// inner serves figures, and passes commands on.
func inner(pages, api *balancer.Balancer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /balancer", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(BalancerFigures{Pages: pages.Figures(), API: api.Figures()}) // the client has gone
	})
	mux.Handle("/v1/", api)
	return mux
}
