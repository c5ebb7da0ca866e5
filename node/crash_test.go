package node_test

import (
	"context"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

const errConnectionRefused = syscall.ECONNREFUSED

const loadedAggregates = 32

// TestNode_Kill9_LosesNothing kills the node at random moments under load and
// starts it again: every acknowledged command is in the history exactly once, at
// the version that was told; every other one at most once.
// GANGLION_KILLS sets how often.
func TestNode_Kill9_LosesNothing(t *testing.T) {
	t.Parallel()
	binary := nodes.Build(t, "../cmd/node")
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		killRepeatedly(t, nodes.Spawn(t, binary, nil))
	})
	t.Run("mongo", func(t *testing.T) {
		t.Parallel()
		uri := testharness.Mongo(t, 3).URI()
		killRepeatedly(t, nodes.Spawn(t, binary, nil, "--mongo-uri", uri, "--lease", "1s"))
	})
}

func killRepeatedly(t *testing.T, p *nodes.Process) {
	seed := testenv.Seed(t)
	l := newLoad(t, seed, p.URL)
	l.open(loadedAggregates)
	stop := inBackground(t.Context(), func(ctx context.Context) { l.run(ctx, 16, loadedAggregates) })
	rnd := rand.New(rand.NewPCG(seed, 1<<32))
	for range testenv.Times(t, "GANGLION_KILLS", 4) {
		wait(t, 200*time.Millisecond+time.Duration(rnd.Int64N(int64(1200*time.Millisecond))))
		p.Kill()
		p.Start(t)
	}
	wait(t, time.Second)
	stop()
	l.check(loadedAggregates)
}

// wait lets the load run for a while.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-t.Context().Done():
		t.Fatal("test ended")
	case <-time.After(d):
	}
}
