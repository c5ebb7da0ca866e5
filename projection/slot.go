package projection

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// slot is one partition of a session, or all of it for a singleton. Its events wait
// in a queue, and leave it when they are done with, so that whatever becomes of a
// transaction, the checkpoint alone decides what is next. It has a goroutine only
// while there is work.
type slot struct {
	session *session
	id      slotID
	waiting atomic.Int32 // sources that are parked
	stuck   atomic.Int32 // those of them that wait for an operator

	mu      sync.Mutex
	queue   []record
	held    int // bytes of it
	working bool
	halted  bool   // frozen: nothing more is taken
	review  bool   // parked sources are to be looked at
	saveTo  uint64 // nothing of the slot is between its position and this; 0: nothing to save
	bound   uint64 // of a generation that is being built: the position of the live one
	final   bool   // the live one is frozen there: nothing beyond bound is taken, see settle
	space   chan struct{}
	at      checkpoint // copy of cp

	// Of the worker alone.
	cp       checkpoint
	claim    Claim
	caution  *caution // nil: there is nothing to fear
	parked   map[string]*parked
	cache    *cache
	versions map[string]uint64 // of sources, up to which their events are done with
	failing  map[uint64]error  // events that cannot be applied, by position
	limit    int               // events in a transaction
	backoff  time.Duration
}

// maxVersions bounds the sources whose versions a slot remembers.
const maxVersions = 8192

func newSlot(s *session, id slotID, cp checkpoint) *slot {
	sl := &slot{
		session: s, id: id, space: make(chan struct{}, 1), cp: cp, at: cp, halted: cp.Frozen,
		parked: map[string]*parked{}, cache: newCache(s.engine.cfg.Now, s.kept, s.projection.liveOnly), versions: map[string]uint64{}, failing: map[uint64]error{},
		limit: s.projection.batchMax,
	}
	if !s.building {
		sl.bound = ^uint64(0)
	}
	return sl
}

func (sl *slot) stopped() bool {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	return sl.halted
}

// place is the position up to which the slot need not be read.
func (sl *slot) place() uint64 {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	return max(sl.at.Position, sl.at.Passed)
}

// push takes the next event, and waits for room.
func (sl *slot) push(ctx context.Context, r *record) error {
	for {
		sl.mu.Lock()
		if sl.halted || sl.final && r.Position > sl.bound || r.Position <= max(sl.at.Position, sl.at.Passed) {
			sl.mu.Unlock()
			return nil
		}
		if sl.roomLocked(r) {
			sl.queue = append(sl.queue, *r)
			sl.held += r.bytes()
			sl.startLocked(ctx)
			sl.mu.Unlock()
			return nil
		}
		sl.mu.Unlock()
		select {
		case <-sl.space:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// roomLocked reports whether another event may wait.
func (sl *slot) roomLocked(r *record) bool {
	return len(sl.queue) == 0 || len(sl.queue) < sl.session.engine.cfg.QueueMax && sl.held+r.bytes() <= sl.session.share
}

// dropLocked empties a part of the queue, which the caller then cuts off.
func (sl *slot) dropLocked(part []record) {
	for i := range part {
		sl.held -= part[i].bytes()
	}
	clear(part)
}

// startLocked sees to it that the slot has a worker if there is something to do.
func (sl *slot) startLocked(ctx context.Context) {
	if sl.working || !sl.dueLocked() {
		return
	}
	sl.working = true
	sl.session.workers.Go(func() { sl.work(ctx) })
}

func (sl *slot) dueLocked() bool {
	if sl.halted || sl.session.paused.Load() {
		return false
	}
	return len(sl.queue) > 0 && sl.queue[0].Position <= sl.bound || sl.review || sl.saveTo > 0
}

// attend has the slot do what is due without an event.
func (sl *slot) attend(ctx context.Context) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	sl.review = sl.review || sl.waiting.Load() > 0
	sl.startLocked(ctx)
}

// raise moves the bound.
func (sl *slot) raise(ctx context.Context, to uint64) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	sl.bound = max(sl.bound, to)
	sl.startLocked(ctx)
}

// settle moves the bound to where it stays, as the live generation is frozen there.
// What is beyond is not kept, for whoever goes on after the swap reads it anew. Else it
// would fill the queue, and the reader would wait for room that never comes:
//
//	live generation                          the one that is being built
//	partition 1 is frozen at 100
//	                                         has taken partition 1 up to 100
//	partition 2 goes on, is frozen at 9,000
//	                                         its reader hands on what partition 1 has
//	                                         behind 100, until its queue is full, and
//	                                         never reads the 9,000 of partition 2
//
// The live view would stand still until somebody gave the rebuild up. A slot whose
// events were left out says no more of how far it was read, see rest.
func (sl *slot) settle(ctx context.Context, at uint64) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	sl.bound, sl.final = max(sl.bound, at), true
	n := slices.IndexFunc(sl.queue, func(r record) bool { return r.Position > sl.bound })
	if n >= 0 {
		sl.dropLocked(sl.queue[n:])
		sl.queue = sl.queue[:n]
	}
	sl.makeSpaceLocked()
	sl.startLocked(ctx)
}

func (sl *slot) makeSpaceLocked() {
	select {
	case sl.space <- struct{}{}:
	default:
	}
}

// waits returns how many events wait, and the position and time of the first.
func (sl *slot) waits() (n int, first uint64, at time.Time) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if len(sl.queue) == 0 {
		return 0, 0, at
	}
	return len(sl.queue), sl.queue[0].Position, sl.queue[0].Time
}

// task is what a worker is to do next.
type task struct {
	batch  []record // a copy of the front of the queue
	review bool
	saveTo uint64
}

// next returns the next task, and false when there is none: the worker then ends.
func (sl *slot) next() (task, bool) {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	if !sl.dueLocked() {
		sl.working = false
		return task{}, false
	}
	t := task{review: sl.review, saveTo: sl.saveTo}
	sl.review, sl.saveTo = false, 0
	if t.review {
		return t, true
	}
	bytes := 0
	for i := range sl.queue {
		bytes += sl.queue[i].bytes()
		if i == sl.most(sl.queue[0].Position) || sl.queue[i].Position > sl.bound || i > 0 && bytes > sl.session.engine.cfg.BatchBytes {
			break
		}
		t.batch = sl.queue[:i+1]
	}
	t.batch = append([]record(nil), t.batch...)
	return t, true
}

// work does what there is to do, one transaction at a time.
func (sl *slot) work(ctx context.Context) {
	places := sl.session.engine.work
	if sl.session.building {
		places = sl.session.engine.rebuilds
	}
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		t, more := sl.next()
		var err error
		switch {
		case !more:
		case t.review:
			err = sl.reviewParked(ctx)
		case len(t.batch) > 0:
			err = sl.apply(ctx, t.batch)
		default:
			err = sl.savePassed(ctx, t.saveTo)
		}
		<-places
		if !more {
			return
		}
		if err == nil {
			sl.backoff = 0
			continue
		}
		if ctx.Err() != nil || !sl.recover(ctx, err) {
			return
		}
	}
}

// errAgain has a batch done again at once.
var errAgain = errors.New("again")

// conflictPause bounds the pause after a conflict.
const conflictPause = 5 * time.Millisecond

// recover finds out where the slot is after a failure, and returns false when it
// cannot go on in this session.
func (sl *slot) recover(ctx context.Context, err error) bool {
	if errors.Is(err, errAgain) {
		return true
	}
	if errors.Is(err, ErrConflict) { // somebody else has got on
		sl.session.failed(err)
		sl.cache.conflict()
		wait(ctx, rand.N(conflictPause))
	} else {
		sl.session.complain(ctx, err)
		e := sl.session.engine
		sl.backoff = e.cfg.outagePause(sl.backoff)
		wait(ctx, sl.backoff)
	}
	for ctx.Err() == nil {
		err := sl.reload(ctx)
		if err == nil {
			return true
		}
		if errors.Is(err, errRewound) || errors.Is(err, errMoved) {
			sl.session.cancel(err)
			return false
		}
		sl.session.complain(ctx, err)
		sl.backoff = sl.session.engine.cfg.outagePause(sl.backoff)
		wait(ctx, sl.backoff)
	}
	return false
}

func (s *session) failed(err error) {
	if f := s.engine.cfg.Listener.Failed; f != nil {
		f(s.projection.name, err)
	}
}

// reload takes the checkpoint and what is parked from the storage.
func (sl *slot) reload(ctx context.Context) error {
	s := sl.session
	ctx, cancel := context.WithTimeout(ctx, s.engine.cfg.BatchTimeout)
	defer cancel()
	found, err := readCheckpoint(ctx, s.engine.store, s.projection.name, s.generation, sl.id)
	if err != nil {
		return err
	}
	cp := s.adapt(found)
	if !cp.Frozen && cp.Position < sl.cp.Position {
		return fmt.Errorf("partition %d from %d to %d: %w", sl.id, sl.cp.Position, cp.Position, errRewound)
	}
	if err := sl.reloadParked(ctx); err != nil {
		return err
	}
	sl.cache.clear()
	clear(sl.versions)
	sl.moveTo(cp)
	return nil
}

// moveTo takes a checkpoint as the slot's, and what it covers out of the queue.
func (sl *slot) moveTo(cp checkpoint) {
	sl.cp = cp
	sl.mu.Lock()
	defer sl.mu.Unlock()
	sl.at = cp
	n := 0
	for n < len(sl.queue) && (cp.Frozen || sl.queue[n].Position <= cp.Position) {
		delete(sl.failing, sl.queue[n].Position)
		n++
	}
	sl.dropLocked(sl.queue[:n])
	sl.queue = sl.queue[n:]
	if len(sl.queue) == 0 {
		sl.queue = nil
	}
	sl.halted = cp.Frozen
	if n > 0 || cp.Frozen {
		sl.makeSpaceLocked()
	}
}
