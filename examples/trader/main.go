// Command trader is the trading application: without a subcommand, all of it on one
// machine, see package demo; each of its processes; and tools for a running one.
//
//	go run ./examples/trader
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/ganglion-go/ganglion/examples/trader/demo"
	"github.com/ganglion-go/ganglion/examples/trader/web"
	"github.com/ganglion-go/ganglion/node"
)

func main() {
	demo.WatchParent()
	if len(os.Args) > 1 && os.Args[1] == nodeCommand {
		os.Args = append(os.Args[:1:1], os.Args[2:]...)
		cfg := new(web.App).Config()
		cfg.Dial = demo.Dial()
		node.MainWith(cfg, web.Definitions()...)
	}
	var cli struct {
		Demo     demoCommand   `cmd:"" default:"withargs" help:"Run all of it on this machine, as separate processes (the default)."`
		Load     loadCommand   `cmd:"" help:"Seed the application's data and drive load, over HTTP."`
		Audit    auditCommand  `cmd:"" help:"Check all invariants from the store alone, at rest. Exit code 1: something does not hold."`
		Node     struct{}      `cmd:"" help:"Run a node with its web server. It has flags and subcommands of its own: node --help."`
		Nats     demo.NATS     `cmd:"" help:"Run a NATS server with JetStream."`
		Mongod   demo.Mongod   `cmd:"" help:"Run a member of a MongoDB replica set, found or fetched."`
		Balancer demo.Balancer `cmd:"" help:"Run the load balancer."`
		Unrouted demo.Unrouted `cmd:"" help:"Run a web server without routing, which the stage compares with."`
	}
	parsed := kong.Parse(&cli, kong.Name("trader"), kong.Description("The trading application."), kong.UsageOnError())
	ctx, stop := notified(context.Background(), os.Stderr)
	defer stop()
	switch parsed.Command() {
	case "nats", "mongod", "balancer", "unrouted": // they have nothing to finish that takes long
		ctx = untilStopped(ctx)
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "trader:", err)
		stop()
		os.Exit(exitCode(err))
	}
}

// nodeCommand is the subcommand whose flags and subcommands are package node's.
const nodeCommand = "node"

// errUsage marks a configuration that cannot be run.
var errUsage = demo.ErrUsage

func exitCode(err error) int {
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

// stopKey is the context key of the channel that the first signal closes.
type stopKey struct{}

// notified returns a context that ends at the second signal. At the first, the
// channel in it is closed: what has begun is finished.
func notified(parent context.Context, w io.Writer) (context.Context, func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	first := make(chan struct{})
	ctx, cancel := context.WithCancel(context.WithValue(parent, stopKey{}, first))
	go func() {
		for closed := false; ; closed = true {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			if closed {
				cancel()
				return
			}
			_, _ = fmt.Fprintln(w, "finishing what has begun; again to stop at once")
			close(first)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}

// untilStopped returns a context that ends at the first signal.
func untilStopped(ctx context.Context) context.Context {
	stop, ok := ctx.Value(stopKey{}).(chan struct{})
	if !ok {
		return ctx
	}
	ended, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		select {
		case <-stop:
		case <-ctx.Done():
		}
	}()
	return ended
}
