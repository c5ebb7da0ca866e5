package runtime_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

// unsnapped is a store that takes no snapshots as long as it is told so.
type unsnapped struct {
	*memory.Store
	refuses atomic.Bool
}

func (u *unsnapped) SaveSnapshot(ctx context.Context, s store.Snapshot) error {
	if u.refuses.Load() {
		return store.ErrTooLarge
	}
	return u.Store.SaveSnapshot(ctx, s)
}

// logOf makes a logger for people and what it has written.
func logOf(c *runtime.Config) func() string {
	var mu sync.Mutex
	var text strings.Builder
	c.Logger = slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return text.Write(p)
	}), nil))
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return text.String()
	}
}

// TestNode_Snapshot_ThatFails_IsSeen: in the log, once in a while, and in the status
// until one succeeds, or the partition is left.
func TestNode_Snapshot_ThatFails_IsSeen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		u := &unsnapped{Store: memory.New()}
		u.refuses.Store(true)
		var log func() string
		s := newSetup(t, u, func(c *runtime.Config) { log = logOf(c) }, counters(nil, func(d *actor.Definition[counter]) { d.SnapshotEvery(5) }))
		grow := func(id string, failing int) {
			t.Helper()
			for range 10 {
				s.want(s.add(id, 1), actor.CodeOK)
			}
			s.eventually("the status says how many snapshots fail", func() bool { return s.node.Status().SnapshotsFailing == failing })
		}
		grow("a", 1)
		s.pause(2 * time.Second)
		grow("a", 1)
		if n := strings.Count(log(), "no snapshot"); n != 1 || !strings.Contains(log(), "level=WARN") || !strings.Contains(log(), "counter/a") {
			t.Errorf("%d lines:\n%s", n, log())
		}
		grow("b", 2)
		if !strings.Contains(log(), "counter/b") {
			t.Errorf("nothing of the second one:\n%s", log())
		}
		s.pause(11 * time.Minute)
		grow("a", 2)
		if n := strings.Count(log(), "no snapshot"); n != 3 {
			t.Errorf("%d lines after a while:\n%s", n, log())
		}
		u.refuses.Store(false)
		grow("a", 1)
		grow("b", 0)
		if v := s.snapshot("b").Version; v == 0 {
			t.Error("no snapshot of b")
		}
	})
}

// sealed has a state that cannot be written as JSON.
type sealed struct{ N int64 }

func (*sealed) MarshalJSON() ([]byte, error) { return nil, errSealed }
func (*sealed) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, new(int)) }

var errSealed = errors.New("sealed")

// TestNode_Snapshot_ThatCannotBeTaken_IsSeen, and is not tried with every commit.
func TestNode_Snapshot_ThatCannotBeTaken_IsSeen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const every, events = 10, 100
		var tries atomic.Int64
		var log func() string
		s := newSetup(t, nil, func(c *runtime.Config) {
			log = logOf(c)
			c.Listener.SnapshotSaved = func(_ actor.Kind, _ int, err error) {
				if !errors.Is(err, errSealed) {
					t.Errorf("a snapshot of a sealed state: %v", err)
				}
				tries.Add(1)
			}
		}, actor.Define("counter", func(d *actor.Definition[sealed]) {
			actor.On(d, func(s *sealed, ctx *actor.Context, a add) (int64, error) { ctx.Raise(added{N: a.N}); return s.N, nil })
			actor.Apply(d, func(s *sealed, e added) { s.N += e.N })
			d.SnapshotEvery(every)
		}))
		for range events {
			s.want(s.add("a", 1), actor.CodeOK)
		}
		if n := tries.Load(); n == 0 || n > events/every {
			t.Errorf("tried %d times", n)
		}
		if s.node.Status().SnapshotsFailing != 1 || !strings.Contains(log(), errSealed.Error()) {
			t.Errorf("status %+v, log:\n%s", s.node.Status(), log())
		}
	})
}
