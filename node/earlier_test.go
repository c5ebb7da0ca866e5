package node_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

type note struct{ Lines int }

type noteLine struct{ actor.Replies[int] }

type noted struct{}

func notes() *actor.Aggregate[note] {
	return actor.Define("note", func(d *actor.Definition[note]) {
		actor.On(d, func(n *note, ctx *actor.Context, _ noteLine) (int, error) {
			ctx.Raise(noted{})
			return n.Lines, nil
		})
		actor.Apply(d, func(n *note, _ noted) { n.Lines++ })
	})
}

// earlierCluster is a namespace as nodes of a build before the runtime's own subjects
// have left it, with a command that waits, and a session that one of them keeps up until
// stop is called; then it stays as that of a node which was killed.
func earlierCluster(t *testing.T, server *testharness.NATSServer) (stop func()) {
	t.Helper()
	nc := server.Connect(t)
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	_, err = js.CreateStream(t.Context(), natsjs.StreamConfig{
		Name: "ganglion_COMMANDS", Subjects: []string{"ganglion.cmd.*.*"},
		SubjectTransform: &natsjs.SubjectTransformConfig{
			Source: "ganglion.cmd.*.*", Destination: "ganglion.cmd.{{partition(4,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}",
		},
		Storage: natsjs.FileStorage, Discard: natsjs.DiscardNew, MaxBytes: 1 << 20, AllowDirect: true,
		Metadata: map[string]string{"ganglion.format": "1", "ganglion.partitions": "4", "ganglion.incarnation": "made-by-hand"},
	})
	if err != nil {
		t.Fatal(err)
	}
	waits := nats.NewMsg("ganglion.cmd.note.n-1")
	waits.Header = nats.Header{"Gn-Id": {"k-1"}, "Gn-Name": {"noteLine"}, "Gn-Time": {"1"}}
	if _, err := nc.RequestMsg(waits, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	leases, err := jetstream.Open(t.Context(), nc, jetstream.Config{Namespace: "ganglion"})
	if err != nil {
		t.Fatal(err)
	}
	session := store.Session{Name: "earlier-1", Incarnation: "i-1", Build: "earlier", Kinds: []string{"note"}, Lease: time.Second, Beat: 1}
	if err := leases.OpenSession(t.Context(), session, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if leases.Renew(ctx, session) == nil {
					session.Beat++
				}
			}
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// TestNode_BesideAnEarlierBuild_RefusesToStart: its nodes would not see what this build
// sends, and their watermarks would pass over it. Once they are gone, the next start
// brings the stream into the present form, and what waited in it is executed.
func TestNode_BesideAnEarlierBuild_RefusesToStart(t *testing.T) {
	t.Parallel()
	server := testharness.NATS(t, testharness.WithListener())
	stop := earlierCluster(t, server)
	cfg := node.Config{
		NATSURL: server.URL(), Partitions: 4, Lease: time.Second, HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
		DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler),
	}
	n, err := node.Open(t.Context(), cfg, notes())
	if err == nil {
		_ = n.Close()
	}
	if !errors.Is(err, node.ErrEarlierNodes) || !strings.Contains(err.Error(), "earlier-1") {
		t.Fatalf("beside a node of an earlier build: %v", err)
	}
	stop()
	started := nodes.Start(t, cfg, notes())
	testharness.Eventually(t, 20*time.Second, func() bool {
		res, err := http.Get(started.URL() + "/v1/note/n-1")
		if err != nil {
			return false
		}
		defer func() { _ = res.Body.Close() }()
		return res.StatusCode == http.StatusOK && res.Header.Get("ETag") == `"1"`
	})
}
