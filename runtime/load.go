package runtime

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// loaded is an aggregate as the store has it.
type loaded struct {
	instance   *actor.Instance
	ring       *outcomeRing
	position   store.Position
	time       int64
	snapshotAt actor.Version
	replayed   int // events
}

// load brings the aggregate into memory. It waits for the store as long as the
// partition is served. The error wraps actor.ErrUndecodable or
// store.ErrCorrupt, or is the end of the partition.
func (a *activation) load() error {
	clock := a.partition.cfg.Clock
	start := clock.Elapsed()
	var l *loaded
	err := a.partition.retry(a.failures, func(ctx context.Context) (err error) {
		l, err = a.read(ctx)
		return err
	})
	if err != nil {
		return err
	}
	a.instance, a.ring, a.position, a.time = l.instance, l.ring, l.position, l.time
	a.snapshotAt = l.snapshotAt
	a.pending = a.instance.PendingEffects()
	a.partition.performers.reconcile(a.address, a.pending)
	a.size.loaded(a.partition.memory.shapes.footprint(l.instance.State()))
	if every := a.behavior.SnapshotEvery(); every > 0 && l.replayed >= every {
		if s := a.takeSnapshot(); s != nil {
			a.snapshotAt = a.instance.Version()
			a.partition.snapshots.offer(a, *s)
		}
	}
	a.reweigh()
	if f := a.partition.cfg.Listener.Loaded; f != nil {
		f(a.behavior.Kind(), l.replayed, clock.Elapsed()-start)
	}
	return nil
}

// replayFirst is how many events are replayed before a snapshot is looked for.
const replayFirst = 128

// read replays the aggregate. Most aggregates are short, so it begins with the
// commits, in one read, and looks for a snapshot only when there are many, or more events
// than lie between two snapshots.
func (a *activation) read(ctx context.Context) (*loaded, error) {
	ctx, w := watch(ctx, a.partition.cfg.WriteTimeout)
	defer w.stop()
	l := &loaded{instance: a.behavior.New(a.address), ring: newOutcomeRing()}
	every := a.behavior.SnapshotEvery()
	more, err := a.replay(ctx, l, min(every, replayFirst), w)
	if err != nil || !more {
		return l, err
	}
	if s, ok := a.readSnapshot(ctx); ok && s.instance.Version() > l.instance.Version() {
		l = s
	}
	_, err = a.replay(ctx, l, 0, w)
	return l, err
}

// watchdog ends a context when there has been no progress for a while. A bound
// on the whole of a replay would keep an aggregate with a long history from ever
// being loaded.
type watchdog struct {
	timer  *time.Timer
	bound  time.Duration
	cancel context.CancelFunc
}

func watch(ctx context.Context, bound time.Duration) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancel(ctx)
	return ctx, &watchdog{timer: time.AfterFunc(bound, cancel), bound: bound, cancel: cancel}
}

func (w *watchdog) progress() { w.timer.Reset(w.bound) }

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel()
}

// replay applies the commits above l's version. It stops, and reports that there
// may be more, once it has applied limit events; 0: no limit.
func (a *activation) replay(ctx context.Context, l *loaded, limit int, w *watchdog) (more bool, err error) {
	after := store.Version(l.instance.Version())
	for c, err := range a.partition.store.Load(ctx, store.Aggregate(a.address.String()), after) {
		if err != nil {
			return false, err
		}
		w.progress()
		if err := l.apply(&c, a.partition.cfg.RingMax); err != nil {
			return false, err
		}
		if limit > 0 && l.replayed >= limit {
			return true, nil
		}
	}
	return false, nil
}

func (l *loaded) apply(c *store.Commit, ringMax int) error {
	for _, e := range c.Events {
		if err := l.instance.Replay(actor.Event(e)); err != nil {
			return err
		}
	}
	l.replayed += len(c.Events)
	if err := l.applyEffects(c); err != nil {
		return err
	}
	l.position, l.time = c.Position, c.Time
	var failed error
	c.OutcomeVersions(func(o *store.Outcome, v store.Version) {
		out, err := decodeOutcome(o.Reply, o.Rejection, actor.Version(o.Told(v)))
		if err != nil {
			failed = err
			return
		}
		l.ring.put(ringEntry{id: actor.CommandID(o.CommandID), outcome: out, indexed: o.Keyed, of: commandOf(o)}, ringMax)
	})
	return failed
}

// readSnapshot returns what the newest usable snapshot holds. Any failure only
// costs time.
func (a *activation) readSnapshot(ctx context.Context) (*loaded, bool) {
	s, found, err := a.partition.store.LoadSnapshot(ctx, store.Aggregate(a.address.String()), a.behavior.Schema())
	if err != nil || !found {
		return nil, false
	}
	instance, ring, err := restore(a.behavior, a.address, &s, a.partition.cfg.RingMax)
	if err != nil {
		a.partition.cfg.Logger.WarnContext(ctx, "snapshot ignored", "aggregate", a.address.String(), "error", err)
		return nil, false
	}
	return &loaded{
		instance: instance, ring: ring, position: s.Position, time: s.Time,
		snapshotAt: instance.Version(),
	}, true
}

// Restore returns an aggregate as a snapshot has it. Any failure means that its history
// has to be replayed.
func Restore(b *actor.Behavior, address actor.Address, s *store.Snapshot) (*actor.Instance, error) {
	instance, _, err := restore(b, address, s, snapshotRing)
	return instance, err
}

func restore(b *actor.Behavior, address actor.Address, s *store.Snapshot, ringMax int) (*actor.Instance, *outcomeRing, error) {
	instance, err := b.Restore(address, actor.Version(s.Version), s.State)
	if err != nil {
		return nil, nil, err
	}
	ring, kept, err := decodeRing(s.Ring, s.Time, ringMax)
	if err == nil && kept == nil {
		err = errNoRuntimeState
	}
	if err != nil {
		return nil, nil, err
	}
	instance.Resume(*kept)
	return instance, ring, nil
}

func (a *activation) findOutcome(id string, keyed bool) (rec store.Recorded, found bool, err error) {
	err = a.partition.retryBounded(func(ctx context.Context) (err error) {
		rec, found, err = a.partition.store.FindOutcome(ctx, store.Aggregate(a.address.String()), id, keyed)
		return err
	})
	return rec, found, err
}

// backOff is the time between two attempts: growing, with jitter, at most a second.
func backOff(failures int) time.Duration {
	pause := min(time.Second, 10*time.Millisecond<<min(failures, 7))
	return pause/2 + rand.N(pause/2)
}

// retryBounded is retry with a bound on each attempt.
func (p *partition) retryBounded(f func(context.Context) error) error {
	return p.retry(0, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, p.cfg.WriteTimeout)
		defer cancel()
		return f(ctx)
	})
}

// retry calls f until it succeeds, fails for good, or the partition is left.
// Attempts are apart by a growing time with jitter, at most a second; failures
// is the number of those that went before.
func (p *partition) retry(failures int, f func(context.Context) error) error {
	for {
		if failures > 0 {
			select {
			case <-p.ctx.Done():
				return context.Cause(p.ctx)
			case <-time.After(backOff(failures)):
			}
		}
		err := f(p.ctx)
		if p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		if err == nil || errors.Is(err, store.ErrCorrupt) || errors.Is(err, actor.ErrUndecodable) {
			return err
		}
		failures++
		if failures == failuresUnseen {
			p.memory.struggles.count.Add(1)
			defer p.memory.struggles.count.Add(-1)
		}
		p.cfg.Logger.Log(p.ctx, p.memory.struggles.level(p.cfg.Clock.Elapsed(), failures), "the store does not do what it is asked, and is asked again",
			"partition", uint32(p.id), "failures", failures, "struggling_aggregates", p.memory.struggles.count.Load(), "error", err)
	}
}

// pauseBackOff waits as long as befits the number of failures, or until ctx ends.
func pauseBackOff(ctx context.Context, failures int) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(backOff(failures)):
		return nil
	}
}
