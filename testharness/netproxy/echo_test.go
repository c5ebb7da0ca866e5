package netproxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// echo is a server that sends everything back.
type echo struct {
	addr  string
	seen  chan struct{} // one token a read, as far as anybody takes them
	mu    sync.Mutex
	conns []net.Conn
}

func startEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{addr: l.Addr().String(), seen: make(chan struct{}, 1)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			e.keep(conn)
			wg.Go(func() { e.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		e.closeConns()
		wg.Wait()
	})
	return e
}

func (e *echo) keep(conn net.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conns = append(e.conns, conn)
}

func (e *echo) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_, _ = io.Copy(conn, io.TeeReader(conn, writerFunc(func() {
		select {
		case e.seen <- struct{}{}:
		default:
		}
	})))
}

func (e *echo) closeConns() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, conn := range e.conns {
		_ = conn.Close()
	}
}

func (e *echo) sawWithin(limit time.Duration) bool {
	select {
	case <-e.seen:
		return true
	case <-time.After(limit):
		return false
	}
}

type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) { f(); return len(p), nil }

// client talks in lines.
type client struct {
	conn  net.Conn
	lines *bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, conn)
}

func newClient(t *testing.T, conn net.Conn) *client {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	c := &client{conn: conn, lines: bufio.NewReader(conn)}
	c.setReadDeadline(t, patience)
	return c
}

func (c *client) setReadDeadline(t *testing.T, limit time.Duration) {
	t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
}

func (c *client) send(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(c.conn, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

func (c *client) expect(t *testing.T, line string) {
	t.Helper()
	c.setReadDeadline(t, patience)
	got, err := c.lines.ReadString('\n')
	if err != nil || got != line+"\n" {
		t.Fatalf("got %q, %v; want %q", got, err, line)
	}
}

func (c *client) exchange(t *testing.T, line string) {
	t.Helper()
	c.send(t, line)
	c.expect(t, line)
}

func (c *client) expectSilence(t *testing.T) {
	t.Helper()
	c.setReadDeadline(t, quiet)
	got, err := c.lines.ReadByte()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %q, %v during a cut, want nothing", got, err)
	}
	c.setReadDeadline(t, patience)
}
