package runtime

import (
	"context"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// snapshotRing is the number of outcomes that a snapshot keeps.
const snapshotRing = 64

// takeSnapshot encodes the live state, which must hold no event that is neither
// durable nor in the batch being submitted, and goes on with what is decoded from it. It
// returns nil if that fails, or if the state does not come back as it was; the next try
// is as far away as the next snapshot would be.
func (a *activation) takeSnapshot() *store.Snapshot {
	if !a.instance.Exists() {
		return nil // nothing but refusals: a snapshot stands for an aggregate that exists
	}
	state, err := a.instance.TakeSnapshot()
	var ring []byte
	if err == nil {
		ring, err = a.ring.encode(snapshotRing, a.instance.RuntimeState())
	}
	if err != nil {
		a.snapshotAt = a.instance.Version()
		a.partition.cfg.Logger.Warn("snapshot not taken", "aggregate", a.address.String(), "error", err)
		if f := a.partition.cfg.Listener.SnapshotSaved; f != nil {
			f(a.behavior.Kind(), 0, err)
		}
		return nil
	}
	return &store.Snapshot{
		Aggregate: store.Aggregate(a.address.String()),
		Version:   store.Version(a.instance.Version()),
		Schema:    a.behavior.Schema(),
		Position:  a.position,
		Time:      a.time,
		State:     state,
		Ring:      ring,
	}
}

// snapshotter writes snapshots in the background. What it has no room for is
// dropped: the next one comes soon.
type snapshotter struct {
	store store.Snapshots
	cfg   *Config
	queue chan offered
}

type offered struct {
	kind     actor.Kind
	snapshot store.Snapshot
}

func newSnapshotter(s store.Snapshots, cfg *Config) *snapshotter {
	return &snapshotter{store: s, cfg: cfg, queue: make(chan offered, 64)}
}

func (s *snapshotter) offer(kind actor.Kind, snapshot store.Snapshot) {
	select {
	case s.queue <- offered{kind, snapshot}:
	default:
	}
}

// run writes one snapshot after the other until ctx ends.
func (s *snapshotter) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-s.queue:
			s.save(ctx, o)
		}
	}
}

func (s *snapshotter) save(ctx context.Context, o offered) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := s.store.SaveSnapshot(ctx, o.snapshot)
	if err != nil {
		s.cfg.Logger.DebugContext(ctx, "snapshot not saved", "aggregate", string(o.snapshot.Aggregate), "error", err)
	}
	if f := s.cfg.Listener.SnapshotSaved; f != nil {
		f(o.kind, len(o.snapshot.State), err)
	}
}
