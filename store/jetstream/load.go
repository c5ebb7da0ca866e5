package jetstream

import (
	"context"
	"fmt"
	"iter"

	"github.com/ganglion-go/ganglion/store"
)

// Load implements [store.Commits]. It holds about a megabyte of the history at a
// time. A start in the middle costs a binary search, some twenty small reads.
func (s *Store) Load(ctx context.Context, a store.Aggregate, after store.Version) iter.Seq2[store.Commit, error] {
	return func(yield func(store.Commit, error) bool) {
		if err := s.load(ctx, a, after, func(c store.Commit) bool { return yield(c, nil) }); err != nil {
			yield(store.Commit{}, fmt.Errorf("load %q: %w", a, err))
		}
	}
}

func (s *Store) load(ctx context.Context, a store.Aggregate, after store.Version, visit func(store.Commit) bool) error {
	subject := s.subjects.commits(a)
	if tooLong(subject) {
		return nil // such an aggregate cannot have been written
	}
	last, ok, err := s.lastStored(ctx, subject)
	if err != nil || !ok {
		return err
	}
	first, version, err := versionsOf(&last)
	if err != nil {
		return err
	}
	if first <= after {
		return nil
	}
	from := uint64(1)
	if after > 0 {
		if from, err = s.seek(ctx, subject, after, last.seq, first); err != nil {
			return err
		}
	}
	err = s.visitCommits(ctx, a, from, last.seq, after, visit)
	if err != nil {
		return err
	}
	s.versions.note(a, lastCommit{seq: last.seq, version: version})
	return nil
}

// LastVersion implements [store.Commits]. It reads the last commit.
func (s *Store) LastVersion(ctx context.Context, a store.Aggregate) (store.Version, error) {
	subject := s.subjects.commits(a)
	if tooLong(subject) {
		return 0, nil // such an aggregate cannot have been written
	}
	var last store.Version
	m, ok, err := s.lastStored(ctx, subject)
	if err == nil && ok {
		_, last, err = versionsOf(&m)
	}
	if err != nil {
		return 0, fmt.Errorf("last version of %q: %w", a, err)
	}
	return last, nil
}

func (s *Store) lastStored(ctx context.Context, subject string) (stored, bool, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	found, err := s.commits.last(ctx, subject)
	m, ok := found[subject]
	return m, ok, err
}

// seekNear is how many events before the place that is looked for it is near enough:
// they come with the first batch.
const seekNear = 64

// seek returns a sequence at or before the aggregate's first commit with First
// greater than after, with at most seekNear events between the two, and behind the one
// before that if there is none. The commit at last, with its First, is such a commit.
//
// It guesses by how the versions grew so far, as if they had done so evenly, which takes
// one or two requests for an aggregate that is used all the time, and every other time
// halves what is left, so that it takes at most twice the logarithm.
func (s *Store) seek(ctx context.Context, subject string, after store.Version, last uint64, first store.Version) (uint64, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	low, high := uint64(1), last
	below, above := store.Version(0), first // the version before low, that at high
	for halve := false; low < high; halve = !halve {
		at := low + (high-low)/2
		if !halve {
			share := float64(after-below-min(after-below, seekNear/2)) / float64(above-below)
			at = min(low+uint64(share*float64(high-low)), high-1)
		}
		a, err := s.commits.next(ctx, &getRequest{Sequence: at, Next: subject, Batch: 1})
		if err != nil {
			return 0, err
		}
		m := a.messages[0]
		found, _, err := versionsOf(&m)
		switch {
		case err != nil:
			return 0, err
		case found > after:
			high, above = at, found
		case after-found < seekNear:
			return m.seq, nil
		default:
			low, below = m.seq+1, found
		}
	}
	return low, nil
}

// visitCommits reads the aggregate's commits with First > after from one sequence to
// another, and checks that none is missing between them. Those before are not decoded.
func (s *Store) visitCommits(ctx context.Context, a store.Aggregate, from, to uint64, after store.Version, visit func(store.Commit) bool) error {
	var next store.Version
	return s.commits.scan(ctx, s.subjects.commits(a), from, to, func(m stored) (bool, error) {
		first, last, err := versionsOf(&m)
		if err == nil && first <= after {
			next = max(last, after) + 1 // what is missing up to after is not asked for
			return true, nil
		}
		c, err := decodeCommit(&m)
		switch {
		case err != nil:
			return false, err
		case c.Aggregate != a:
			return false, fmt.Errorf("the commit at %d is of %q: %w", m.seq, c.Aggregate, store.ErrCorrupt)
		case next > 0 && c.First != next, from == 1 && next == 0 && c.First != 1:
			return false, fmt.Errorf("the commit at %d: %w", m.seq, &store.GapError{Aggregate: a, After: max(next, 1) - 1, Found: c.First})
		}
		next = c.Last() + 1
		return visit(c), nil
	})
}
