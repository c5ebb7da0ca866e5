// Package hotel is the hotel as an application: what its node is made with.
//
// # Concurrency
//
// An [App] belongs to one node.
//
// # Failures
//
// [App.Config] has a Setup that refuses a payment provider without an address.
package hotel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/hotel/domain"
	"github.com/ganglion-go/ganglion/examples/hotel/payments"
	"github.com/ganglion-go/ganglion/examples/hotel/provider"
	"github.com/ganglion-go/ganglion/examples/hotel/views"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/node"
)

// App is the hotel. Its exported fields are flags of the node.
type App struct {
	PaymentsURL string `help:"Address of the payment provider." default:"http://127.0.0.1:8090" env:"HOTEL_PAYMENTS_URL"`
	Desk        bool   `help:"Serve the pages of the front desk, which authenticate nobody." env:"HOTEL_DESK"`
}

// errNoProvider refuses a start.
var errNoProvider = errors.New("--payments-url: an http or https URL is required")

// Config returns what the hotel's node is made with.
func (a *App) Config() node.Config {
	return node.Config{
		Projections: views.All(), Authorize: gateway.AuthorizerFunc(rights),
		Flags: a, Setup: a.setup, Handler: a.handler,
		Commands: []node.Command{{Name: "provider", Help: "Serve a payment provider to try the hotel with.", Args: &providerCommand{}}},
	}
}

func (a *App) setup(_ context.Context, n *node.Node) error {
	u, err := url.Parse(a.PaymentsURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errNoProvider
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute}}
	n.OnClose(func(context.Context) error { client.CloseIdleConnections(); return nil }) //nolint:contextcheck // it has its own
	return n.Handle(domain.ChargeCard.By((&payments.Provider{URL: u, HTTP: client}).Charge))
}

func (a *App) handler(n *node.Node, api http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", api)
	if a.Desk {
		newDesk(n).register(mux)
	}
	return mux
}

// rights says who may do what over HTTP, if the node authenticates (--jwt-issuer and its
// like): staff everything, guests what is their own, and everybody sees which rooms there
// are. Nobody else gets at a command of the sagas: those are internal.
func rights(_ context.Context, a gateway.Access) error {
	who := a.Principal
	switch {
	case who.Name == "": // the node authenticates nobody, and says so in its log
		return nil
	case slices.Contains(who.Strings("roles"), "staff"):
		return nil
	case a.Action == gateway.ActionView && a.Name == views.Calendar.Name():
		return nil
	case a.Action == gateway.ActionCommand && a.Kind == domain.Bookings.Behavior().Kind() && a.Name == "RequestBooking":
		return nil // for themselves, as the booking sees to
	case a.Kind == domain.Guests.Behavior().Kind() && a.ID == who.Name && (a.Action == gateway.ActionState || a.Action == gateway.ActionCommand):
		return nil
	default:
		return gateway.ErrForbidden
	}
}

type providerCommand struct {
	Addr    string        `help:"Address to listen on." default:"127.0.0.1:8090"`
	Delay   time.Duration `help:"Time that each answer takes." default:"100ms"`
	Failing float64       `help:"Share of the calls that fail, 0 to 1." default:"0.2"`
	Limit   int64         `help:"Cents above which cards are declined; 0: none is."`
	File    string        `help:"File that keeps what was charged; without one, it is gone with the process." placeholder:"FILE"`
}

// Run serves until the context ends.
func (c *providerCommand) Run(ctx context.Context) error {
	if c.Failing < 0 || c.Failing > 1 {
		return fmt.Errorf("--failing=%v: 0 to 1 is required: %w", c.Failing, node.ErrConfig)
	}
	p, err := c.open()
	if err != nil {
		return fmt.Errorf("--file: %w", err)
	}
	defer func() { _ = p.Close() }()
	server := &http.Server{Addr: c.Addr, Handler: p, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (c *providerCommand) open() (*provider.Provider, error) {
	cfg := provider.Config{Delay: c.Delay, Failing: c.Failing, Limit: c.Limit, Seed: uint64(time.Now().UnixNano())} //nolint:gosec // what fails need not be secret
	if c.File == "" {
		return provider.New(cfg), nil
	}
	return provider.Open(cfg, c.File)
}

// Definitions returns what the hotel's node serves.
func Definitions() []actor.Registrable { return domain.Definitions() }
