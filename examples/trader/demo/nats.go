package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	natsStartMax = 30 * time.Second
	// What a node asks of its NATS servers, see docs/deploy.md.
	natsPayload = 8 << 20
	natsPending = 256 << 20
)

// NATS is the subcommand that runs a NATS server with JetStream.
type NATS struct {
	Name        string   `required:"" help:"Unique name of the server."`
	Addr        string   `default:"127.0.0.1:4222" help:"Address for clients." placeholder:"HOST:PORT"`
	MonitorAddr string   `help:"Address of its monitoring pages. Default: it has none." placeholder:"HOST:PORT"`
	ClusterAddr string   `help:"Address for the other servers. Default: it is alone." placeholder:"HOST:PORT"`
	Routes      []string `help:"Cluster addresses of the other servers, or of all." placeholder:"HOST:PORT,..."`
	DataDir     string   `required:"" type:"path" help:"Folder of its streams."`
	SecretFile  string   `type:"path" help:"File with the secret that servers show each other, and clients give as their token. Required for addresses that other machines reach." placeholder:"FILE"`
}

// ErrUsage marks flags that cannot be.
var ErrUsage = errors.New("invalid flags")

// Run serves until ctx ends.
func (c *NATS) Run(ctx context.Context) error {
	o, err := c.options()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(natsStartMax) {
		return errNATSStart
	}
	<-ctx.Done()
	return nil
}

var (
	errNATSStart = errors.New("the server does not come up, see its log")
	errNoSecret  = errors.New("--secret-file is required: other machines reach the server")
)

func (c *NATS) options() (*server.Options, error) {
	o := &server.Options{
		ServerName: c.Name, JetStream: true, StoreDir: c.DataDir, NoSigs: true, Logtime: true,
		MaxPayload: natsPayload, MaxPending: natsPending,
	}
	var err error
	if o.Host, o.Port, err = hostPort("--addr", c.Addr); err != nil {
		return nil, err
	}
	if c.MonitorAddr != "" {
		if o.HTTPHost, o.HTTPPort, err = hostPort("--monitor-addr", c.MonitorAddr); err != nil {
			return nil, err
		}
	}
	secret := ""
	if c.SecretFile != "" {
		data, err := os.ReadFile(c.SecretFile)
		if err != nil {
			return nil, err
		}
		secret = strings.TrimSpace(string(data))
	}
	if secret == "" && (!isLoopback(c.Addr) || !isLoopback(c.ClusterAddr)) {
		return nil, errNoSecret
	}
	o.Authorization = secret
	return o, c.cluster(o, secret)
}

func (c *NATS) cluster(o *server.Options, secret string) (err error) {
	if c.ClusterAddr == "" {
		return nil
	}
	o.Cluster = server.ClusterOpts{Name: "trader"}
	if o.Cluster.Host, o.Cluster.Port, err = hostPort("--cluster-addr", c.ClusterAddr); err != nil {
		return err
	}
	if secret != "" {
		o.Cluster.Username, o.Cluster.Password = "route", secret
	}
	for _, one := range c.Routes {
		if _, _, err := hostPort("--routes", one); err != nil {
			return err
		}
		route := &url.URL{Scheme: "nats-route", Host: one}
		if secret != "" {
			route.User = url.UserPassword("route", secret)
		}
		o.Routes = append(o.Routes, route)
	}
	return nil
}

func hostPort(flag, addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("%s=%s: host:port is required", flag, addr)
	}
	return host, port, nil
}

// isLoopback reports whether no other machine reaches an address; so is none at all.
func isLoopback(addr string) bool {
	if addr == "" {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}
