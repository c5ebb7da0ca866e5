package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// embeddedMaxPayload is the largest message of the embedded server, in bytes: a
// commit of the JetStream store is one message.
const embeddedMaxPayload = 8 << 20

// startEmbedded starts a NATS server inside the process, reached only from it.
// sync makes it write through to the disk before it acknowledges; without it, a
// crash of the machine (not of the process) can take the last commands with it.
func startEmbedded(dir string, sync bool) (*server.Server, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "embedded",
		DontListen: true,
		JetStream:  true,
		StoreDir:   filepath.Join(dir, "nats"),
		SyncAlways: sync,
		MaxPayload: embeddedMaxPayload,
		MaxPending: 256 << 20,
		NoSigs:     true,
		NoLog:      true,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded NATS server: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		s.Shutdown()
		return nil, errors.New("embedded NATS server: not ready within 30s")
	}
	return s, nil
}

// natsConnectTimeout bounds a dial of NATS.
const natsConnectTimeout = 5 * time.Second

// dialFunc is a function as the dialer of nats.go.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Dial calls the function.
func (f dialFunc) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), natsConnectTimeout) //nolint:forbidigo // nats.go gives none
	defer cancel()
	return f(ctx, network, address)
}

// connect opens the connection that bus, client and store share.
func connect(s *settings, embedded *server.Server) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.Name("ganglion " + s.Name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.PingInterval(10 * time.Second),
		nats.RetryOnFailedConnect(false),
		nats.Timeout(natsConnectTimeout),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.Logger.Warn("nats", "error", err)
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				s.Logger.Warn("nats disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			s.Logger.Info("nats reconnected", slog.String("server", nc.ConnectedServerName()))
		}),
	}
	url := s.NATSURL
	if embedded != nil {
		url = ""
		opts = append(opts, nats.InProcessServer(embedded))
	}
	if s.Dial != nil && embedded == nil {
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
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return nc, nil
}
