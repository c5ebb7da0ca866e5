package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/ganglion-go/ganglion/bench/cluster"
)

// fleet is the servers behind the balancer, of whatever way.
type fleet struct {
	cluster.Closers

	targets []*url.URL
	counts  func(context.Context) (counts, error)
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
	f.OnClose(func(ctx context.Context) error {
		err := s.Shutdown(ctx)
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	})
	return &url.URL{Scheme: "http", Host: l.Addr().String()}, nil
}
