package nodetest

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
)

const (
	anyPort     = "127.0.0.1:0"
	natsAddress = "127.0.0.1:4222" // of the server in the process, which does not listen
)

// network is how the nodes of one cluster reach their NATS server.
type network struct {
	nats  *testharness.NATSServer
	nodes int // that run
}

func newNetwork(nats *testharness.NATSServer) *network { return &network{nats: nats} }

// configured has a node use the network.
func (w *network) configured(cfg node.Config) node.Config {
	dial := cfg.Dial
	if dial == nil {
		var d net.Dialer
		dial = d.DialContext
	}
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == natsAddress {
			return w.nats.InProcessConn()
		}
		return dial(ctx, network, address)
	}
	return cfg
}

// newClient returns a client whose connections end with the test.
func newClient(t testing.TB) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
