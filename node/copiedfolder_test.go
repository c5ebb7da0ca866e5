package node_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// copyFolder copies a data folder as cp -r does.
func copyFolder(t *testing.T, from string) (to string) {
	t.Helper()
	to = filepath.Join(testharness.TempDir(t), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// mustEnd runs a node that is to end by itself, because somebody else has its name.
func mustEnd(t *testing.T, who string, cfg node.Config) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cfg.HTTPAddr, cfg.AdminAddr = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	n, err := node.Open(ctx, cfg, gauges(nil))
	if err != nil {
		t.Fatalf("%s: open: %v", who, err)
	}
	defer func() { _ = n.Close() }()
	err = n.Run(ctx)
	if !errors.Is(err, runtime.ErrNameInUse) || !strings.Contains(err.Error(), cfg.DataDir) {
		t.Errorf("%s: ended with %v, want one that names the data folder", who, err)
	}
}

// TestNode_CopiedDataFolder: of two nodes with the same data folder, one of them a copy,
// the one that comes later ends and says why, whichever that is, and the other one keeps
// its session.
func TestNode_CopiedDataFolder(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(t *testing.T) node.Config{
		"jetstream": func(t *testing.T) node.Config {
			return node.Config{NATSURL: testharness.NATS(t, testharness.WithListener()).URL()}
		},
		"mongo, embedded NATS": func(t *testing.T) node.Config {
			return node.Config{MongoURI: testharness.SharedMongo(t, 1).URI(), MongoDatabase: testharness.DatabaseName(t)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			cfg.Partitions, cfg.Lease = 8, time.Second
			original := cfg
			original.DataDir = testharness.TempDir(t)
			first := nodes.Start(t, original, gauges(nil))
			lives := func(who string, n *nodes.Local, since string) {
				t.Helper()
				caller{t, n.URL()}.expect(who, caller{t, n.URL()}.post("/v1/gauge/a/Raise", `{"by":1}`), 200, "")
				if is := n.Status().Incarnation; is != since {
					t.Errorf("%s: session %s has become %s", who, since, is)
				}
			}
			session := first.Status().Incarnation
			copied := cfg
			copied.DataDir = copyFolder(t, original.DataDir) // of a node that runs
			mustEnd(t, "the copy of a node that runs", copied)
			lives("the original beside its copy", first, session)

			first.Stop(t)
			second := nodes.Start(t, copied, gauges(nil))
			session = second.Status().Incarnation
			mustEnd(t, "the original, beside a copy that runs", original)
			lives("the copy beside its original", second, session)
			second.Stop(t)
		})
	}
}
