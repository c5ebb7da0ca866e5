package guard

import (
	"net"
	"net/netip"
	"sync"
)

// Limited is a listener that takes in only so many connections of one address at a
// time, and closes what is beyond that at once. Of IPv6, a /64 counts as one address:
// a single machine may have all of it.
type Limited struct {
	net.Listener
	most     int
	exceeded func(addr string)

	mu    sync.Mutex
	count map[netip.Prefix]int
}

// Limit returns a listener with at most so many connections of one address, which must
// be above 0. exceeded is called for each one that is closed; it must not block.
func Limit(l net.Listener, most int, exceeded func(addr string)) *Limited {
	return &Limited{Listener: l, most: most, exceeded: exceeded, count: map[netip.Prefix]int{}}
}

// Accept returns the next connection that is within the limit.
func (l *Limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err //nolint:wrapcheck // net/http compares it
		}
		from, ok := addressOf(conn.RemoteAddr())
		if !ok {
			return conn, nil // a unix socket
		}
		if l.enter(from) {
			return &limitedConn{Conn: conn, leave: sync.OnceFunc(func() { l.leave(from) })}, nil
		}
		_ = conn.Close() // nothing was read from it or written to it
		l.exceeded(from.Addr().String())
	}
}

func (l *Limited) enter(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count[from] >= l.most {
		return false
	}
	l.count[from]++
	return true
}

func (l *Limited) leave(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count[from]--; l.count[from] == 0 {
		delete(l.count, from)
	}
}

func addressOf(a net.Addr) (netip.Prefix, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}, false
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() && !ip.IsLoopback() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	return p, err == nil
}

// limitedConn counts until it is closed.
type limitedConn struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
