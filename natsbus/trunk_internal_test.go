package natsbus

import (
	"context"
	"log/slog"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/pull"
)

// TestTrunk_NextBreaks: a lane has joined, and the source that was opened for it breaks
// before it takes over. The one that follows serves the lane.
func TestTrunk_NextBreaks(t *testing.T) {
	t.Parallel()
	bus := &Bus{cfg: Config{Logger: slog.New(slog.DiscardHandler)}, partitions: 8}
	trunk := newTrunk(bus)
	newcomer := &branch{lane: &durableLane{bus: bus, partition: 3}}
	trunk.branches[newcomer] = struct{}{}
	source := func(reached uint64, members ...*branch) *source {
		s := &source{members: map[actor.Partition][]*branch{3: members}, size: 1, feed: &feed{bus: bus, flow: pull.NewFlow(reached+1, 0, 8)}}
		s.reached.Store(reached)
		return s
	}
	trunk.current = source(100)
	trunk.succeed(opening{source: source(50, newcomer)})
	if trunk.next == nil || newcomer.source.Load() != trunk.next {
		t.Fatal("the source is not the next one: this shows nothing")
	}
	trunk.pending = true // it opens nothing by itself
	trunk.broken(context.Background(), trunk.next, errSilence)
	if trunk.next != nil || newcomer.source.Load() != nil {
		t.Error("the lane still belongs to a source that is gone")
	}
	trunk.succeed(opening{source: source(100, newcomer)})
	if trunk.next != nil || newcomer.source.Load() != trunk.current {
		t.Error("the source that followed does not serve the lane")
	}
	if trunk.current.outdated([]*branch{newcomer}, false) {
		t.Error("another source is wanted still")
	}
}
