package testharness

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/testharness/internal/loopback"
)

const (
	natsReadyTimeout  = 20 * time.Second
	natsReconnectWait = 20 * time.Millisecond
)

// ErrStopped says that the embedded server is not running at the moment.
var ErrStopped = errors.New("testharness: nats server is stopped")

// NATSServer is one embedded NATS server with JetStream, whose store outlives
// [NATSServer.Stop]. Its methods are safe for concurrent use, except that
// Start, Stop and Restart must not run at the same time as each other.
//
// It is a [nats.InProcessConnProvider]: nats.Connect("", nats.InProcessServer(s))
// gives a connection that finds the server again after a restart.
type NATSServer struct {
	cfg      natsConfig
	name     string
	storeDir string
	port     *loopback.Port // nil without a listener
	cluster  server.ClusterOpts
	routes   []string

	mu      sync.Mutex
	running *server.Server // nil while stopped
}

// NATS starts one embedded server with JetStream on in a temporary directory and
// stops it when the test ends. By default it does not listen: clients connect in
// process, and the server works inside a testing/synctest bubble (see
// [VirtualTime]). It ends the test when the server does not start.
func NATS(t testing.TB, opts ...NATSOption) *NATSServer {
	t.Helper()
	s := &NATSServer{cfg: newNATSConfig(opts), name: "ganglion-test", storeDir: TempDir(t)}
	if s.cfg.listen {
		forbidBubble(t, "NATS with a listener")
		s.port = reservePort(t)
	}
	enterClock(t)
	t.Cleanup(s.Stop)
	s.Start(t)
	return s
}

// Start starts the server on the store directory and the port that it had
// before. It does nothing to a running server, blocks until the server accepts
// connections, and ends the test when it does not within 20 s.
func (s *NATSServer) Start(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatalf("testharness: %v", err)
	}
	if !s.Server().ReadyForConnections(natsReadyTimeout) {
		t.Fatalf("testharness: nats server %s not ready in %v", s.name, natsReadyTimeout)
	}
}

// start launches the server and does not wait for it.
func (s *NATSServer) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return nil
	}
	ns, err := server.NewServer(s.options())
	if err != nil {
		return fmt.Errorf("new nats server %s: %w", s.name, err)
	}
	// Start returns once its listeners run, and at once without any; it waits for
	// the client listener when there are routes, hence the goroutine. It is over
	// before WaitForShutdown returns.
	go ns.Start()
	s.running = ns
	return nil
}

func (s *NATSServer) options() *server.Options {
	opts := &server.Options{
		ServerName: s.name,
		JetStream:  true,
		StoreDir:   s.storeDir,
		SyncAlways: s.cfg.syncEvery,
		DontListen: s.port == nil,
		NoLog:      true,
		NoSigs:     true,
		Cluster:    s.cluster,
	}
	if s.port != nil {
		opts.Host, opts.Port = loopback.Host, s.port.Number()
	}
	if len(s.routes) > 0 {
		opts.Routes = server.RoutesFromStr(strings.Join(s.routes, ","))
	}
	for _, adjust := range s.cfg.adjust {
		adjust(opts)
	}
	return opts
}

// Stop shuts the server down and waits until it is gone. Connected clients see a
// lost connection. The store directory stays. It is idempotent.
func (s *NATSServer) Stop() {
	s.mu.Lock()
	ns := s.running
	s.running = nil
	s.mu.Unlock()
	if ns != nil {
		ns.Shutdown()
		ns.WaitForShutdown()
	}
}

// Restart is [NATSServer.Stop] and then [NATSServer.Start].
func (s *NATSServer) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	s.Start(t)
}

// Server is the running server, or nil while it is stopped. A restart replaces
// it: do not keep it.
func (s *NATSServer) Server() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

// InProcessConn implements [nats.InProcessConnProvider]. It fails with
// [ErrStopped] while the server is stopped.
func (s *NATSServer) InProcessConn() (net.Conn, error) {
	ns := s.Server()
	if ns == nil {
		return nil, ErrStopped
	}
	conn, err := ns.InProcessConn()
	if err != nil {
		return nil, fmt.Errorf("connect in process: %w", err)
	}
	return conn, nil
}

// URL is "nats://127.0.0.1:port" for a server started with [WithListener], and
// empty for one that does not listen.
func (s *NATSServer) URL() string {
	if s.port == nil {
		return ""
	}
	return "nats://" + s.port.Addr()
}

// Connect opens a connection in process and closes it when t ends. The
// connection reconnects for ever, every 20 ms, which opts can override. It ends
// the test on failure.
func (s *NATSServer) Connect(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	return connect(t, "", append([]nats.Option{nats.InProcessServer(s)}, opts...))
}

func connect(t testing.TB, url string, opts []nats.Option) *nats.Conn {
	t.Helper()
	base := []nats.Option{
		nats.Name(t.Name()),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(natsReconnectWait),
		nats.ReconnectJitter(natsReconnectWait, natsReconnectWait),
	}
	nc, err := nats.Connect(url, append(base, opts...)...)
	if err != nil {
		t.Fatalf("testharness: connect to nats: %v", err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func reservePort(t testing.TB) *loopback.Port {
	t.Helper()
	port, err := loopback.Reserve()
	if err != nil {
		t.Fatalf("testharness: %v", err)
	}
	t.Cleanup(port.Release)
	return port
}
