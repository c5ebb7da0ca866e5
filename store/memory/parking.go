package memory

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/ganglion-go/ganglion/store"
)

// Park implements [store.Parking].
func (s *Store) Park(ctx context.Context, p store.Parked) error {
	if err := writable(ctx); err != nil {
		return fmt.Errorf("park: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parked[outcomeKey{p.Aggregate, p.CommandID}] = cloneParked(p)
	return nil
}

// ListParked implements [store.Parking].
func (s *Store) ListParked(ctx context.Context, a store.Aggregate) iter.Seq2[store.Parked, error] {
	return func(yield func(store.Parked, error) bool) {
		if err := readable(ctx); err != nil {
			yield(store.Parked{}, fmt.Errorf("list parked: %w", err))
			return
		}
		for _, p := range s.parkedOf(a) {
			if !yield(cloneParked(p), nil) {
				return
			}
		}
	}
}

func (s *Store) parkedOf(a store.Aggregate) []store.Parked {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []store.Parked
	for _, p := range s.parked {
		if a == "" || p.Aggregate == a {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b store.Parked) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Aggregate, b.Aggregate), cmp.Compare(a.CommandID, b.CommandID))
	})
	return list
}

// FindParked implements [store.Parking].
func (s *Store) FindParked(ctx context.Context, a store.Aggregate, commandID string) (store.Parked, bool, error) {
	if err := readable(ctx); err != nil {
		return store.Parked{}, false, fmt.Errorf("find parked: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, found := s.parked[outcomeKey{a, commandID}]
	return cloneParked(p), found, nil
}

// Unpark implements [store.Parking].
func (s *Store) Unpark(ctx context.Context, a store.Aggregate, commandID string) error {
	if err := writable(ctx); err != nil {
		return fmt.Errorf("unpark: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.parked, outcomeKey{a, commandID})
	return nil
}

// CountParked implements [store.Parking].
func (s *Store) CountParked(ctx context.Context, limit int) (int, error) {
	if err := readable(ctx); err != nil {
		return 0, fmt.Errorf("count parked: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(len(s.parked), limit), nil
}
