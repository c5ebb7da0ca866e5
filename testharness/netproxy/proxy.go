package netproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const dialTimeout = 5 * time.Second

// Proxy forwards TCP connections from a port of 127.0.0.1 to one target, over a
// [Link] that can be cut and slowed down.
type Proxy struct {
	*Link
	target   string
	listener net.Listener
	life     context.Context //nolint:containedctx // the life of the proxy, not of a call
	end      context.CancelFunc
	wg       sync.WaitGroup
}

// New starts a proxy on a free port. The target, a "host:port", need not be
// there yet: it is dialled once for every accepted connection. Close it when done.
func New(target string) (*Proxy, error) { return newProxy(target, newLink()) }

func newProxy(target string, link *Link) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // binds a local socket, does not block
	if err != nil {
		return nil, fmt.Errorf("netproxy: listen: %w", err)
	}
	life, end := context.WithCancel(context.Background())
	p := &Proxy{Link: link, target: target, listener: listener, life: life, end: end}
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is the "host:port" that clients connect to instead of the target.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Target is the "host:port" that the proxy forwards to.
func (p *Proxy) Target() string { return p.target }

// Close ends all connections and returns when no goroutine of the proxy is left.
// It is idempotent.
func (p *Proxy) Close() error {
	p.end()
	err := p.listener.Close()
	p.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

// serve carries one connection until both directions are done.
func (p *Proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	p.forward(p.life, client, p.target)
}

// forward dials the target for a client and carries bytes between them until both
// directions are done. The dial waits like data for the end of a cut.
func (l *Link) forward(life context.Context, client net.Conn, address string) {
	if l.toTarget.pass(life, time.Time{}) != nil {
		return
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	target, err := dialer.DialContext(life, "tcp", address)
	if err != nil {
		return // the client sees a closed connection, as with a refused one
	}
	defer func() { _ = target.Close() }()
	unblock := context.AfterFunc(life, func() {
		_ = client.Close()
		_ = target.Close()
	})
	defer unblock()

	var wg sync.WaitGroup
	wg.Go(func() { l.toTarget.carry(life, target, client) })
	wg.Go(func() { l.toClient.carry(life, client, target) })
	wg.Wait()
}
