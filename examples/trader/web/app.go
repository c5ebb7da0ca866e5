package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/pages"
	"github.com/ganglion-go/ganglion/examples/trader/views"
	"github.com/ganglion-go/ganglion/node"
)

// App is the application around a node. Its exported fields are flags of the node.
type App struct {
	APIAddr       string `name:"api-addr" help:"Address of the command API, which authenticates nobody, and of the administrator's page. Default: there is none." placeholder:"HOST:PORT" env:"TRADER_API_ADDR"`
	APIOpen       bool   `name:"api-open" help:"Let --api-addr be one that other machines reach." env:"TRADER_API_OPEN"`
	BehindProxy   bool   `help:"A balancer says in X-Forwarded-For whose requests it passes on. Without one, clients could say anything." env:"TRADER_BEHIND_PROXY"`
	SecureCookies bool   `help:"Have browsers send cookies over https alone, as they do if the node itself serves https." env:"TRADER_SECURE_COOKIES"`

	// PasswordCost is that of bcrypt, from 4 to 31: each more takes twice as long. 0: 10.
	PasswordCost int `kong:"-"`

	listener  net.Listener // of the command API; nil: there is none
	passwords *passwords
}

// Definitions returns what the node serves.
func Definitions() []actor.Registrable { return append(domain.Definitions(), Sessions, Throttles) }

// Config returns what the node is made with.
func (a *App) Config() node.Config {
	return node.Config{Projections: views.All(), Flags: a, Setup: a.setup, Handler: a.handler}
}

var errAPIOpen = errors.New("--api-addr: other machines reach it, and it lets everybody do everything; --api-open says that this is meant")

// setup opens the second address, and makes what log-ins need.
func (a *App) setup(ctx context.Context, n *node.Node) (err error) {
	if a.passwords, err = newPasswords(a.PasswordCost); err != nil {
		return err
	}
	if a.APIAddr == "" {
		return nil
	}
	if a.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", a.APIAddr); err != nil {
		return fmt.Errorf("--api-addr: %w", err)
	}
	n.OnClose(func(context.Context) error { _ = a.listener.Close(); return nil }) //nolint:contextcheck // it has its own
	if at, ok := a.listener.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() && !a.APIOpen {
		return errAPIOpen
	}
	return nil
}

// APIURL returns the base of the command API; empty: there is none.
func (a *App) APIURL() string {
	if a.listener == nil {
		return ""
	}
	return "http://" + a.listener.Addr().String()
}

const (
	formMax   = 16 << 10 // bytes of a form
	headerMax = 10 * time.Second
	idleMax   = 2 * time.Minute
)

// handler returns the pages, and serves the command API on its own address.
func (a *App) handler(n *node.Node, api http.Handler) http.Handler {
	s := newSite(a, n)
	if a.listener != nil {
		server := &http.Server{Handler: pages.ForThisMachine(s.operator(api)), ReadHeaderTimeout: headerMax, IdleTimeout: idleMax}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = server.Serve(a.listener) // until it is closed
		}()
		n.OnClose(func(context.Context) error {
			err := server.Close()
			<-ended
			return err
		})
	}
	return http.MaxBytesHandler(s.routes(), formMax)
}
