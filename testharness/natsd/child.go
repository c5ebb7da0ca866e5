package natsd

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// envChild holds the settings of the server that a process is to be.
const envChild = "GANGLION_TESTHARNESS_NATSD"

// lameDuckClosing is how long a server that ends takes to close the clients that
// are left.
const lameDuckClosing = 2 * time.Second

// childSettings is what a server has to know.
type childSettings struct {
	Name        string
	StoreDir    string
	Host        string
	Port        int
	MonitorPort int
	RoutePort   int
	Routes      []string
	ClusterName string
	SyncAlways  bool
	Grace       time.Duration
}

// RunChild makes the process a server if this package has started it as one. It
// returns false at once in any other process, and true when the server has
// ended: the caller then returns from its main.
func RunChild() bool {
	text := os.Getenv(envChild)
	if text == "" {
		return false
	}
	if err := serve(text); err != nil {
		fmt.Fprintln(os.Stderr, "natsd:", err)
		os.Exit(1)
	}
	return true
}

func serve(text string) error {
	var c childSettings
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	s, err := server.NewServer(c.options())
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	s.Start()
	s.WaitForShutdown()
	return nil
}

// options makes a server that dials the routes it is given and no others: it
// advertises an address to the other servers at which nobody listens, so that
// each pair has exactly the one connection that goes through their link.
func (c *childSettings) options() *server.Options {
	opts := &server.Options{
		ServerName: c.Name,
		Host:       c.Host,
		Port:       c.Port,
		HTTPHost:   c.Host,
		HTTPPort:   c.MonitorPort,
		JetStream:  true,
		StoreDir:   c.StoreDir,
		SyncAlways: c.SyncAlways,
		Logtime:    true,
	}
	if c.Grace != 0 {
		opts.LameDuckGracePeriod, opts.LameDuckDuration = c.Grace, c.Grace+lameDuckClosing
	}
	if c.RoutePort != 0 {
		opts.Cluster = server.ClusterOpts{
			Name: c.ClusterName, Host: c.Host, Port: c.RoutePort, Advertise: c.Host + ":1", PoolSize: -1,
		}
		opts.Routes = server.RoutesFromStr(strings.Join(c.Routes, ","))
	}
	return opts
}
