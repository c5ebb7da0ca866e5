package node

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// natsConnectTimeout bounds a dial of NATS.
	natsConnectTimeout = 5 * time.Second

	// moveWithin is the time within which a node leaves a server that has said that
	// it ends, at random, so that its clients do not all come to the others at once.
	moveWithin = 500 * time.Millisecond
	// moveFlush bounds the wait for what is under way to the server.
	moveFlush = time.Second
)

// dialFunc is a function as the dialer of nats.go.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Dial calls the function.
func (f dialFunc) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), natsConnectTimeout) //nolint:forbidigo // nats.go gives none
	defer cancel()
	return f(ctx, network, address)
}

// connect opens the connection that bus, client and store share. Errors
// wrap [ErrNATSRefused], [ErrNATSUntrusted], [ErrNATSUnreachable] or [ErrCertificate].
func connect(s *settings, e *embedded, gone *goneConn) (*nats.Conn, error) {
	opts := append(commonOptions(s), nats.ClosedHandler(gone.closed))
	if e != nil {
		opts = append(opts, nats.InProcessServer(e), nats.Token(e.token), nats.IgnoreDiscoveredServers())
		return connected(nats.Connect("", opts...))
	}
	if err := clientFilesFault(s); err != nil {
		return nil, errors.Join(err, ErrConfig)
	}
	opts = append(opts, nats.LameDuckModeHandler(func(nc *nats.Conn) { move(s.Logger, nc) }))
	if s.Dial != nil {
		opts = append(opts, nats.SetCustomDialer(dialFunc(s.Dial)))
	}
	if s.NATSCreds != "" {
		opts = append(opts, nats.UserCredentials(s.NATSCreds))
	}
	if s.NATSTLSCA != "" {
		opts = append(opts, nats.RootCAs(s.NATSTLSCA))
	}
	if s.NATSTLSCert != "" {
		opts = append(opts, nats.ClientCert(s.NATSTLSCert, s.NATSTLSKey))
	}
	nc, err := connected(nats.Connect(s.NATSURL, opts...))
	if errors.Is(err, ErrNATSUntrusted) {
		err = errors.Join(err, clientCertificateEnd(s, time.Now()))
	}
	return nc, err
}

func connected(nc *nats.Conn, err error) (*nats.Conn, error) {
	if err != nil {
		return nil, connectError(err)
	}
	return nc, nil
}

func commonOptions(s *settings) []nats.Option {
	var faults, cuts rationed
	return []nats.Option{
		nats.Name("ganglion " + s.Name),
		nats.MaxReconnects(-1),
		// Credentials that are refused today may be accepted tomorrow: they are put back,
		// or replaced in their file, which is read for each try.
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.PingInterval(10 * time.Second),
		nats.RetryOnFailedConnect(false),
		nats.Timeout(natsConnectTimeout),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if tell, before := faults.next(time.Now()); tell {
				s.Logger.Warn("nats", "error", err, "not_told", before)
			}
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if tell, before := cuts.next(time.Now()); tell && err != nil {
				s.Logger.Warn("nats disconnected", "error", err, "not_told", before)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			s.Logger.Info("nats reconnected", slog.String("server", nc.ConnectedServerName()))
		}),
	}
}

// move leaves a server that has announced its end for another one. nats.go itself
// would stay until it is closed, in the middle of whatever it does then, and after
// the server has given up what it held for this client. The order:
//
//	server                            this node
//	gives away what it leads, ends
//	its JetStream
//	tells its clients             ->  waits a little, at random
//	                                  has what it has sent confirmed: all answers
//	                                  up to here have arrived
//	                                  connects elsewhere, subscribes anew
//	still passes messages on,
//	closes who is left after
//	its grace period
//
// What others send to this node between the confirmation and the subscriptions is
// lost, and sent again under the same ids by whoever waits for it.
func move(logger *slog.Logger, nc *nats.Conn) {
	from := nc.ConnectedServerName()
	logger.Info("nats server announces its end, moving to another one", slog.String("server", from))
	time.AfterFunc(rand.N(moveWithin), func() {
		if nc.ConnectedServerName() != from {
			return // closed in the meantime: it is elsewhere already, or on its way
		}
		// Whether or not the server confirms it: it will be gone soon.
		_ = nc.FlushTimeout(moveFlush)
		if err := nc.ForceReconnect(); err != nil {
			logger.Warn("nats server announced its end", slog.String("server", from), slog.Any("error", err))
		}
	})
}
