package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// Bounds of a check.
const (
	feedPatience = 8 * time.Second // for the feed to show what was acknowledged
	rereadMax    = 1_000           // of those acknowledged since the check before, newest first
	sampleMax    = 250             // of older ones
	missingMax   = 20_000          // that are looked up one by one
	readers      = 8
)

// found is what a check has found.
type found struct {
	acknowledged, stored, lost, doubled, unknown int64
	reread                                       int // commands that were read again at their place
	examples                                     []string
}

func (f *found) right() bool { return f.lost == 0 && f.doubled == 0 && f.stored == f.acknowledged }

var errTooManyMissing = errors.New("the store's feed is too far behind to say what is missing")

// check compares what was acknowledged up to now with the store. Each command was seen in
// the store's feed of commits as it came, over a connection of the stage's own; what the
// feed has not shown is looked up. Then the commits of the newest commands, of a sample of
// older ones, or with all of all that are kept, are read again where they were: what was
// stored and is no longer there is lost.
//
// A command that is acknowledged while the check runs belongs to the next one.
func (v *evidence) check(ctx context.Context, s store.Store, all bool) (found, error) {
	begin := v.snapshot(all)
	f := found{acknowledged: begin.acknowledged, unknown: begin.unknown}
	missing := v.awaitSeen(ctx, begin.unseen)
	if len(missing) > missingMax {
		return f, fmt.Errorf("%w: %d commands", errTooManyMissing, len(missing))
	}
	gone, err := v.lookUp(ctx, s, missing)
	if err != nil {
		return f, err
	}
	again, err := v.readAgain(ctx, s, begin.reread)
	if err != nil {
		return f, err
	}
	f.reread = len(begin.reread)
	v.judge(&f, begin, gone, again)
	return f, nil
}

// judge counts. What was looked at and is there is not lost, whatever a check before said.
func (v *evidence) judge(f *found, begin moment, gone, again map[*record]bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, looked := range []map[*record]bool{gone, again} {
		for r, missing := range looked {
			if missing {
				v.lost[r] = struct{}{}
			} else {
				delete(v.lost, r)
				delete(v.unseen, r)
			}
		}
	}
	v.fresh = max(0, v.fresh-begin.fresh)
	f.lost, f.doubled = int64(len(v.lost)), int64(len(v.doubled))
	f.stored = f.acknowledged - f.lost
	for r := range maps.Keys(v.lost) {
		f.example("%s, command %s: acknowledged, and not in the store", r.aggregate, r.id)
	}
	for r := range maps.Keys(v.doubled) {
		f.example("%s, command %s: stored twice, at version %d and later", r.aggregate, r.id, r.first)
	}
}

const examplesMax = 3

func (f *found) example(format string, args ...any) {
	if len(f.examples) < examplesMax {
		f.examples = append(f.examples, fmt.Sprintf(format, args...))
	}
}

// moment is what a check is about.
type moment struct {
	acknowledged, unknown int64
	fresh                 int
	unseen                []*record
	reread                []place
}

// place is where a command is stored.
type place struct {
	*record
	first store.Version
	index int
}

func (v *evidence) snapshot(all bool) moment {
	v.mu.Lock()
	defer v.mu.Unlock()
	m := moment{
		acknowledged: v.acknowledged, unknown: int64(len(v.unknown)), fresh: v.fresh,
		unseen: slices.Collect(maps.Keys(v.unseen)),
	}
	if all || len(v.acked) <= rereadMax+sampleMax {
		m.reread = v.placesLocked(v.acked)
	} else {
		fresh := len(v.acked) - min(v.fresh, rereadMax)
		m.reread = v.placesLocked(v.acked[fresh:])
		for range min(sampleMax, fresh) {
			m.reread = append(m.reread, v.placesLocked(v.acked[rand.IntN(fresh):][:1])...) //nolint:gosec // no secret
		}
	}
	m.reread = append(m.reread, v.placesLocked(slices.Collect(maps.Keys(v.lost)))...) // it may have come back
	return m
}

func (v *evidence) placesLocked(of []*record) (all []place) {
	for _, r := range of {
		if r.places > 0 {
			all = append(all, place{r, r.first, r.index})
		}
	}
	return all
}

// awaitSeen waits until the feed has shown some commands, and returns those that it has
// not within some time.
func (v *evidence) awaitSeen(ctx context.Context, some []*record) []*record {
	ctx, cancel := context.WithTimeout(ctx, feedPatience)
	defer cancel()
	for {
		v.mu.Lock()
		some = slices.DeleteFunc(some, func(r *record) bool { return r.places > 0 })
		waits := slices.ContainsFunc(some, func(r *record) bool { _, lost := v.lost[r]; return !lost })
		v.mu.Unlock()
		if !waits {
			return some
		}
		select {
		case <-v.seen:
		case <-ctx.Done():
			return some
		}
	}
}

// lookUp looks for outcomes in the histories of their aggregates, and says of each command
// whether it is missing.
func (v *evidence) lookUp(ctx context.Context, s store.Store, some []*record) (map[*record]bool, error) {
	var mu sync.Mutex
	missing := map[*record]bool{}
	err := each(ctx, some, func(ctx context.Context, r *record) error {
		_, there, err := s.FindOutcome(ctx, r.aggregate, r.id, false)
		mu.Lock()
		defer mu.Unlock()
		missing[r] = !there
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look commands up: %w", err)
	}
	return missing, nil
}

// readAgain reads commits where they were, each history once, and says of each command
// whether it is missing there.
func (v *evidence) readAgain(ctx context.Context, s store.Store, some []place) (map[*record]bool, error) {
	byAggregate := map[store.Aggregate][]place{}
	for _, p := range some {
		byAggregate[p.aggregate] = append(byAggregate[p.aggregate], p)
	}
	var mu sync.Mutex
	missing := map[*record]bool{}
	err := each(ctx, slices.Collect(maps.Values(byAggregate)), func(ctx context.Context, wanted []place) error {
		there, err := readPlaces(ctx, s, wanted)
		mu.Lock()
		defer mu.Unlock()
		for i, p := range wanted {
			missing[p.record] = !there[i]
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read commits again: %w", err)
	}
	return missing, nil
}

// readPlaces reads one history from the first to the last of its wanted commits.
func readPlaces(ctx context.Context, s store.Store, wanted []place) ([]bool, error) {
	slices.SortFunc(wanted, func(a, b place) int { return cmp.Compare(a.first, b.first) })
	there := make([]bool, len(wanted))
	next := 0
	for c, err := range s.Load(ctx, wanted[0].aggregate, wanted[0].first-1) {
		if err != nil {
			return there, err
		}
		for next < len(wanted) && wanted[next].first < c.First {
			next++ // its commit is not there
		}
		for ; next < len(wanted) && wanted[next].first == c.First; next++ {
			p := wanted[next]
			there[next] = p.index < len(c.Outcomes) && c.Outcomes[p.index].CommandID == p.id
		}
		if next == len(wanted) {
			break
		}
	}
	return there, nil
}

// each calls do for all, some at a time, until one fails.
func each[T any](ctx context.Context, all []T, do func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan T)
	var work sync.WaitGroup
	for range min(readers, len(all)) {
		work.Go(func() {
			for one := range next {
				if err := do(ctx, one); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, one := range all {
		if ctx.Err() != nil {
			break
		}
		next <- one
	}
	close(next)
	work.Wait()
	return context.Cause(ctx)
}
