package runtime

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// saver makes the savings of claims: watermarks and carries, every WatermarkEvery,
// and, back to back, for as long as outcomes wait to be told. A saving takes whatever
// has come, of all partitions, while the one before it was under way. So the more is
// refused, the more of it shares a write; and without refusals there is none.
type saver struct {
	turn chan struct{} // capacity 1: held for a saving. A later one must not arrive first.
	wake chan struct{} // capacity 1

	mu  sync.Mutex
	due map[*partition]bool // those with outcomes to be told
}

func newSaver() *saver {
	return &saver{turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), due: map[*partition]bool{}}
}

// want asks for a saving of a partition.
func (s *saver) want(p *partition) {
	s.mu.Lock()
	asked := s.due[p]
	s.due[p] = true
	s.mu.Unlock()
	if asked {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *saver) take() []*partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := make([]*partition, 0, len(s.due))
	for p := range s.due {
		due = append(due, p)
	}
	clear(s.due)
	return due
}

// saveOutcomes saves outcomes that wait to be told, until ctx ends. While the store
// does not take them, nobody is told.
func (in *incarnation) saveOutcomes(ctx context.Context) {
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-in.saver.wake:
		}
		for due := in.saver.take(); len(due) > 0; due = in.saver.take() {
			err := in.save(ctx, due)
			if err == nil {
				failures = 0
				continue
			}
			failures++
			in.cfg.Logger.DebugContext(ctx, "outcomes not saved", "partitions", len(due), "failures", failures, "error", err)
			for _, p := range due {
				in.saver.want(p)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(backOff(failures)):
			}
		}
	}
}

// save writes what has changed of some partitions, and lets out what has waited for
// it.
//
// One write at a time: of two, the one with less in it could arrive last. One that
// was given up may still do so; then its revision is the lower one, and the store
// refuses it.
//
// Nothing of this needs the lease. The store takes a saving only from whoever holds
// the claim, at the moment of the write.
func (in *incarnation) save(ctx context.Context, partitions []*partition) error {
	select {
	case in.saver.turn <- struct{}{}:
		defer func() { <-in.saver.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var of []*partition
	var savings []saving
	var claims []store.Claim
	for _, p := range partitions {
		if p.ctx.Err() != nil {
			continue // it is released with what it has, or its claim is lost
		}
		if s, changed := p.saving(); changed {
			of, savings, claims = append(of, p), append(savings, s), append(claims, s.claim)
		}
	}
	if len(claims) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, min(in.cfg.WriteTimeout, in.cfg.Lease))
	defer cancel()
	err := in.store.SaveWatermarks(ctx, claims)
	switch {
	case err == nil:
		for i, p := range of {
			p.saved(savings[i])
		}
	case errors.Is(err, store.ErrLost):
		in.dropLost(ctx)
	}
	return err
}
