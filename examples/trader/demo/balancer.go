package demo

import (
	"context"
	"fmt"
	"net"

	"github.com/ganglion-go/ganglion/examples/trader/balancer"
)

// Balancer is the subcommand that runs the load balancer.
type Balancer struct {
	Addr    string   `default:"127.0.0.1:8080" help:"Address to listen on." placeholder:"HOST:PORT"`
	Backend []string `required:"" help:"Base URL of a web server, and the URL that answers 200 while it is ready; once for each." placeholder:"WEB=READY"`
}

// Run serves until ctx ends.
func (c *Balancer) Run(ctx context.Context) error {
	b, err := balancer.New(c.Backend)
	if err != nil {
		return fmt.Errorf("%w: --backend: %w", ErrUsage, err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return err
	}
	return b.Serve(ctx, l)
}
