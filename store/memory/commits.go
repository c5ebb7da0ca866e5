package memory

import (
	"context"
	"fmt"
	"iter"
	"sort"

	"github.com/ganglion-go/ganglion/store"
)

// Append implements [store.Commits]. A commit that does not start right after
// the history's last event is a conflict, also when it would leave a gap.
func (s *Store) Append(ctx context.Context, commits []store.Commit) []error {
	errs := make([]error, len(commits))
	if err := writable(ctx); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.log)
	for i := range commits {
		errs[i] = s.appendLocked(&commits[i])
	}
	if len(s.log) > before {
		close(s.grown)
		s.grown = make(chan struct{})
	}
	return errs
}

func (s *Store) appendLocked(c *store.Commit) error {
	if n := c.Size(); n > MaxCommitBytes {
		return fmt.Errorf("commit of %d bytes, the limit is %d: %w", n, MaxCommitBytes, store.ErrTooLarge)
	}
	if last := s.lastLocked(c.Aggregate); c.First != last+1 {
		return fmt.Errorf("append version %d of %q at version %d: %w", c.First, c.Aggregate, last, store.ErrConflict)
	}
	kept := cloneCommit(c)
	s.histories[c.Aggregate] = append(s.histories[c.Aggregate], len(s.log))
	s.log = append(s.log, kept)
	kept.OutcomeVersions(func(o *store.Outcome, v store.Version) {
		if o.Keyed {
			s.keyed[outcomeKey{c.Aggregate, o.CommandID}] = store.Recorded{Outcome: *o, Version: v}
		}
	})
	return nil
}

func (s *Store) lastLocked(a store.Aggregate) store.Version {
	history := s.histories[a]
	if len(history) == 0 {
		return 0
	}
	return s.log[history[len(history)-1]].Last()
}

// Load implements [store.Commits].
func (s *Store) Load(ctx context.Context, a store.Aggregate, after store.Version) iter.Seq2[store.Commit, error] {
	return func(yield func(store.Commit, error) bool) {
		for next := 0; ; next++ {
			if err := readable(ctx); err != nil {
				yield(store.Commit{}, fmt.Errorf("load %q: %w", a, err))
				return
			}
			c, at, ok := s.commitAfter(a, next, after)
			if !ok || !yield(c, nil) {
				return
			}
			next = at
		}
	}
}

// commitAfter returns the commit at an index of the aggregate's history; at index 0,
// the first one whose First is greater than after, with its index.
func (s *Store) commitAfter(a store.Aggregate, from int, after store.Version) (store.Commit, int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	history := s.histories[a]
	if from == 0 {
		from = sort.Search(len(history), func(i int) bool { return s.log[history[i]].First > after })
	}
	if from >= len(history) {
		return store.Commit{}, 0, false
	}
	return cloneCommit(&s.log[history[from]]), from, true
}

// LastVersion implements [store.Commits].
func (s *Store) LastVersion(ctx context.Context, a store.Aggregate) (store.Version, error) {
	if err := readable(ctx); err != nil {
		return 0, fmt.Errorf("last version of %q: %w", a, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastLocked(a), nil
}

// FindOutcome implements [store.Commits].
func (s *Store) FindOutcome(ctx context.Context, a store.Aggregate, commandID string, keyed bool) (store.Recorded, bool, error) {
	if err := readable(ctx); err != nil {
		return store.Recorded{}, false, fmt.Errorf("find outcome: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if keyed {
		r, ok := s.keyed[outcomeKey{a, commandID}]
		r.Outcome = cloneOutcome(&r.Outcome)
		return r, ok, nil
	}
	var found store.Recorded
	var ok bool
	for _, i := range s.histories[a] {
		s.log[i].OutcomeVersions(func(o *store.Outcome, v store.Version) {
			if !ok && o.CommandID == commandID {
				found, ok = store.Recorded{Outcome: cloneOutcome(o), Version: v}, true
			}
		})
	}
	return found, ok, nil
}
