package node

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node/internal/guard"
)

// socketScheme begins an admin address that is a unix socket.
const socketScheme = "unix:"

// adminSocket returns the path of the admin server's unix socket; empty: it has none.
func (c *Config) adminSocket() string {
	path, ok := strings.CutPrefix(c.AdminAddr, socketScheme)
	if !ok {
		return ""
	}
	return path
}

// checkDoors finds addresses that are open to more than they may be.
func (s *settings) checkDoors(fault faultFunc) {
	var err error
	if s.hosts, err = guard.ParseHosts(s.AllowedHosts); err != nil {
		fault("${AllowedHosts}: %v", err)
	}
	if s.AdminAddr == socketScheme {
		fault("${AdminAddr}=%s: a path is required", s.AdminAddr)
	}
	if s.adminSocket() == "" && !isLoopback(s.AdminAddr) && s.AdminTokenFile == "" {
		fault("${AdminAddr}=%s: other machines reach it; give ${AdminTokenFile}, an address of the loopback interface, or unix:PATH", s.AdminAddr)
	}
}

// warnOfDoors logs, at each start, what the node has open to others. The line is for
// whoever did not mean it.
func (s *settings) warnOfDoors(ctx context.Context) {
	if s.ExposeInternal {
		s.Logger.WarnContext(ctx, "WHAT IS THE APPLICATION'S OWN IS OPEN TO EVERYBODY who can call this node, over HTTP and NATS: --expose-internal is for development and tests")
	}
	if s.DashboardCommands {
		s.Logger.WarnContext(ctx, "WHOEVER MAY USE THE ADMIN SERVER MAY SEND COMMANDS from its dashboard, whatever rights callers of the HTTP API need: --dashboard-commands")
	}
	s.warnOfRights(ctx)
	if s.adminSocket() == "" && !isLoopback(s.AdminAddr) {
		s.Logger.WarnContext(ctx, "the admin server is open to the network, without encryption: its token is all that protects it", "admin_addr", s.AdminAddr)
	}
	for flag, addr := range map[string]string{"nats_cluster_addr": s.NATSClusterAddr, "nats_client_addr": s.NATSClientAddr} {
		if addr != "" && !isLoopback(addr) && !s.tlsComplete() {
			s.Logger.WarnContext(ctx, "the embedded NATS server is open to the network, without encryption: its secret is all that protects it", flag, addr)
		}
	}
}

// listen takes the addresses, before anything is started that others would see.
func (n *Node) listen(ctx context.Context, _ []actor.Registrable) (err error) {
	var lc net.ListenConfig
	if n.apiListen, err = lc.Listen(ctx, "tcp", n.cfg.HTTPAddr); err != nil {
		return fmt.Errorf("listen for the HTTP API: %w", err)
	}
	n.onClose(func() { _ = n.apiListen.Close() })
	if path := n.cfg.adminSocket(); path != "" {
		if n.admListen, err = listenSocket(ctx, path); err == nil {
			n.onClose(func() { _ = os.Remove(path) })
		}
	} else {
		n.admListen, err = lc.Listen(ctx, "tcp", n.cfg.AdminAddr)
	}
	if err != nil {
		return fmt.Errorf("listen for administration: %w", err)
	}
	n.onClose(func() { _ = n.admListen.Close() })
	// A name such as localhost means what the machine's resolver says.
	if n.cfg.adminToken == "" && n.cfg.adminSocket() == "" && !isLoopback(n.admListen.Addr().String()) {
		return fmt.Errorf(n.cfg.say("${AdminAddr}=%s is %s here, which other machines reach; give ${AdminTokenFile}: %w"), n.cfg.AdminAddr, n.admListen.Addr(), ErrConfig)
	}
	n.apiListen, n.admListen = n.limited("http", n.apiListen), n.limited("admin", n.admListen)
	if n.cfg.httpTLS != nil {
		n.apiListen = tls.NewListener(n.apiListen, n.cfg.httpTLS.config())
	}
	n.cfg.warnOfDoors(ctx)
	return nil
}

// connectionsMax bounds the connections of one address to each server. A balancer has
// them for all of its clients.
const connectionsMax = 4096

func (n *Node) limited(server string, l net.Listener) net.Listener {
	return guard.Limit(l, connectionsMax, func(from string) {
		if ok, before := n.refusals.next(time.Now()); ok {
			n.cfg.Logger.Warn("connection refused: its address has too many", "server", server, "from", from, "most", connectionsMax, "untold", before)
		}
	})
}

// socketPoll bounds the question whether somebody listens on a socket.
const socketPoll = time.Second

// errSocketInUse says that another process answers on the socket.
var errSocketInUse = errors.New("another process listens on the socket")

// listenSocket listens on a unix socket that only this user opens. It gets its name
// when it has its mode: nobody can connect before. One that a dead process has left
// is replaced.
func listenSocket(ctx context.Context, path string) (net.Listener, error) {
	switch info, err := os.Lstat(path); {
	case err == nil && info.Mode().Type() != os.ModeSocket:
		return nil, fmt.Errorf("%s: %w", path, os.ErrExist)
	case err == nil:
		d := net.Dialer{Timeout: socketPoll}
		if conn, err := d.DialContext(ctx, "unix", path); err == nil {
			_ = conn.Close()
			return nil, fmt.Errorf("%s: %w", path, errSocketInUse)
		}
	}
	draft := filepath.Join(filepath.Dir(path), "."+rand.Text()[:8])
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: draft, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(draft, 0o600)
	if err == nil {
		err = os.Rename(draft, path)
	}
	if err != nil {
		_ = l.Close()
		_ = os.Remove(draft)
		return nil, err
	}
	return l, nil
}

// probed reports whether a request is a probe: those who send them know neither names
// nor tokens, and learn no more than that the node is there.
func probed(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && (r.URL.Path == "/livez" || r.URL.Path == "/readyz")
}

// guardAPI lets requests in that are meant for the node, and come from no page of
// another origin.
func (n *Node) guardAPI(next http.Handler) http.Handler {
	g := &guard.Guard{Hosts: n.cfg.hosts, Refuse: n.refuse("http")}
	return g.Wrap(next)
}

// guardAdmin also asks for the token, if there is one.
func (n *Node) guardAdmin(next http.Handler) http.Handler {
	g := &guard.Guard{Hosts: n.cfg.hosts, Token: n.cfg.adminToken, Reads: true, Public: probed, Pages: dashboardPage, Refuse: n.refuse("admin")}
	return g.Wrap(next)
}

// refuse answers those who are not let in. Whoever does it often must not fill the log.
func (n *Node) refuse(server string) func(w http.ResponseWriter, r *http.Request, why guard.Refusal) {
	return func(w http.ResponseWriter, r *http.Request, why guard.Refusal) {
		if ok, before := n.refusals.next(time.Now()); ok {
			n.cfg.Logger.WarnContext(r.Context(), "request refused", "server", server, "code", why.Code, "from", r.RemoteAddr,
				"method", r.Method, "path", r.URL.Path, "host", r.Host, "origin", r.Header.Get("Origin"), "untold", before)
		}
		w.Header().Set("Connection", "close") // its body is of no interest
		answerProblem(w, why.Status, actor.Code(why.Code), why.Detail)
	}
}
