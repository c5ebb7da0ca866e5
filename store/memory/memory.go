package memory

import (
	"context"
	"fmt"
	"sync"

	"github.com/ganglion-go/ganglion/store"
)

// MaxCommitBytes is the largest commit, by [store.Commit.Size], and the largest
// state of a snapshot that a [Store] takes.
const MaxCommitBytes = 15 << 20

// Store keeps everything in maps. Make one with [New].
type Store struct {
	mu        sync.Mutex
	log       []store.Commit // all commits, in commit order: the feed
	histories map[store.Aggregate][]int
	keyed     map[outcomeKey]store.Recorded
	snapshots map[store.Aggregate]store.Snapshot
	sessions  map[string]store.Session
	claims    map[store.Partition]store.Claim
	parked    map[outcomeKey]store.Parked
	binding   store.Binding
	grown     chan struct{} // closed and replaced when log grows
}

var _ store.Store = (*Store)(nil)

type outcomeKey struct {
	aggregate store.Aggregate
	commandID string
}

// New returns an empty store.
func New() *Store {
	return &Store{
		histories: map[store.Aggregate][]int{},
		keyed:     map[outcomeKey]store.Recorded{},
		snapshots: map[store.Aggregate]store.Snapshot{},
		sessions:  map[string]store.Session{},
		claims:    map[store.Partition]store.Claim{},
		parked:    map[outcomeKey]store.Parked{},
		grown:     make(chan struct{}),
	}
}

// Ping implements [store.Store].
func (s *Store) Ping(ctx context.Context) error { return readable(ctx) }

// readable is the error of a read whose context has ended.
func readable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return nil
}

// writable is the error of a write whose context has ended.
func writable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnknown, err)
	}
	return nil
}
