package runtime

import (
	"context"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// EffectNotes is an [EffectTimers] that can be read. With one, a node that takes partitions
// whose owner has died has their effects come back at once, and not when their notes come
// due by themselves.
type EffectNotes interface {
	EffectTimers
	// EffectNotes visits the notes of effects, with their orders, up to a number of timers:
	// complete is false if there are more.
	EffectNotes(ctx context.Context, of actor.Address, limit int, visit func(m actor.Message, order int64)) (complete bool, err error)
}

// Bounds of the look for effects whose owner has died.
const (
	orphansGather  = 200 * time.Millisecond // partitions are taken one after another
	orphansLooked  = 50_000
	orphansTimeout = 30 * time.Second
	orphansAtOnce  = 16
)

// orphaned notes that a partition was taken whose owner had not released it.
func (r *performers) orphaned(p actor.Partition) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.orphans[p] = true
	select {
	case r.orphan <- struct{}{}:
	default:
	}
}

// callOrphans has the effects of such partitions come back to this node, until ctx ends. It is
// no more than a help: what it misses comes back by itself.
func (r *performers) callOrphans(ctx context.Context, partitions actor.Partitions) {
	notes, ok := r.timers.(EffectNotes)
	if !ok {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.orphan:
		}
		sleep(ctx, orphansGather)
		r.mu.Lock()
		mine := r.orphans
		r.orphans = map[actor.Partition]bool{}
		r.mu.Unlock()
		if err := r.callBack(ctx, notes, func(a actor.Address) bool { return mine[partitions.Of(a)] }); err != nil && ctx.Err() == nil {
			r.cfg.Logger.WarnContext(ctx, "the effects of a node that has died come back later", "error", err)
		}
	}
}

// callBack has the effects of some aggregates come to their owner now.
func (r *performers) callBack(ctx context.Context, notes EffectNotes, mine func(actor.Address) bool) error {
	ctx, cancel := context.WithTimeout(ctx, orphansTimeout)
	defer cancel()
	var calls sync.WaitGroup
	defer calls.Wait()
	slots := make(chan struct{}, orphansAtOnce)
	_, err := notes.EffectNotes(ctx, actor.Address{}, orphansLooked, func(m actor.Message, order int64) {
		task, id, err := actor.ReadEffectTask(&m)
		if err != nil || !mine(id.Address) || r.looksAfter(id) || task.Started.IsZero() && time.Until(m.Time) > actor.EffectGrace+waitingGrace {
			return
		}
		task.Order = order + 1
		slots <- struct{}{}
		calls.Go(func() {
			defer func() { <-slots }()
			_, _ = notes.ReplaceTimer(ctx, task.Message(id, r.cfg.Clock.Now()), id.Timer, task.Order) // it comes back later otherwise
		})
	})
	return orNil("read notes of effects", err)
}

// looksAfter reports whether there is a task for the effect already.
func (r *performers) looksAfter(id actor.EffectID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tasks[id.Address][id.Timer] != nil
}
