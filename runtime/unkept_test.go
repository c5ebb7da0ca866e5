package runtime_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// stamp promotes the MarshalJSON of its embedded field, so that JSON loses the rest.
type stamp struct {
	time.Time
	Total int
}

// TestNode_LogsStatesWithoutSnapshots: a state that JSON cannot hold is served, without
// snapshots, and one line at the start says so.
func TestNode_LogsStatesWithoutSnapshots(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stamps := actor.Define("stamp", func(d *actor.Definition[stamp]) { actor.Apply(d, func(s *stamp, e added) { s.Total++ }) })
		var log bytes.Buffer
		s := newSetup(t, nil, func(c *runtime.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }, counters(nil), stamps)
		_ = s.node.Close()
		lines := 0
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "no snapshots") {
				lines++
				if !strings.Contains(line, "kind=stamp") || !strings.Contains(line, "MarshalJSON of its embedded field Time") {
					t.Errorf("the log does not name the kind and the field: %s", line)
				}
			}
		}
		if lines != 1 {
			t.Errorf("%d lines on snapshots:\n%s", lines, log.String())
		}
	})
}

// shelf is a state that does not come back from JSON when its map is empty.
type shelf struct {
	Labels map[string]string `json:",omitempty"`
	Count  int
}

// TestNode_LossySnapshot_NotTaken: a state that would not come back from its snapshot as it
// is has none. The listener says so once for each that would be due, and the log once in a
// while.
func TestNode_LossySnapshot_NotTaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const every, commands = 4, 17
		shelves := actor.Define("shelf", func(d *actor.Definition[shelf]) {
			actor.On(d, func(s *shelf, ctx *actor.Context, a add) (int64, error) {
				ctx.Raise(added{N: a.N})
				return int64(s.Count), nil
			})
			actor.Apply(d, func(s *shelf, e added) {
				if s.Labels == nil {
					s.Labels = map[string]string{}
				}
				s.Count++
			})
			d.SnapshotEvery(every)
		})
		var log bytes.Buffer
		var failed atomic.Int64
		s := newSetup(t, nil, func(c *runtime.Config) {
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			c.Listener.SnapshotSaved = func(_ actor.Kind, _ int, err error) {
				if err != nil {
					failed.Add(1)
				}
			}
		}, shelves)
		to := shelves.ID("s")
		for range commands {
			m := s.message("s", "add", add{N: 1})
			m.Target = to
			s.want(s.ask(m), actor.CodeOK)
		}
		_ = s.node.Close()
		if _, found, err := s.store.LoadSnapshot(t.Context(), store.Aggregate(to.String()), shelves.Behavior().Schema()); found || err != nil {
			t.Errorf("there is a snapshot: %v, %v", found, err)
		}
		if n := strings.Count(log.String(), "state.Labels comes back as another value"); n != 1 || failed.Load() != commands/every {
			t.Errorf("%d lines, want 1; %d reports, want %d:\n%s", n, failed.Load(), commands/every, log.String())
		}
	})
}
