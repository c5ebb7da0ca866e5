package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// stopTimeout bounds the end of a fleet.
const stopTimeout = 20 * time.Second

// fleet is the servers behind the balancer, of whatever way.
type fleet struct {
	targets []*url.URL
	counts  func(context.Context) (counts, error)
	closers []func(context.Context) error // in reverse order
}

// counts is what the servers tell of themselves.
type counts struct {
	conflicts int64 // saves that were refused because the version was taken
	retries   int64 // decisions that were made again for that reason
	cacheHits int64
}

func (c counts) minus(d counts) counts {
	return counts{conflicts: c.conflicts - d.conflicts, retries: c.retries - d.retries, cacheHits: c.cacheHits - d.cacheHits}
}

func (f *fleet) onClose(undo func(context.Context) error) { f.closers = append(f.closers, undo) }

// close ends, backwards, what was started.
func (f *fleet) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	var errs []error
	for _, undo := range slices.Backward(f.closers) {
		errs = append(errs, undo(ctx))
	}
	f.closers = nil
	return errors.Join(errs...)
}

// serve serves a handler on a free port until the fleet is closed.
func (f *fleet) serve(ctx context.Context, h http.Handler) (*url.URL, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	f.onClose(func(ctx context.Context) error {
		err := s.Shutdown(ctx)
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
	return &url.URL{Scheme: "http", Host: l.Addr().String()}, nil
}
