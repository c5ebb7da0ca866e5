package natsd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/testharness/internal/child"
	"github.com/ganglion-go/ganglion/testharness/internal/loopback"
)

const (
	pollInterval = 20 * time.Millisecond
	pollTimeout  = time.Second // a paused server does not answer; ask again later
	logTailBytes = 4 << 10
)

// Server is one server of a [Cluster].
type Server struct {
	settings childSettings
	index    int
	logPath  string
	ports    []*loopback.Port // of clients, monitoring and routes

	mu   sync.Mutex
	proc *child.Process // the running child, or the last one
}

func newServer(cfg Config, index int) (*Server, error) {
	name := fmt.Sprintf("nats-%d", index)
	s := &Server{index: index, logPath: filepath.Join(cfg.Dir, name+".log")}
	for range 3 {
		port, err := loopback.Reserve()
		if err != nil {
			s.close()
			return nil, err
		}
		s.ports = append(s.ports, port)
	}
	s.settings = childSettings{
		Name: name, StoreDir: filepath.Join(cfg.Dir, name), Host: loopback.Host, ClusterName: "natsd",
		Port: s.ports[0].Number(), MonitorPort: s.ports[1].Number(), SyncAlways: cfg.SyncAlways,
		Grace: cfg.LameDuckGrace,
	}
	if cfg.Servers > 1 {
		s.settings.RoutePort = s.ports[2].Number()
	}
	return s, nil
}

// Index is the server's place in [Cluster.Servers].
func (s *Server) Index() int { return s.index }

// Name is the server's name, as JetStream tells it.
func (s *Server) Name() string { return s.settings.Name }

// Addr is the "host:port" for clients.
func (s *Server) Addr() string { return s.ports[0].Addr() }

// URL is "nats://" and [Server.Addr].
func (s *Server) URL() string { return "nats://" + s.Addr() }

// LogPath is the file with everything that the server wrote, over all its restarts.
func (s *Server) LogPath() string { return s.logPath }

// PID is the process of the server, or 0 while it is down.
func (s *Server) PID() int {
	if p := s.process(); p != nil && !p.Gone() {
		return p.PID()
	}
	return 0
}

// Kill ends the server with SIGKILL and returns when it is gone. Its store stays,
// less what the operating system would lose with the power. It is idempotent.
func (s *Server) Kill() {
	if p := s.process(); p != nil {
		p.Kill()
	}
}

// Pause stops the server with SIGSTOP: its connections stay open and nothing
// answers. It fails with [ErrNotRunning], or with errors.ErrUnsupported on a
// system without signals.
func (s *Server) Pause() error { return s.signal((*child.Process).Pause) }

// Resume lets a paused server run on. It fails like [Server.Pause], and does
// nothing to one that runs.
func (s *Server) Resume() error { return s.signal((*child.Process).Resume) }

// LameDuck has the server end as "nats-server --signal ldm" does: it takes no more
// clients, gives away what it leads, ends its JetStream, tells its clients, and
// closes those that are left after [Config.LameDuckGrace]. It ends when the last one
// is gone, or closed; see [Server.AwaitEnd]. It fails like [Server.Pause].
func (s *Server) LameDuck() error { return s.signal(lameDuck) }

// AwaitEnd waits until the server is down, or returns why ctx has ended.
func (s *Server) AwaitEnd(ctx context.Context) error {
	p := s.process()
	if p == nil {
		return nil
	}
	select {
	case <-p.Exited():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s has not ended: %w", s.Name(), context.Cause(ctx))
	}
}

// Clients are the names of the connections to the server at the moment, those
// without a name included.
func (s *Server) Clients(ctx context.Context) ([]string, error) {
	var said struct {
		Connections []struct {
			Name string `json:"name"`
		} `json:"connections"`
	}
	if err := s.monitor(ctx, "/connz", &said); err != nil {
		return nil, fmt.Errorf("clients of %s: %w", s.Name(), err)
	}
	names := make([]string, len(said.Connections))
	for i, c := range said.Connections {
		names[i] = c.Name
	}
	return names, nil
}

// Start starts a server that is down, on its store and its ports, and waits until
// it answers; it need not have found the others. It does nothing to one that
// runs. The error is a [*StartError].
func (s *Server) Start(ctx context.Context) error {
	if s.PID() != 0 {
		return nil
	}
	if err := s.launch(); err != nil {
		return err
	}
	return s.await(ctx)
}

func (s *Server) launch() error {
	text, err := json.Marshal(s.settings)
	if err != nil {
		return s.startError(err)
	}
	p, err := child.Start(os.Args[0], nil, []string{envChild + "=" + string(text)}, s.logPath)
	if err != nil {
		return s.startError(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc = p
	return nil
}

// await waits until the server answers.
func (s *Server) await(ctx context.Context) error {
	p := s.process()
	for {
		var said struct{}
		err := s.monitor(ctx, "/varz", &said)
		if err == nil {
			return nil
		}
		select {
		case <-p.Exited():
			return s.startError(fmt.Errorf("the server ended: %w", p.State()))
		case <-ctx.Done():
			return s.startError(fmt.Errorf("%w: %w", context.Cause(ctx), err))
		case <-time.After(pollInterval):
		}
	}
}

// monitor asks the server's monitoring port.
func (s *Server) monitor(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.ports[1].Addr()+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

func (s *Server) signal(send func(*child.Process) error) error {
	p := s.process()
	if p == nil || p.Gone() {
		return fmt.Errorf("%w: %s", ErrNotRunning, s.Name())
	}
	return send(p)
}

func (s *Server) process() *child.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

func (s *Server) startError(cause error) error {
	data, err := os.ReadFile(s.logPath)
	if err != nil {
		data = []byte(err.Error())
	}
	tail := strings.TrimSpace(string(data[max(0, len(data)-logTailBytes):]))
	return &StartError{Name: s.Name(), LogTail: tail, Err: cause}
}

func (s *Server) close() {
	s.Kill()
	for _, p := range s.ports {
		p.Release()
	}
}
