package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/ganglion-go/ganglion/store"
)

// Claims implements [store.Leases].
func (s *Store) Claims(ctx context.Context) ([]store.Claim, error) {
	if err := readable(ctx); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.SortedFunc(maps.Values(s.claims), func(a, b store.Claim) int { return cmp.Compare(a.Partition, b.Partition) })
	for i := range all {
		all[i].Carry = ""
	}
	return all, nil
}

// TakeClaims implements [store.Leases].
func (s *Store) TakeClaims(ctx context.Context, by store.Session, want []store.Claim) ([]store.Claim, error) {
	if err := writable(ctx); err != nil {
		return nil, fmt.Errorf("take claims: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var held []store.Claim
	for i := range want {
		kept := s.claims[want[i].Partition]
		if !sameHold(&kept, &want[i]) {
			continue
		}
		kept.Partition = want[i].Partition
		kept.Deaths += deathOf(&kept, by)
		kept.Owner, kept.Session = by.Name, by.Incarnation
		kept.Epoch++
		kept.Revision = 0
		s.claims[kept.Partition] = kept
		held = append(held, kept)
	}
	return held, nil
}

// SaveWatermarks implements [store.Leases].
func (s *Store) SaveWatermarks(ctx context.Context, held []store.Claim) error {
	return s.changeHeld(ctx, held, "save watermarks", func(kept *store.Claim) {})
}

// ReleaseClaims implements [store.Leases].
func (s *Store) ReleaseClaims(ctx context.Context, held []store.Claim) error {
	return s.changeHeld(ctx, held, "release claims", func(kept *store.Claim) { kept.Owner, kept.Session = "", "" })
}

// changeHeld saves watermark and carry of each claim that is still held as the caller
// says, and changes it.
func (s *Store) changeHeld(ctx context.Context, held []store.Claim, what string, change func(*store.Claim)) error {
	if err := writable(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	lost := 0
	for i := range held {
		kept, ok := s.claims[held[i].Partition]
		if !ok || !sameHold(&kept, &held[i]) || kept.Revision > held[i].Revision {
			lost++
			continue
		}
		kept.Watermark, kept.Carry, kept.Revision = held[i].Watermark, held[i].Carry, held[i].Revision
		kept.Deaths, kept.Suspect = held[i].Deaths, held[i].Suspect
		change(&kept)
		s.claims[kept.Partition] = kept
	}
	if lost > 0 {
		return fmt.Errorf("%s: %d of %d: %w", what, lost, len(held), store.ErrLost)
	}
	return nil
}

// deathOf is 1 for a claim that is taken from a session that did not release it.
func deathOf(c *store.Claim, by store.Session) int {
	if c.Session == "" || c.Session == by.Incarnation {
		return 0
	}
	return 1
}

func sameHold(a, b *store.Claim) bool { return a.Session == b.Session && a.Epoch == b.Epoch }
