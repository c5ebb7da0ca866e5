package netproxy

import (
	"context"
	"errors"
	"net"
	"sync"
)

// Dialer sends every connection of one client through proxies, one for each
// address, over one common [Link]. It fits ClientOptions.SetDialer of the
// MongoDB driver and, by its method Dial, nats.SetCustomDialer. Close it after
// the client.
type Dialer struct {
	*Link
	mu      sync.Mutex
	proxies map[string]*Proxy // nil once closed
}

// NewDialer gives a dialer whose link works.
func NewDialer() *Dialer {
	return &Dialer{Link: newLink(), proxies: map[string]*Proxy{}}
}

// DialContext connects to addr through its proxy. It succeeds before the target
// is reached; a target that refuses closes the connection. It fails with
// [net.ErrClosed] after [Dialer.Close].
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	p, err := d.proxy(addr)
	if err != nil {
		return nil, err
	}
	var direct net.Dialer
	return direct.DialContext(ctx, network, p.Addr())
}

// Dial is [Dialer.DialContext] without a context, bounded by 5 s.
func (d *Dialer) Dial(network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	return d.DialContext(ctx, network, addr)
}

func (d *Dialer) proxy(addr string) (*Proxy, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.proxies == nil {
		return nil, net.ErrClosed
	}
	if p, ok := d.proxies[addr]; ok {
		return p, nil
	}
	p, err := newProxy(addr, d.Link)
	if err != nil {
		return nil, err
	}
	d.proxies[addr] = p
	return p, nil
}

// Close closes all proxies and with them all connections. It is idempotent.
func (d *Dialer) Close() error {
	d.mu.Lock()
	proxies := d.proxies
	d.proxies = nil
	d.mu.Unlock()
	var errs []error
	for _, p := range proxies {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}
