package runtime_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
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
