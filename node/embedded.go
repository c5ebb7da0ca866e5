package node

import (
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// embeddedMaxPayload is the largest message of the embedded server, in bytes: a
	// commit of the JetStream store is one message.
	embeddedMaxPayload = 8 << 20

	// Clients of an embedded server that leaves have lameDuckGrace to go by
	// themselves, and the rest of lameDuckDuration until the last is closed.
	lameDuckGrace    = 2 * time.Second
	lameDuckDuration = 4 * time.Second

	// embeddedMaxStore is what the embedded server may store, in bytes: as much as the
	// disk holds. Its own default is a share of what is free when it starts, which
	// would refuse everything for ever after a start on a full disk, and with less
	// than the command stream's bound would refuse to make that stream.
	embeddedMaxStore = 1 << 53

	// tlsTimeout bounds a TLS handshake of the embedded server, in seconds.
	tlsTimeout = 5

	// routeUser is the user as which embedded servers log in at each other.
	routeUser = "ganglion"
	// systemUser is this process in the system account.
	systemUser = "ganglion-system"
)

// embeddedOptions makes a server that nobody but this process reaches, or that
// listens where the settings say. One in a cluster must listen for clients in any
// case (nats-server starts its routes and its lame duck mode with that listener):
// without --nats-client-addr on a port of the loopback interface that is told to
// nobody, behind a token that only this process has.
func embeddedOptions(s *settings, id *identity) (*server.Options, error) {
	dir, err := embeddedDir(s)
	if err != nil {
		return nil, err
	}
	opts := &server.Options{
		ServerName: "embedded",
		DontListen: true,
		JetStream:  true,
		StoreDir:   dir,
		SyncAlways: s.embeddedStore(),

		JetStreamMaxStore: embeddedMaxStore,
		MaxPayload:        embeddedMaxPayload,
		MaxPending:        256 << 20,
		NoSigs:            true,
		NoLog:             true,

		LameDuckDuration:    lameDuckDuration,
		LameDuckGracePeriod: lameDuckGrace,
	}
	if s.NATSClusterAddr == "" && s.NATSClientAddr == "" {
		return opts, nil
	}
	opts.DontListen, opts.NoLog = false, false
	opts.Host, opts.Port = "127.0.0.1", server.RANDOM_PORT
	if s.NATSClientAddr != "" {
		opts.Host, opts.Port = listenAddress(s.NATSClientAddr)
	}
	var secured *tls.Config // nil without the TLS flags
	if id != nil {
		secured = id.tlsConfig()
	}
	if s.NATSClientAddr != "" && secured != nil {
		opts.TLSConfig, opts.TLSVerify, opts.TLSTimeout = secured, true, tlsTimeout
	}
	if s.clustered() {
		opts.ServerName = s.Name
		opts.Cluster = clusterOptions(s, secured)
		opts.Routes = s.routes
	}
	return opts, nil
}

// clusterOptions are those of the routes. The name of the cluster is the
// namespace: servers with another one are refused.
func clusterOptions(s *settings, secured *tls.Config) server.ClusterOpts {
	cluster := server.ClusterOpts{Name: s.Namespace, NoAdvertise: s.NATSClientAddr == ""}
	cluster.Host, cluster.Port = listenAddress(s.NATSClusterAddr)
	if s.secret != "" {
		cluster.Username, cluster.Password = routeUser, s.secret
	}
	if secured != nil {
		cluster.TLSConfig, cluster.TLSTimeout = secured.Clone(), tlsTimeout
	}
	return cluster
}

// listenAddress splits an address that was checked. Port 0 is any port.
func listenAddress(addr string) (host string, port int) {
	host, text, _ := net.SplitHostPort(addr)
	port, _ = strconv.Atoi(text)
	if host == "" {
		host = "0.0.0.0"
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port
}

// ErrOtherServer says that the data folder is of the other kind of embedded
// server: of one alone, or of one in a cluster.
var ErrOtherServer = errors.New("data folder of another kind of NATS server")

// embeddedDir is where the server keeps its streams. A server alone and one in a
// cluster do not share a folder: the first thing that a cluster would do with the
// streams of a server alone is to delete them, since the cluster knows of none.
//
// Nor do nodes on different stores: the streams are what one store has and has not taken
// in. On another one, all commands that are still in the stream would be executed again.
func embeddedDir(s *settings) (string, error) {
	of := ""
	if !s.embeddedStore() {
		of = "-mongo-" + url.PathEscape(s.MongoDatabase)
	}
	own, other := filepath.Join(s.DataDir, "nats"+of), filepath.Join(s.DataDir, "nats-cluster"+of)
	if s.clustered() {
		own, other = other, own
	}
	_, err := os.Stat(other)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return own, nil
	case err != nil:
		return "", fmt.Errorf("data folder: %w", err)
	case s.clustered():
		return "", fmt.Errorf(s.say("%s has streams of a server without a cluster; give another ${DataDir}: %w: %w"), other, ErrOtherServer, ErrConfig)
	default:
		return "", fmt.Errorf(s.say("%s has streams of a cluster; give ${NATSClusterAddr}, or another ${DataDir}: %w: %w"), other, ErrOtherServer, ErrConfig)
	}
}

// gate lets clients in: this process, and others with the secret, or all where
// only TLS or the loopback interface is between them and the server.
type gate struct {
	own, secret string
	open        bool

	system string                // the token for NATS's system account
	server func() *server.Server // that asks
}

// Check implements [server.Authentication].
func (g *gate) Check(c server.ClientAuthentication) bool {
	token := c.GetOpts().Token
	if g.system != "" && matches(token, g.system) {
		c.RegisterUser(&server.User{Username: systemUser, Account: g.server().SystemAccount()})
		return true
	}
	return g.open || matches(token, g.own) || g.secret != "" && matches(token, g.secret)
}

func matches(got, want string) bool {
	return subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}
