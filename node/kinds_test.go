package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// TestNode_OtherKinds_EndsWithBothLists: a second service in the namespace of the first
// one ends with the kinds of both, and the first one goes on.
func TestNode_OtherKinds_EndsWithBothLists(t *testing.T) {
	t.Parallel()
	nats := testharness.NATS(t, testharness.WithListener())
	n := nodes.Start(t, node.Config{Name: "first", NATSURL: nats.URL(), Partitions: 8}, gauges(nil))
	other, err := node.Open(t.Context(), node.Config{
		Name: "second", NATSURL: nats.URL(), Partitions: 8, DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
	}, towers(false, false))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err = other.Run(ctx)
	if !errors.Is(err, runtime.ErrKindsDiffer) || !strings.Contains(err.Error(), "[gauge]") || !strings.Contains(err.Error(), "[tower]") {
		t.Errorf("error %v", err)
	}
	c := caller{t, n.URL()}
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		c.expect("a command", c.post("/v1/gauge/"+id+"/Raise", `{"by":1}`), 200, "")
	}
}
