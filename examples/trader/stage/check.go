package stage

import (
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
	changed                                      int64 // stored, with another answer
	broken                                       int64 // places at which histories cannot be read on
	unreadable                                   int64 // commands at such places: neither stored nor lost
	reread                                       int   // commands that were read again at their place
	examples                                     []string
}

func (f *found) right() bool {
	return f.lost == 0 && f.doubled == 0 && f.changed == 0 && f.broken == 0 && f.unreadable == 0 && f.stored == f.acknowledged
}

// faults says what is wrong, in numbers.
func (f *found) faults() string {
	text := fmt.Sprintf("%d lost, %d doubled", f.lost, f.doubled)
	if f.changed > 0 {
		text += fmt.Sprintf(", %d changed", f.changed)
	}
	if f.unreadable > 0 {
		text += fmt.Sprintf(", %d not readable", f.unreadable)
	}
	if f.broken > 0 {
		text += fmt.Sprintf("; the record is broken at %d places", f.broken)
	}
	return text
}

var errTooManyMissing = errors.New("the store's feed is too far behind to say what is missing")

// check compares what was acknowledged up to now with the store. Each command was seen in
// the store's feed of commits as it came, over a connection of the stage's own; what the
// feed has not shown is looked up. Then the commits of the newest commands, of a sample of
// older ones, or with all of all that are kept, are read again where they were: what was
// stored and is no longer there is lost, and what has another answer there than the user was
// told is changed. A record that is damaged does not end the check: see look.
//
// A command that is acknowledged while the check runs belongs to the next one.
func (v *evidence) check(ctx context.Context, s store.Store, all bool) (found, error) {
	begin := v.snapshot(all)
	f := found{acknowledged: begin.acknowledged, unknown: begin.unknown}
	missing := v.awaitSeen(ctx, begin.unseen)
	if len(missing) > missingMax {
		return f, fmt.Errorf("%w: %d commands", errTooManyMissing, len(missing))
	}
	l := newLook(s)
	if err := l.all(ctx, missing, begin); err != nil {
		return f, err
	}
	f.reread = len(begin.reread)
	v.judge(&f, begin, l)
	return f, nil
}

// judge counts. What was looked at and is there is not lost, whatever a check before said.
func (v *evidence) judge(f *found, begin moment, l *look) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for r, s := range l.found {
		delete(v.lost, r)
		delete(v.unreadable, r)
		delete(v.changed, r)
		switch {
		case s.sight == gone:
			v.lost[r] = struct{}{}
			continue
		case s.sight == unreadable:
			v.unreadable[r] = struct{}{}
			continue
		case s.answer != r.told:
			v.changed[r] = struct{}{}
		}
		delete(v.unseen, r)
	}
	for _, at := range l.whole {
		delete(v.broken, at)
	}
	for at, why := range l.broken {
		v.breakLocked(at, why)
	}
	v.fresh = max(0, v.fresh-begin.fresh)
	f.lost, f.doubled, f.changed = int64(len(v.lost)), int64(len(v.doubled)), int64(len(v.changed))
	f.unreadable, f.broken = int64(len(v.unreadable)), int64(len(v.broken))
	f.stored = f.acknowledged - f.lost - f.unreadable
	v.examplesLocked(f)
}

// examplesLocked names one or a few of each kind of fault.
func (v *evidence) examplesLocked(f *found) {
	for _, kind := range []struct {
		of   map[*record]struct{}
		text string
	}{
		{v.lost, "acknowledged, and not in the store"},
		{v.doubled, "stored twice"},
		{v.changed, "stored with another answer than the one that was acknowledged"},
		{v.unreadable, "acknowledged, and where it is stored the record cannot be read"},
	} {
		some := 0
		for r := range maps.Keys(kind.of) {
			if some++; some > examplesMax {
				break
			}
			f.example("%s, command %s: %s%s", r.aggregate, r.id, kind.text, r.where())
		}
	}
	some := 0
	for at, why := range v.broken {
		if some++; some > examplesMax {
			break
		}
		f.example("the record of %s is broken behind version %d: %s", at.aggregate, at.after, why)
	}
}

// where says at which version a command was stored first.
func (r *record) where() string {
	if r.places == 0 {
		return ""
	}
	return fmt.Sprintf(" (version %d)", r.first)
}

const examplesMax = 2 // of each kind

func (f *found) example(format string, args ...any) {
	f.examples = append(f.examples, fmt.Sprintf(format, args...))
}

// moment is what a check is about.
type moment struct {
	acknowledged, unknown int64
	fresh                 int
	unseen                []*record
	reread                []place
	broken                []damage
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
		unseen: slices.Collect(maps.Keys(v.unseen)), broken: slices.Collect(maps.Keys(v.broken)),
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
	for _, wrong := range []map[*record]struct{}{v.lost, v.changed, v.unreadable} { // it may have come back
		m.reread = append(m.reread, v.placesLocked(slices.Collect(maps.Keys(wrong)))...)
	}
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
	ctx, cancel := context.WithTimeout(ctx, v.patience)
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
