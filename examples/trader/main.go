// Command trader works with a running node of the trading application.
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
)

func main() {
	var cli struct {
		Load  loadCommand  `cmd:"" help:"Seed the application's data and drive load, over HTTP."`
		Audit auditCommand `cmd:"" help:"Check all invariants from the store alone, at rest. Exit code 1: something does not hold."`
	}
	parsed := kong.Parse(&cli, kong.Name("trader"), kong.Description("Tools of the trading application."), kong.UsageOnError())
	ctx, stop := notified(context.Background(), os.Stderr)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "trader:", err)
		stop()
		os.Exit(exitCode(err))
	}
}

// errUsage marks a configuration that cannot be run.
var errUsage = errors.New("invalid flags")

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
