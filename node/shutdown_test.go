package node_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// TestNode_Shutdown_WaitsForNobody: clients that do not send their bodies or do not read
// their answers leave the other phases of the end their time.
func TestNode_Shutdown_WaitsForNobody(t *testing.T) {
	t.Parallel()
	n := nodes.Start(t, node.Config{Partitions: 4}, gauges(nil))
	for _, request := range []string{
		"POST /v1/gauge/a/Raise?timeout=60s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
		"POST /v1/none/a/Raise?timeout=60s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
		"GET /v1/gauge/a/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", n.HTTPAddr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = fmt.Fprint(conn, request)
	}
	c := caller{t, n.URL()}
	c.expect("meanwhile", c.post("/v1/gauge/a/Raise", `{"by":1}`), 200, "")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	start := time.Now()
	if err := n.Shutdown(ctx); err != nil || time.Since(start) > 15*time.Second {
		t.Errorf("shut down after %v: %v", time.Since(start), err)
	}
}
