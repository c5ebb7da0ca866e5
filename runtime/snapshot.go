package runtime

import (
	"context"
	"log/slog"
	"maps"
	"sync"
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
	state, err := a.instance.TakeSnapshot()
	var ring []byte
	if err == nil {
		ring, err = a.ring.encode(snapshotRing, a.instance.RuntimeState())
	}
	if err != nil {
		a.snapshotAt = a.instance.Version()
		a.partition.snapshots.ended(a.address, a.partition.id, 0, err)
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
// dropped: the next one comes soon. It knows of which aggregates the newest snapshot
// could not be taken or saved: they take longer and longer to load, and people should
// see that.
type snapshotter struct {
	store store.Snapshots
	cfg   *Config
	queue chan offered

	mu      sync.Mutex
	failing map[actor.Address]failedSnapshot // at most failingMax
	logged  time.Duration                    // Clock.Elapsed of the last line; 0: none
}

type offered struct {
	address   actor.Address
	partition actor.Partition
	snapshot  store.Snapshot
}

type failedSnapshot struct {
	partition actor.Partition
	logged    time.Duration // 0: not yet
}

const (
	failingMax = 10_000
	// While a store fails, every snapshot does: lines are at least so far apart, and those
	// on the same aggregate.
	failingLogEvery = time.Second
	failingLogAgain = 10 * time.Minute
)

func newSnapshotter(s store.Snapshots, cfg *Config) *snapshotter {
	return &snapshotter{store: s, cfg: cfg, queue: make(chan offered, 64), failing: map[actor.Address]failedSnapshot{}}
}

func (s *snapshotter) offer(a *activation, snapshot store.Snapshot) {
	select {
	case s.queue <- offered{a.address, a.partition.id, snapshot}:
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
	attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := s.store.SaveSnapshot(attempt, o.snapshot)
	if ctx.Err() == nil {
		s.ended(o.address, o.partition, len(o.snapshot.State), err)
	}
}

// ended notes how a snapshot of so many bytes went.
func (s *snapshotter) ended(of actor.Address, p actor.Partition, size int, err error) {
	failing, tell := s.note(of, p, err)
	level := slog.LevelDebug
	if tell {
		level = slog.LevelWarn
	}
	if err != nil {
		s.cfg.Logger.Log(context.Background(), level, "no snapshot: the aggregate will take longer to load", //nolint:forbidigo // logs only
			"aggregate", of.String(), "bytes", size, "failing_aggregates", failing, "error", err)
	}
	if f := s.cfg.Listener.SnapshotSaved; f != nil {
		f(of.Kind, size, err)
	}
}

// note returns how many aggregates have no new snapshot, and whether people should see
// that of this one now.
func (s *snapshotter) note(of actor.Address, p actor.Partition, err error) (failing int, tell bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.failing[of]
	if err == nil {
		delete(s.failing, of)
		return len(s.failing), false
	}
	now := s.cfg.Clock.Elapsed()
	if tell = due(s.logged, now, failingLogEvery) && due(known.logged, now, failingLogAgain); tell {
		s.logged, known.logged = now, now
	}
	if ok || len(s.failing) < failingMax {
		s.failing[of] = failedSnapshot{p, known.logged}
	}
	return len(s.failing), tell
}

// due reports whether something that was done at last, 0 for never, is to be done again.
func due(last, now, every time.Duration) bool { return last == 0 || now-last >= every }

// count returns of how many aggregates the newest snapshot is missing.
func (s *snapshotter) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.failing)
}

// forget: a partition has been left.
func (s *snapshotter) forget(p actor.Partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.failing, func(_ actor.Address, f failedSnapshot) bool { return f.partition == p })
}
