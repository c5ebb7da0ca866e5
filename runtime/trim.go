package runtime

import (
	"context"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// heldBackEvery is the number of trimmings between two that go partition by
// partition, each of which has the server look at the whole stream.
const heldBackEvery = 6

// trimming is what the watermarks loop remembers of the trimming.
type trimming struct {
	stream string        // the one that upTo is of
	last   time.Duration // Clock.Elapsed of the last round
	upTo   uint64        // what the last one removed
	round  int           // counts those in which a partition held the others back
}

// due reports whether it is time to trim, and then counts from now.
func (t *trimming) due(now, every time.Duration) bool {
	if now-t.last < every {
		return false
	}
	t.last = now
	return true
}

// trim removes what all partitions have finished from the command stream. The
// owner of partition 0 does it for all, by the saved watermarks: to remove the
// messages below one sequence costs the server little, to remove those of each
// partition costs it a look at all of the stream, each time.
func (in *incarnation) trim(ctx context.Context, t *trimming) {
	first := in.partition(0)
	if first == nil {
		return
	}
	if t.stream != first.stream {
		*t = trimming{stream: first.stream, last: t.last}
	}
	ctx, cancel := context.WithTimeout(ctx, in.cfg.WriteTimeout)
	defer cancel()
	claims, err := in.store.Claims(ctx)
	if err != nil {
		in.cfg.Logger.DebugContext(ctx, "commands not trimmed", "error", err)
		return
	}
	lowest, highest := finished(claims, t.stream, in.bus.Partitions())
	if lowest > t.upTo {
		if err := in.bus.Trim(ctx, t.stream, lowest); err != nil {
			in.cfg.Logger.DebugContext(ctx, "commands not trimmed", "error", err)
			return
		}
		t.upTo = lowest
	}
	// One partition that is behind, because a command of it is stuck or nobody owns
	// it, must not fill the stream for all.
	if highest-lowest > uint64(in.cfg.TrimAhead) {
		if t.round++; t.round%heldBackEvery == 1 {
			in.trimEach(ctx, claims, t.stream, lowest)
		}
	}
}

// finished returns the lowest of the partitions' watermarks in a stream, 0 when
// one of them has none there, and the highest.
func finished(claims []store.Claim, stream string, partitions actor.Partitions) (lowest, highest uint64) {
	known := map[store.Partition]uint64{}
	for _, c := range claims {
		if c.Watermark.Stream == stream {
			known[c.Partition] = c.Watermark.Sequence
			highest = max(highest, c.Watermark.Sequence)
		}
	}
	lowest = highest
	for p := range partitions {
		lowest = min(lowest, known[store.Partition(p)])
	}
	return lowest, highest
}

// trimEach removes what each partition has finished that is well above the lowest.
func (in *incarnation) trimEach(ctx context.Context, claims []store.Claim, stream string, lowest uint64) {
	for _, c := range claims {
		if w := c.Watermark; w.Stream != stream || w.Sequence < lowest+uint64(in.cfg.TrimAhead)/2 {
			continue
		}
		if err := in.bus.TrimPartition(ctx, actor.Partition(c.Partition), stream, c.Watermark.Sequence); err != nil {
			in.cfg.Logger.DebugContext(ctx, "commands not trimmed", "partition", uint32(c.Partition), "error", err)
			return
		}
	}
}
