package netproxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	maxAddressBytes = 512
	greetingTimeout = 10 * time.Second
)

// errGreeting reports a connection to an egress that does not say where it wants
// to go.
var errGreeting = errors.New("netproxy: no target named")

// Egress is the way out of one process: whatever the process dials with
// [DialThrough] goes through it, over one [Link] for each address. So a process
// can be cut off from one server and not from another, also where a driver finds
// its servers by itself. It is a port of 127.0.0.1; a connection says in its
// first line where it wants to go.
type Egress struct {
	listener net.Listener
	life     context.Context //nolint:containedctx // the life of the egress, not of a call
	end      context.CancelFunc
	wg       sync.WaitGroup

	mu    sync.Mutex
	links map[string]*Link
}

// NewEgress starts an egress on a free port, all of whose links work. Close it
// when done.
func NewEgress() (*Egress, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // binds a local socket, does not block
	if err != nil {
		return nil, fmt.Errorf("netproxy: listen: %w", err)
	}
	life, end := context.WithCancel(context.Background())
	e := &Egress{listener: listener, life: life, end: end, links: map[string]*Link{}}
	e.wg.Go(e.accept)
	return e, nil
}

// Addr is what [DialThrough] takes.
func (e *Egress) Addr() string { return e.listener.Addr().String() }

// Link is the network between the process and one address. It is the same one on
// every call, also before the address was dialled.
func (e *Egress) Link(address string) *Link {
	e.mu.Lock()
	defer e.mu.Unlock()
	l, ok := e.links[address]
	if !ok {
		l = newLink()
		e.links[address] = l
	}
	return l
}

// Heal ends the cuts and the latency of all links.
func (e *Egress) Heal() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.links {
		l.Heal()
		l.Latency(0)
	}
}

// Close ends all connections and returns when no goroutine of the egress is left.
// It is idempotent.
func (e *Egress) Close() error {
	e.end()
	err := e.listener.Close()
	e.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (e *Egress) accept() {
	for {
		client, err := e.listener.Accept()
		if err != nil {
			return // closed
		}
		e.wg.Go(func() { e.serve(client) })
	}
}

func (e *Egress) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	unblock := context.AfterFunc(e.life, func() { _ = client.Close() })
	defer unblock()
	address, rest, err := greeting(client)
	if err != nil {
		return
	}
	e.Link(address).forward(e.life, &afterGreeting{Conn: client, rest: rest}, address)
}

// greeting reads the first line. What came with it stays in the reader.
func greeting(client net.Conn) (address string, rest *bufio.Reader, err error) {
	if err := client.SetReadDeadline(time.Now().Add(greetingTimeout)); err != nil {
		return "", nil, err
	}
	rest = bufio.NewReaderSize(client, maxAddressBytes)
	line, err := rest.ReadSlice('\n')
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", errGreeting, err)
	}
	return strings.TrimSuffix(string(line), "\n"), rest, client.SetReadDeadline(time.Time{})
}

// afterGreeting is a connection whose first bytes were read ahead.
type afterGreeting struct {
	net.Conn
	rest *bufio.Reader
}

func (c *afterGreeting) Read(p []byte) (int, error) { return c.rest.Read(p) }

// CloseWrite passes the end of the stream on.
func (c *afterGreeting) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// DialThrough returns a dial function that goes through the egress at that
// address, usually one of the parent process. A target that refuses closes the
// connection after the dial.
func DialThrough(egress string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		var direct net.Dialer
		conn, err := direct.DialContext(ctx, network, egress)
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(conn, address+"\n"); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return conn, nil
	}
}
