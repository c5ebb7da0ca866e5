package memory

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/ganglion-go/ganglion/store"
)

// ListAggregates implements [store.Aggregates]. It looks at the addresses of all
// aggregates.
func (s *Store) ListAggregates(ctx context.Context, r store.AggregateRange) iter.Seq2[store.Aggregate, error] {
	return func(yield func(store.Aggregate, error) bool) {
		if err := readable(ctx); err != nil {
			yield("", fmt.Errorf("list aggregates: %w", err))
			return
		}
		yielded := 0
		for _, a := range s.selected(&r) {
			if !s.isSomething(a, r.Ignore) {
				continue
			}
			if yielded++; !yield(a, nil) || yielded == r.Limit {
				return
			}
		}
	}
}

// selected returns the addresses of a range, sorted.
func (s *Store) selected(r *store.AggregateRange) []store.Aggregate {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []store.Aggregate
	for a := range s.histories {
		if strings.HasPrefix(string(a), r.Prefix) && a > r.After {
			all = append(all, a)
		}
	}
	slices.Sort(all)
	return all
}

// isSomething reports whether a history has an event of another name than those.
func (s *Store) isSomething(a store.Aggregate, ignore []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.histories[a] {
		for _, e := range s.log[i].Events {
			if !slices.Contains(ignore, e.Name) {
				return true
			}
		}
	}
	return false
}
