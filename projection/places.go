package projection

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Slots without events do not move their checkpoints, and a session reads from the
// checkpoint that is farthest behind. So the places of such slots are saved from time
// to time, many in one transaction, by this file.

const (
	// saveTicks is the time between two looks at which places are worth saving.
	saveTicks = 4

	// leaveWorth is how many events that need not be read again are worth saving a
	// place for at the end of a session.
	leaveWorth = 1024

	// savedAtOnce bounds the places in one transaction.
	savedAtOnce = 200

	leaveTimeout = 2 * time.Second
)

// resting is a slot that was found without anything to do, and is kept so until its
// place is saved.
type resting struct {
	slot *slot
	to   checkpoint
}

// saveFar saves the places of the slots whose checkpoints are far behind the reader.
func (s *session) saveFar(ctx context.Context) {
	saving, cancel := context.WithTimeout(ctx, s.engine.cfg.BatchTimeout)
	defer cancel()
	for _, r := range s.save(saving, s.engine.cfg.SaveEvery) {
		r.slot.wake(ctx)
	}
}

// leave saves what places are worth it at the end of a session, for whoever reads on.
func (s *session) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	s.save(ctx, min(leaveWorth, s.engine.cfg.SaveEvery))
}

// save saves the places of the slots that have nothing to do, where that spares the
// next session so many events. It only saves time: what fails is left to a later look.
// What the slots that it returns got to do meanwhile waits.
func (s *session) save(ctx context.Context, worth uint64) (all []resting) {
	if s.paused.Load() {
		return nil
	}
	reached := s.reached.Load()
	for _, id := range s.owned {
		if sl := s.slots[id]; sl != nil {
			if to, ok := sl.rest(reached, worth); ok {
				all = append(all, resting{sl, to})
			}
		}
	}
	for some := range slices.Chunk(all, savedAtOnce) {
		revisions, err := s.commitPlaces(ctx, some)
		for i, r := range some {
			if err == nil {
				r.to.revision = revisions[i]
				r.slot.moveTo(r.to)
			}
			// One that conflicts is not to hold the others up for ever: each then
			// saves its own, and learns whose runner was faster.
			r.slot.rested(errors.Is(err, ErrConflict), r.to.Passed)
		}
	}
	return all
}

func (s *session) commitPlaces(ctx context.Context, some []resting) ([]Revision, error) {
	writes := make([]Write, 0, len(some))
	for _, r := range some {
		data, err := s.engine.store.Marshal(r.to)
		if err != nil {
			return nil, err //nolint:wrapcheck // nobody is told
		}
		writes = append(writes, Write{Place: s.place(checkpointsName), Key: r.slot.id.key(), Data: data, Check: true, Expect: r.to.revision})
	}
	txn := s.engine.store.Begin()
	defer txn.Abort(ctx)
	return txn.Commit(ctx, writes) //nolint:wrapcheck // nobody is told
}

// rest takes the place of the slot's worker if it has none and nothing to do, and
// returns its checkpoint moved to where the reader is; false also when that is not
// worth so many events. reached must have been read before the call: all events up to
// there were pushed then, so a queue that is empty now is empty because they are done
// with.
func (sl *slot) rest(reached, worth uint64) (to checkpoint, ok bool) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	to = sl.at
	if sl.halted || sl.final || sl.working || len(sl.queue) > 0 || reached < max(to.Position, to.Passed)+worth {
		return to, false
	}
	to.Passed = reached
	sl.working = true
	return to, true
}

// rested gives the place of the worker back, with what is to be saved alone.
func (sl *slot) rested(alone bool, upTo uint64) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	sl.working = false
	if alone {
		sl.saveTo = upTo
	}
}

// wake has the slot do what has come while it rested.
func (sl *slot) wake(ctx context.Context) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	sl.startLocked(ctx)
}
