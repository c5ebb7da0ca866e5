package memory

import (
	"context"
	"fmt"

	"github.com/ganglion-go/ganglion/store"
)

// SaveSnapshot implements [store.Snapshots].
func (s *Store) SaveSnapshot(ctx context.Context, snapshot store.Snapshot) error {
	if err := writable(ctx); err != nil {
		return fmt.Errorf("save snapshot: %w", err)
	}
	if n := len(snapshot.State) + len(snapshot.Ring); n > MaxCommitBytes {
		return fmt.Errorf("snapshot of %d bytes, the limit is %d: %w", n, MaxCommitBytes, store.ErrTooLarge)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.snapshots[snapshot.Aggregate]
	if ok && old.Schema == snapshot.Schema && old.Version >= snapshot.Version {
		return nil
	}
	s.snapshots[snapshot.Aggregate] = cloneSnapshot(snapshot)
	return nil
}

// LoadSnapshot implements [store.Snapshots].
func (s *Store) LoadSnapshot(ctx context.Context, a store.Aggregate, schema string) (store.Snapshot, bool, error) {
	if err := readable(ctx); err != nil {
		return store.Snapshot{}, false, fmt.Errorf("load snapshot: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot, ok := s.snapshots[a]
	if !ok || snapshot.Schema != schema {
		return store.Snapshot{}, false, nil
	}
	return cloneSnapshot(snapshot), true, nil
}
