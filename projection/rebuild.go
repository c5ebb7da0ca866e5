package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// nearEnough is how many events of the stream the new generation may be behind the
// live one, in every slot, when that is frozen.
const nearEnough = 4096

// coordinate brings a rebuild forward. The owner of partition 0 does it; several may,
// as every step is a compare-and-set and can be made again.
//
//	building  the new generation follows the live one, never past it, with history's
//	          rules for handlers. Once it is near everywhere:
//	freezing  the runners of the live one that hear of it begin nothing new. The
//	          checkpoint of every slot is marked, which has the next commit of a runner
//	          that has not heard refused. Its positions cannot change any more. Once
//	          the new one has the same positions:
//	(swap)    one write of the head makes the new one live. It goes on from there with
//	          the rules for what is new. No event is in both or in none.
//	thawing   instead, when the rebuild is given up: the marks are taken off.
//
// While it is frozen, which takes as long as the rest of nearEnough events, the live
// view can be read as ever, and gets no newer.
func (s *supervisor) coordinate(ctx context.Context, h *head) error {
	if len(h.Retired) > 0 {
		if err := s.drop(ctx, h); err != nil {
			return err
		}
	}
	switch h.Phase {
	case PhaseBuilding:
		return s.build(ctx, h)
	case PhaseFreezing:
		return s.freeze(ctx, h)
	case PhaseThawing:
		return s.thaw(ctx, h)
	case PhaseNone:
	}
	return nil
}

// levels reads how far the live generation and the one that is being built are.
func (s *supervisor) levels(ctx context.Context, h *head) (live, building map[slotID]checkpoint, err error) {
	e, name := s.engine, s.projection.name
	stream, last, err := e.source.EventsHead(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("head of the event stream: %w", err)
	}
	if stream != h.Stream { // positions of the two generations cannot be compared
		return nil, nil, s.change(ctx, h, func(h *head) { h.Phase, h.Again = PhaseThawing, true })
	}
	if live, err = readCheckpoints(ctx, e.store, name, h.Live); err != nil {
		return nil, nil, err
	}
	if building, err = readCheckpoints(ctx, e.store, name, h.Building); err != nil {
		return nil, nil, err
	}
	if f := e.cfg.Listener.Rebuilding; f != nil {
		done := uint64(0)
		for _, cp := range building {
			done += cp.Done
		}
		f(name, done, last)
	}
	return live, building, nil
}

func (s *supervisor) build(ctx context.Context, h *head) error {
	live, building, err := s.levels(ctx, h)
	if err != nil || live == nil {
		return err
	}
	for id, cp := range live {
		if cp.Position > 0 && cp.Stream != h.Stream || cp.Position > building[id].Position+nearEnough {
			return nil
		}
	}
	return s.change(ctx, h, func(h *head) { h.Phase = PhaseFreezing })
}

// freeze marks what is not marked yet, and swaps when the new generation is level.
func (s *supervisor) freeze(ctx context.Context, h *head) error {
	live, building, err := s.levels(ctx, h)
	if err != nil || live == nil {
		return err
	}
	if err := s.freezeAll(ctx, h, live); err != nil {
		return err
	}
	for id, cp := range live {
		if !cp.Frozen || building[id].Position < cp.Position {
			return nil // look again
		}
	}
	if len(live) < int(h.Slots) {
		return nil
	}
	if err := s.change(ctx, h, func(h *head) {
		h.Retired = append(h.Retired, retired{Generation: h.Live, At: s.engine.cfg.Now().UnixMicro()})
		h.Live, h.Building, h.Phase = h.Building, 0, PhaseNone
	}); err != nil {
		return err
	}
	s.engine.cfg.Logger.InfoContext(ctx, "projection rebuilt", slog.String("projection", s.projection.name))
	if f := s.engine.cfg.Listener.Swapped; f != nil {
		f(s.projection.name)
	}
	s.fast = true
	return nil
}

// freezeAll marks what is not marked yet, many checkpoints in one transaction: one by
// one, those of 128 partitions take seconds beside writers, and all that time some of
// the view stands still. What it has marked is in live then as it is stored.
//
//	this                                   a runner of the live generation
//	has read the checkpoints
//	                                       moves that of partition 7
//	marks them all from what it has read:
//	  refused, with all other marks
//	reads and marks each half by itself,   of 7, is refused, or was faster again
//	  and halves of the one that is
//	  refused
//
// So a runner that is busy costs time and nothing else. Each mark stands on the revision
// that was read, alone or among others, and what it freezes is what was read.
func (s *supervisor) freezeAll(ctx context.Context, h *head, live map[slotID]checkpoint) error {
	var open []marked
	for id := range slotID(h.Slots) {
		if cp := live[id]; !cp.Frozen {
			cp.Frozen = true
			open = append(open, marked{id, cp})
		}
	}
	for some := range slices.Chunk(open, savedAtOnce) {
		if err := s.freezeSome(ctx, h, live, some); err != nil {
			return err
		}
	}
	return nil
}

// freezeSome marks checkpoints, as many at once as their runners allow. A single one
// that its runner moves again is left to the next look.
func (s *supervisor) freezeSome(ctx context.Context, h *head, live map[slotID]checkpoint, some []marked) error {
	err := s.mark(ctx, h, some...)
	if err == nil {
		for _, m := range some {
			live[m.slot] = m.checkpoint
		}
		return nil
	}
	if !errors.Is(err, ErrConflict) {
		return err
	}
	if len(some) == 1 {
		return nil
	}
	for half := range slices.Chunk(some, (len(some)+1)/2) {
		open, err := s.readAgain(ctx, h, live, half)
		if err != nil {
			return err
		}
		if len(open) == 0 {
			continue
		}
		if err := s.freezeSome(ctx, h, live, open); err != nil {
			return err
		}
	}
	return nil
}

// readAgain reads checkpoints that are to be frozen, and returns those that are not.
func (s *supervisor) readAgain(ctx context.Context, h *head, live map[slotID]checkpoint, some []marked) (open []marked, err error) {
	keys := make([]string, len(some))
	for i, m := range some {
		keys[i] = m.slot.key()
	}
	docs, err := s.engine.store.Read(ctx, Place{s.projection.name, h.Live, checkpointsName}, keys...)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints of %s: %w", s.projection.name, err)
	}
	for i, doc := range docs {
		var cp checkpoint
		if doc.Revision != "" {
			if cp, err = decodeCheckpoint(s.engine.store, doc); err != nil {
				return nil, err
			}
		}
		if cp.Frozen { // by another node, or by a write whose outcome was unknown
			live[some[i].slot] = cp
			continue
		}
		cp.Frozen = true
		open = append(open, marked{some[i].slot, cp})
	}
	return open, nil
}

// marked is a checkpoint of the live generation as it is to be: Frozen or not.
type marked struct {
	slot slotID
	checkpoint
}

// mark writes checkpoints of the live generation, all or none. A conflict is a runner's,
// who was faster.
func (s *supervisor) mark(ctx context.Context, h *head, some ...marked) error {
	at := Place{s.projection.name, h.Live, checkpointsName}
	writes := make([]Write, len(some))
	for i, m := range some {
		data, err := s.engine.store.Marshal(m.checkpoint)
		if err != nil {
			return fmt.Errorf("encode checkpoint: %w", err)
		}
		writes[i] = Write{Place: at, Key: m.slot.key(), Data: data, Check: true, Expect: m.revision}
	}
	txn := s.engine.store.Begin()
	defer txn.Abort(ctx)
	if _, err := txn.Commit(ctx, writes); err != nil {
		return fmt.Errorf("mark checkpoints of %s: %w", s.projection.name, err)
	}
	return nil
}

// thaw takes all marks off and ends the rebuild, or begins another one.
func (s *supervisor) thaw(ctx context.Context, h *head) error {
	live, err := readCheckpoints(ctx, s.engine.store, s.projection.name, h.Live)
	if err != nil {
		return err
	}
	frozen := false
	for id, cp := range live {
		if cp.Frozen {
			frozen = true
			cp.Frozen = false
			if err := s.mark(ctx, h, marked{id, cp}); err != nil && !errors.Is(err, ErrConflict) {
				return err
			}
		}
	}
	if frozen {
		s.fast = true
		return nil // make sure
	}
	stream, _, err := s.engine.source.EventsHead(ctx)
	if err != nil {
		return fmt.Errorf("head of the event stream: %w", err)
	}
	return s.change(ctx, h, func(h *head) {
		h.Retired = append(h.Retired, retired{Generation: h.Building})
		h.Building, h.Phase = 0, PhaseNone
		if h.Again {
			h.Last++
			h.Building, h.Phase, h.Stream, h.Again = h.Last, PhaseBuilding, stream, false
		}
	})
}

// drop removes generations that nobody reads any more. Who still does has to find out:
//
//	a reader of the retired generation     this
//	                                       removes its documents
//	lists it, and finds a part
//	reads the head: it is retired and
//	  there, so the list is whole
//	                                       takes it off the head
//
// So the head says that it is gone before anything is removed.
func (s *supervisor) drop(ctx context.Context, h *head) error {
	due := map[uint64]bool{}
	for _, r := range h.Retired {
		if s.engine.cfg.Now().Sub(time.UnixMicro(r.At)) >= s.engine.cfg.Keep {
			due[r.Generation] = true
		}
	}
	if len(due) == 0 {
		return nil
	}
	err := changeHead(ctx, s.engine.store, s.projection.name, func(h *head) error {
		told := true
		for i := range h.Retired {
			if r := &h.Retired[i]; due[r.Generation] && !r.Gone {
				r.Gone, told = true, false
			}
		}
		if told {
			return errLeave
		}
		return nil
	})
	if err != nil {
		return err
	}
	for generation := range due {
		if err := s.engine.store.Drop(ctx, s.projection.name, generation); err != nil {
			return fmt.Errorf("drop generation %d: %w", generation, err)
		}
	}
	return changeHead(ctx, s.engine.store, s.projection.name, func(h *head) error {
		h.Retired = slices.DeleteFunc(h.Retired, func(r retired) bool { return due[r.Generation] })
		return nil
	})
}

// change changes the head if its rebuild is still as it was looked at.
func (s *supervisor) change(ctx context.Context, was *head, change func(*head)) error {
	phase, building := was.Phase, was.Building
	return changeHead(ctx, s.engine.store, s.projection.name, func(h *head) error {
		if h.Phase != phase || h.Building != building {
			return errLeave
		}
		change(h)
		return nil
	})
}
