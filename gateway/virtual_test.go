package gateway_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/ganglion-go/ganglion/gateway"
)

// virtual is a gateway behind a real net/http server and client, over pipes in
// memory: a synctest bubble can hold all of it.
type virtual struct {
	client  *client
	history *history
	gateway *gateway.Gateway
	server  *http.Server
	http    *http.Client
	dials   atomic.Int32
	open    atomic.Int64 // streams
	pipes   *pipes
}

func setupVirtual(t *testing.T, configure ...func(*gateway.Config)) *virtual {
	t.Helper()
	f := &virtual{client: &client{}, history: &history{}, pipes: &pipes{conns: make(chan net.Conn), done: make(chan struct{})}}
	cfg := gateway.Config{History: f.history}
	cfg.Listener.StreamsChanged = func(open int) { f.open.Store(int64(open)) }
	for _, c := range configure {
		c(&cfg)
	}
	f.gateway = newGateway(t, f.client, cfg)
	f.server = &http.Server{Handler: f.gateway}
	f.server.RegisterOnShutdown(f.gateway.EndStreams)
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return f.dial() }}
	f.http = &http.Client{Transport: transport}
	served := make(chan error, 1)
	go func() { served <- f.server.Serve(f.pipes) }()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = f.server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
		synctest.Wait()
	})
	return f
}

func (f *virtual) dial() (net.Conn, error) {
	f.dials.Add(1)
	mine, theirs := net.Pipe()
	select {
	case f.pipes.conns <- theirs:
		return mine, nil
	case <-f.pipes.done:
		return nil, net.ErrClosed
	}
}

// pipes is a net.Listener.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }
