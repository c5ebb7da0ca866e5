package node

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ganglion-go/ganglion/actor"
)

const (
	// defaultSetupTimeout is the default of Config.SetupTimeout.
	defaultSetupTimeout = 2 * time.Minute
	// setupGrace is what is left to code of the application whose context has ended, before
	// the start fails without it.
	setupGrace = 5 * time.Second
	// closersTimeout bounds all functions of [Node.OnClose] together.
	closersTimeout = 5 * time.Second
	// closerLeast is what one of them has when the others have taken all of that.
	closerLeast = 500 * time.Millisecond
)

// openApplication has the application open what is its own, and make what the HTTP address
// serves.
func (n *Node) openApplication(ctx context.Context, _ []actor.Registrable) error {
	n.api.RegisterOnShutdown(n.stop)
	n.handler = n.gateway
	if n.cfg.Setup != nil {
		if err := n.runSetup(ctx, "Config.Setup", n.cfg.Setup); err != nil {
			return err
		}
	}
	if n.cfg.Handler == nil {
		return nil
	}
	return n.runSetup(ctx, "Config.Handler", func(context.Context, *Node) error {
		h := n.cfg.Handler(n, n.gateway)
		if h == nil {
			return errNoHandler
		}
		n.handler = n.recovering(h)
		return nil
	})
}

var errNoHandler = errors.New("it returned no handler")

// runSetup runs code of the application, within the time that it has. Code that goes on
// after that is left behind: nothing can end it, and the start fails.
func (n *Node) runSetup(ctx context.Context, what string, f func(context.Context, *Node) error) error {
	timeout := n.cfg.SetupTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not done within %v: %w", timeout, context.DeadlineExceeded))
	defer cancel()
	done := contained(func() error { return f(ctx, n) })
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case err = <-done:
		case <-time.After(setupGrace):
			err = errIgnoresContext
		}
	}
	switch cause := context.Cause(ctx); {
	case err == nil:
		return nil
	case cause != nil && !errors.Is(err, cause):
		return fmt.Errorf("%s: %w: %w", what, cause, err)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}

var (
	errIgnoresContext = errors.New("it goes on although its context has ended")
	errGoexit         = errors.New("it ended its goroutine")
)

// contained calls f in a goroutine of its own, and yields its error, also if f panics or
// ends its goroutine.
func contained(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		err := errGoexit
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("it panicked: %v\n%s", v, debug.Stack())
			}
			done <- err
		}()
		err = f()
	}()
	return done
}

// OnClose has f called when the node is closed, after it has stopped serving: in reverse
// order, also when the start fails later. It is for what [Config].Setup opens. f has until
// its context ends, which is 5 seconds for all of them together, and half a second at the
// least; one that goes on is left behind. Its error, or panic, is logged. Once the node is closed, f is called at once.
func (n *Node) OnClose(f func(ctx context.Context) error) {
	n.onClose(func() { n.runCloser(f) })
}

func (n *Node) runCloser(f func(ctx context.Context) error) {
	timeout := max(time.Until(n.closeBy()), closerLeast)
	ctx, cancel := context.WithTimeoutCause(context.Background(), timeout, errCloserSlow) //nolint:forbidigo // the end belongs to no request
	defer cancel()
	done := contained(func() error { return f(ctx) })
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		n.cfg.Logger.WarnContext(ctx, "a function of OnClose failed", "error", err)
	}
}

var errCloserSlow = fmt.Errorf("the functions of OnClose were not done within %v", closersTimeout)

// undoing is what is done when a node is closed. It is safe for concurrent use.
type undoing struct {
	mu      sync.Mutex
	closers []func() // in reverse order
	closed  bool
}

// add has f called by run, or now if that is over.
func (c *undoing) add(f func()) {
	c.mu.Lock()
	late := c.closed
	if !late {
		c.closers = append(c.closers, f)
	}
	c.mu.Unlock()
	if late {
		f()
	}
}

// run undoes, backwards, what was opened; also what is added meanwhile.
func (c *undoing) run() {
	for {
		c.mu.Lock()
		last := len(c.closers) - 1
		if c.closed = last < 0; c.closed {
			c.mu.Unlock()
			return
		}
		f := c.closers[last]
		c.closers = c.closers[:last]
		c.mu.Unlock()
		f()
	}
}

// Stopping is closed when the HTTP servers of the node take no more requests. Handlers of
// the application whose answers do not end by themselves, such as streams, end then; those
// under way after some seconds are cut.
func (n *Node) Stopping() <-chan struct{} { return n.stopping }

// Metrics returns the registry of the process: what is registered in it is on /metrics of
// the admin server. Names that begin with ganglion_ are the node's.
func (n *Node) Metrics() prometheus.Registerer { return n.metrics.registry }
