package projection

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// attempt is one transaction of a slot: what it changes besides the view.
type attempt struct {
	slot    *slot
	tx      *Tx
	next    checkpoint         // the checkpoint after it
	parked  map[string]*parked // sources as they are after it; nil: not parked any more
	applied map[string]applied // sources of its events
}

func (sl *slot) attempt() *attempt {
	s := sl.session
	sl.cache.begin()
	tx := newTx(s.engine.store, s.projection, s.generation, sl.cache)
	tx.confirms = sl.confirm
	return &attempt{slot: sl, tx: tx, next: sl.cp, parked: map[string]*parked{}, applied: map[string]applied{}}
}

// confirm returns an error that wraps ErrConflict if the checkpoint is another one than
// the slot knows.
func (sl *slot) confirm(ctx context.Context) error {
	s := sl.session
	is, err := readCheckpoint(ctx, s.engine.store, s.projection.name, s.generation, sl.id)
	if err == nil && is.revision != sl.cp.revision {
		err = fmt.Errorf("checkpoint of %s: %w", s.projection.name, ErrConflict)
	}
	return err
}

// apply runs the handlers of a batch and commits what they wrote with the checkpoint.
//
// The checkpoint is written on condition that it is the one this slot has read. Say A
// and B run the same partition from checkpoint 10, and both apply 11 and 12. Both
// transactions change the checkpoint from its revision at 10, so one of them is
// refused as a whole. Should A not learn that its own succeeded, it reads the
// checkpoint before it goes on: at 12 both events are done with, whoever did it; at
// 10 its transaction may still be on its way, and then one of that and its next one
// is refused in the same manner.
func (sl *slot) apply(ctx context.Context, batch []record) error {
	release, err := sl.bewareQueued(ctx, &batch[0])
	if err != nil {
		return err
	}
	defer release()
	began := time.Now()
	e := sl.session.engine
	ctx, cancel := context.WithTimeout(ctx, e.cfg.BatchTimeout)
	defer cancel()
	a := sl.attempt()
	defer a.tx.txn.Abort(ctx)
	n, err := a.takeAll(ctx, batch)
	if err != nil {
		return sl.blame(ctx, batch, n, err)
	}
	last := &batch[n-1]
	a.next.Position, a.next.Time = last.Position, last.Time.UnixMicro()
	a.next.Passed = max(a.next.Passed, last.Position)
	a.next.Done += uint64(n) //nolint:gosec // n is positive
	a.gotOn()
	if err := a.finish(ctx); err != nil {
		return sl.blame(ctx, batch[:n], 0, err)
	}
	sl.relax(batch[0].Source.String(), uint64(batch[0].Version), n)
	sl.limit = min(sl.limit+sl.limit/8+1, sl.session.projection.batchMax)
	if f := e.cfg.Listener.Applied; f != nil {
		f(sl.session.projection.name, n, time.Since(began), sl.session.building)
	}
	return nil
}

// takeAll takes the events in order, as many as fit, and returns how many. After an
// error it is the place of the event that failed.
func (a *attempt) takeAll(ctx context.Context, batch []record) (int, error) {
	if err := a.prefetch(ctx, batch); err != nil {
		return 0, err
	}
	for i := range batch {
		if i > 0 && a.tx.bytes > a.slot.session.engine.cfg.BatchBytes {
			return i, nil
		}
		err := a.take(ctx, &batch[i])
		if errors.Is(err, ErrParkingFull) && i > 0 {
			return i, nil
		}
		if err != nil {
			return i, err
		}
	}
	return len(batch), nil
}

// prefetch reads the documents at once that handlers are going to ask for one by one,
// as far as experience tells.
func (a *attempt) prefetch(ctx context.Context, batch []record) error {
	for collection := range a.slot.cache.bySource {
		var keys []string
		asked := map[string]bool{}
		for i := range batch {
			id := batch[i].Source.ID
			if _, known := a.slot.cache.get(document{collection, id}); !known && !asked[id] {
				asked[id] = true
				keys = append(keys, id)
			}
		}
		if len(keys) < 2 {
			continue
		}
		docs, err := a.tx.store.Read(ctx, a.tx.place(collection), keys...)
		if err != nil {
			return fmt.Errorf("read %s: %w", collection, err)
		}
		for _, doc := range docs {
			a.slot.cache.put(document{collection, doc.Key}, doc)
		}
	}
	return nil
}

// take does with one event what is to be done with it: nothing, park it, or run its
// handlers, and park it after all if they fail.
func (a *attempt) take(ctx context.Context, r *record) error {
	if !a.slot.session.projection.follows(r.Source.Kind) {
		return nil
	}
	source := r.Source.String()
	done, err := a.isDone(ctx, r, source)
	if err != nil || done {
		return err
	}
	if waiting := a.parkedNow(source); waiting != nil {
		err = a.park(r, waiting)
	} else {
		err = a.run(ctx, r)
	}
	if err == nil {
		now := applied{Version: uint64(r.Version), Position: r.Position}
		if p := a.parkedNow(source); p != nil {
			now.Waits = p.Version
		}
		a.applied[source] = now
	}
	return err
}

// isDone reports whether an event was done with under another position. That is
// looked up only if the stream was made anew.
func (a *attempt) isDone(ctx context.Context, r *record, source string) (bool, error) {
	if was, ok := a.applied[source]; ok {
		return uint64(r.Version) <= was.Version, nil
	}
	known, ok := a.slot.versions[source]
	if !ok && a.next.Verify {
		data, found, err := a.tx.load(ctx, appliedName, source)
		if err != nil {
			return false, err
		}
		var was applied
		if found {
			if err := a.tx.store.Unmarshal(data, &was); err != nil {
				return false, fmt.Errorf("decode what was applied of %s: %w", source, err)
			}
		}
		known = was.Version
		a.slot.remember(source, known)
	}
	return uint64(r.Version) <= known, nil
}

func (sl *slot) remember(source string, version uint64) {
	if len(sl.versions) >= maxVersions {
		clear(sl.versions)
	}
	sl.versions[source] = version
}

// run runs the handlers of an event, and parks it if they fail. Nothing is left of
// what they wrote then.
func (a *attempt) run(ctx context.Context, r *record) error {
	sl := a.slot
	failure, known := sl.failing[r.Position]
	if !known {
		sent := a.tx.save()
		a.tx.at = r.Source.ID
		failure = sl.session.projection.call(ctx, a.tx, r)
		if failure == nil {
			return nil
		}
		if err := a.notItsFault(ctx, failure); err != nil {
			return err
		}
		if a.tx.native { // what it did there cannot be taken back alone
			sl.failing[r.Position] = failure
			return errAgain
		}
		a.tx.rollback(sent)
	}
	return a.parkNew(r, failure)
}

// errSlow: the transaction has taken its time.
var errSlow = errors.New("the transaction took too long")

// notItsFault returns an error if a handler failed for a reason that another try of
// the same code may not meet.
func (a *attempt) notItsFault(ctx context.Context, failure error) error {
	switch {
	case a.tx.failed != nil:
		return a.tx.failed
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", errSlow, failure)
	case a.tx.store.Transient(failure):
		return failure
	case a.slot.cache.doubts():
		return errAgain
	}
	return nil
}

// finish writes what belongs to the transaction, sends what a router has to send, and
// commits. The slot is then where the transaction has brought it.
func (a *attempt) finish(ctx context.Context) error {
	sl := a.slot
	if !sl.cache.settle(a.tx.writes) {
		return errAgain
	}
	for source, was := range a.applied {
		if err := a.tx.put(appliedName, source, was); err != nil {
			return err
		}
	}
	for source, p := range a.parked {
		if err := a.writeParked(source, p); err != nil {
			return err
		}
	}
	if err := a.tx.replace(checkpointsName, sl.id.key(), a.next, sl.cp.revision); err != nil {
		return err
	}
	if len(a.tx.outgoing) > 0 {
		if err := send(ctx, sl.session.engine.cfg.Client, a.tx.outgoing); err != nil {
			return err
		}
	}
	if err := a.tx.commit(ctx); err != nil {
		return err
	}
	a.committed(ctx)
	return nil
}

func (a *attempt) committed(ctx context.Context) {
	sl := a.slot
	for source, was := range a.applied {
		sl.remember(source, was.Version)
	}
	for source, p := range a.parked {
		sl.report(ctx, sl.parked[source], p)
		delete(sl.parked, source)
		if p != nil {
			p.revision = a.tx.revisions[document{parkedName, parkedKey(sl.id, source)}]
			sl.parked[source] = p
		}
	}
	sl.countParked()
	a.next.revision = a.tx.revisions[document{checkpointsName, sl.id.key()}]
	sl.moveTo(a.next)
}

// blame decides what a batch that did not succeed is to be done again with: with
// fewer events, or without the one that cannot be applied. i is the place of the
// event at which handlers were when it failed.
func (sl *slot) blame(ctx context.Context, batch []record, i int, err error) error {
	sent, isSent := errors.AsType[*sendError](err)
	late := errors.Is(ctx.Err(), context.DeadlineExceeded)
	switch {
	case errors.Is(err, ErrTooLarge), errors.Is(err, errSlow) && late:
		if len(batch) > 1 {
			sl.limit = max(len(batch)/2, 1)
			return errAgain
		}
		if _, tried := sl.failing[batch[i].Position]; tried {
			return err
		}
		sl.failing[batch[i].Position] = err
		return errAgain
	case isSent && sent.final():
		sl.failing[sent.event] = err
		return errAgain
	case late, isSent: // of fewer commands, all are stored sooner
		sl.limit = max(len(batch)/2, 1)
	}
	return err
}

// savePassed saves how far the reader is, for a slot without events.
func (sl *slot) savePassed(ctx context.Context, passed uint64) error {
	ctx, cancel := context.WithTimeout(ctx, sl.session.engine.cfg.BatchTimeout)
	defer cancel()
	a := sl.attempt()
	defer a.tx.txn.Abort(ctx)
	a.next.Passed = max(a.next.Passed, passed)
	return a.finish(ctx)
}
