package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/ganglion-go/ganglion/store"
)

// sight is how a command was found.
type sight int

const (
	gone       sight = iota // it is not stored where it was, or nowhere
	there                   // it is
	unreadable              // what is stored there cannot be understood
)

// seenAs is what a look at a command came to.
type seenAs struct {
	sight  sight
	answer digest // if it is there
}

// look reads what the store has of some commands. A history with a gap, or with a commit that
// cannot be understood, is read on behind it: what a check knows is then as much as there
// is, and where the record is broken. It is safe for concurrent use.
type look struct {
	store store.Store

	mu     sync.Mutex
	found  map[*record]seenAs
	broken map[damage]error
	whole  []damage // those of before that are no more
}

func newLook(s store.Store) *look {
	return &look{store: s, found: map[*record]seenAs{}, broken: map[damage]error{}}
}

// all looks for commands wherever they may be, reads others again where they were, and looks
// whether what was broken still is.
func (l *look) all(ctx context.Context, missing []*record, m moment) error {
	if err := each(ctx, missing, l.lookUp); err != nil {
		return fmt.Errorf("look commands up: %w", err)
	}
	byAggregate := map[store.Aggregate][]place{}
	for _, p := range m.reread {
		byAggregate[p.aggregate] = append(byAggregate[p.aggregate], p)
	}
	if err := each(ctx, slices.Collect(maps.Values(byAggregate)), l.readAgain); err != nil {
		return fmt.Errorf("read commits again: %w", err)
	}
	if err := each(ctx, m.broken, l.stillBroken); err != nil {
		return fmt.Errorf("read damaged histories again: %w", err)
	}
	return nil
}

func (l *look) note(r *record, s seenAs) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found[r] = s
}

func (l *look) breaks(a store.Aggregate, after store.Version, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken[damage{a, after}] = why
}

// lookUp looks for a command in the history of its aggregate.
func (l *look) lookUp(ctx context.Context, r *record) error {
	known, is, err := l.store.FindOutcome(ctx, r.aggregate, r.id, false)
	switch {
	case errors.Is(err, store.ErrCorrupt):
		return l.search(ctx, r)
	case err != nil:
		return err
	case !is:
		l.note(r, seenAs{sight: gone})
	default:
		l.note(r, seenAs{there, digestOf(&known.Outcome)})
	}
	return nil
}

// stumblesMax bounds how often a search goes on behind a commit that cannot be understood,
// without one between that can.
const stumblesMax = 100

// search looks for a command in what can be read of a damaged history.
func (l *look) search(ctx context.Context, r *record) error {
	after, stumbles, blind := store.Version(0), 0, false
	for stumbles < stumblesMax {
		last, found, err := l.searchFrom(ctx, r, after)
		gap, isGap := errors.AsType[*store.GapError](err)
		switch {
		case found:
			return nil
		case err == nil && blind:
			l.note(r, seenAs{sight: unreadable})
			return nil
		case err == nil:
			l.note(r, seenAs{sight: gone})
			return nil
		case !errors.Is(err, store.ErrCorrupt):
			return err
		case last > after:
			stumbles = 0
		}
		l.breaks(r.aggregate, last, err)
		stumbles++
		if isGap && gap.Found > last+1 {
			after = gap.Found - 1
			continue
		}
		after, blind = last+1, true
	}
	l.note(r, seenAs{sight: unreadable})
	return nil
}

// searchFrom reads on up to a command, to the end or to the next damage. last is the version
// up to which it got.
func (l *look) searchFrom(ctx context.Context, r *record, after store.Version) (last store.Version, found bool, err error) {
	last = after
	for c, err := range l.store.Load(ctx, r.aggregate, after) {
		if err != nil {
			return last, false, err
		}
		for i := range c.Outcomes {
			if c.Outcomes[i].CommandID == r.id {
				l.note(r, seenAs{there, digestOf(&c.Outcomes[i])})
				return last, true, nil
			}
		}
		last = c.Last()
	}
	return last, false, nil
}

// following is Load, but that the first commit must follow on a version, which is the end of one.
func (l *look) following(ctx context.Context, a store.Aggregate, after store.Version) iter.Seq2[store.Commit, error] {
	return func(yield func(store.Commit, error) bool) {
		last := after
		for c, err := range l.store.Load(ctx, a, after) {
			if err == nil && c.First != last+1 {
				err = &store.GapError{Aggregate: a, After: last, Found: c.First}
			}
			if !yield(c, err) || err != nil {
				return
			}
			last = c.Last()
		}
	}
}

// readAgain reads the commits of one history where they were.
func (l *look) readAgain(ctx context.Context, wanted []place) error {
	slices.SortFunc(wanted, func(a, b place) int { return cmp.Compare(a.first, b.first) })
	for len(wanted) > 0 { // each turn finds one at least
		var err error
		if wanted, err = l.stretch(ctx, wanted); err != nil {
			return err
		}
	}
	return nil
}

// stretch reads from the first to the last of the wanted commits, or up to damage: it returns
// those that may be behind it.
func (l *look) stretch(ctx context.Context, wanted []place) ([]place, error) {
	a, last := wanted[0].aggregate, wanted[0].first-1
	for c, err := range l.following(ctx, a, last) {
		switch {
		case errors.Is(err, store.ErrCorrupt):
			return l.damaged(wanted, last, err), nil
		case err != nil:
			return nil, err
		}
		wanted = l.passed(wanted, c.First, gone) // a commit that began there is not there
		for ; len(wanted) > 0 && wanted[0].first == c.First; wanted = wanted[1:] {
			l.note(wanted[0].record, wanted[0].in(&c))
		}
		if len(wanted) == 0 {
			return nil, nil
		}
		last = c.Last()
	}
	return l.passed(wanted, 0, gone), nil
}

// damaged notes damage behind a version, and what it means for the commands there.
func (l *look) damaged(wanted []place, last store.Version, err error) []place {
	l.breaks(wanted[0].aggregate, last, err)
	if gap, is := errors.AsType[*store.GapError](err); is {
		return l.passed(wanted, max(gap.Found, last+2), gone)
	}
	return l.passed(wanted, last+2, unreadable)
}

// passed notes the same of all wanted commits that begin before a version, 0: of all, and
// returns the others.
func (l *look) passed(wanted []place, before store.Version, s sight) []place {
	for ; len(wanted) > 0 && (before == 0 || wanted[0].first < before); wanted = wanted[1:] {
		l.note(wanted[0].record, seenAs{sight: s})
	}
	return wanted
}

// in is how the command is found in the commit at its place.
func (p *place) in(c *store.Commit) seenAs {
	if p.index >= len(c.Outcomes) || c.Outcomes[p.index].CommandID != p.id {
		return seenAs{sight: gone}
	}
	return seenAs{there, digestOf(&c.Outcomes[p.index])}
}

// stillBroken looks whether a history can be read on at a place where it could not.
func (l *look) stillBroken(ctx context.Context, at damage) error {
	for _, err := range l.following(ctx, at.aggregate, at.after) {
		switch {
		case errors.Is(err, store.ErrCorrupt):
			l.breaks(at.aggregate, at.after, err)
			return nil
		case err != nil:
			return err
		}
		break
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.whole = append(l.whole, at)
	return nil
}
