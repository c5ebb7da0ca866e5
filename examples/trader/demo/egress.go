package demo

import (
	"context"
	"net"
	"os"

	"github.com/ganglion-go/ganglion/testharness/netproxy"
)

// envEgress names the way out of a child's network, which its parent can cut.
const envEgress = "TRADER_DEMO_EGRESS"

// Dial returns how a node that a [Demo] has started connects to NATS and to MongoDB: over
// its parent, which can cut it off. It returns nil in one that was started by hand.
func Dial() func(ctx context.Context, network, address string) (net.Conn, error) {
	egress := os.Getenv(envEgress)
	if egress == "" {
		return nil
	}
	return netproxy.DialThrough(egress)
}
