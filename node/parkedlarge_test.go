package node_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// stuff is a command of a purse that may be large, and panics while it is broken.
type stuff struct {
	actor.Replies[int]
	Text string `json:"text"`
}

// A command is parked however large it is: nothing that NATS carries stops its
// aggregate, or its partition, in this life of the node or the next.
func TestNode_ParksLargeCommands(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"jetstream", "mongodb"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			var broken atomic.Bool
			broken.Store(true)
			from := actor.Define("purse", func(d *actor.Definition[purse]) {
				actor.On(d, (*purse).payIn)
				actor.Apply(d, (*purse).paidIn)
				actor.On(d, func(_ *purse, _ *actor.Context, c stuff) (int, error) {
					if broken.Load() {
						panic("it is stuffed")
					}
					return len(c.Text), nil
				})
			})
			server := testharness.NATS(t, testharness.WithListener())
			cfg := node.Config{NATSURL: server.URL(), Partitions: 1, DataDir: testharness.TempDir(t)}
			if store == "mongodb" {
				cfg.MongoURI, cfg.MongoDatabase = testharness.SharedMongo(t, 1).URI(), testharness.DatabaseName(t)
			}
			n := nodes.Start(t, cfg, from)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			large := stuff{Text: strings.Repeat("x", 1<<20-4<<10)} // a server carries 1 MiB, headers included
			if _, err := actor.Ask(ctx, n.Client(), from.ID("a"), large, actor.WithCommandID("large")); err == nil || !strings.Contains(err.Error(), string(actor.CodeParked)) {
				t.Fatalf("the large command: %v", err)
			}
			pay := func(n *nodes.Local) {
				t.Helper()
				for _, id := range []string{"a", "other"} {
					if _, err := actor.Ask(ctx, n.Client(), from.ID(id), payIn{Cents: 1}); err != nil {
						t.Errorf("%s: %v", id, err)
					}
				}
			}
			pay(n)
			n.Stop(t)
			n = nodes.Start(t, cfg, from)
			pay(n)
			if metrics := adminCall(t, http.MethodGet, n.AdminURL()+"/metrics", http.StatusOK); !strings.Contains(metrics, "\nganglion_parked 1\n") {
				t.Error("ganglion_parked is not 1")
			}
			broken.Store(false)
			if answer := adminCall(t, http.MethodPost, n.AdminURL()+"/parked/retry?aggregate=purse/a&id=large", http.StatusOK); !strings.Contains(answer, "finished") {
				t.Errorf("retry: %s", answer)
			}
			if shown := adminCall(t, http.MethodGet, n.AdminURL()+"/parked", http.StatusOK); strings.Contains(shown, "large") {
				t.Errorf("parked: %s", shown)
			}
		})
	}
}
