package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ganglion-go/ganglion/store"
)

const (
	// claimGroup is how many partitions one multi-get reads.
	claimGroup = 500
	// maxPartition bounds the number of groups.
	maxPartition = 1 << 16
)

type claimRecord struct {
	Format    int             `json:"format"`
	Partition store.Partition `json:"partition"`
	Owner     string          `json:"owner,omitempty"`
	Session   string          `json:"session,omitempty"`
	Epoch     uint64          `json:"epoch"`
	Watermark positionRecord  `json:"watermark,omitzero"`
	Carry     string          `json:"carry,omitempty"`
	Revision  uint64          `json:"revision,omitempty"`
	Deaths    int             `json:"deaths,omitempty"`
	Suspect   string          `json:"suspect,omitempty"`
}

func newClaimRecord(c *store.Claim) *claimRecord {
	return &claimRecord{
		Format: recordFormat, Partition: c.Partition, Owner: c.Owner, Session: c.Session, Epoch: c.Epoch,
		Watermark: positionRecord(c.Watermark), Carry: c.Carry, Revision: c.Revision,
		Deaths: c.Deaths, Suspect: c.Suspect,
	}
}

func decodeClaim(m *stored) (store.Claim, error) {
	var r claimRecord
	if err := decodeRecord(m.data, &r); err != nil {
		return store.Claim{}, fmt.Errorf("claim at %d: %w", m.seq, err)
	}
	if r.Format != recordFormat {
		return store.Claim{}, fmt.Errorf("claim at %d has format %d: %w", m.seq, r.Format, store.ErrCorrupt)
	}
	return store.Claim{
		Partition: r.Partition, Owner: r.Owner, Session: r.Session, Epoch: r.Epoch, Watermark: store.Position(r.Watermark),
		Carry: r.Carry, Revision: r.Revision, Deaths: r.Deaths, Suspect: r.Suspect,
	}, nil
}

// Claims implements [store.Leases].
func (s *Store) Claims(ctx context.Context) ([]store.Claim, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	all, err := s.allClaims(ctx)
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	slices.SortFunc(all, func(a, b store.Claim) int { return cmp.Compare(a.Partition, b.Partition) })
	for i := range all {
		all[i].Carry = ""
	}
	return all, nil
}

func (s *Store) allClaims(ctx context.Context) ([]store.Claim, error) {
	found, err := s.leases.last(ctx, s.subjects.claimGroups(), s.subjects.claims(0))
	if err != nil {
		return nil, err
	}
	highest, err := highestGroup(found[s.subjects.claimGroups()])
	if err != nil {
		return nil, err
	}
	delete(found, s.subjects.claimGroups())
	for group := 1; group <= highest; group++ {
		more, err := s.leases.last(ctx, s.subjects.claims(group))
		if err != nil {
			return nil, err
		}
		maps.Copy(found, more)
	}
	all := make([]store.Claim, 0, len(found))
	for _, m := range found {
		c, err := decodeClaim(&m)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// groupsRecord tells readers how many groups of claims there are to read.
type groupsRecord struct {
	Highest int `json:"highest"`
}

// highestGroup is 0 when there is no record.
func highestGroup(m stored) (int, error) {
	if m.seq == 0 {
		return 0, nil
	}
	var r groupsRecord
	err := decodeRecord(m.data, &r)
	return r.Highest, err
}

// openGroups makes sure that readers look for claims in all groups up to one.
func (s *Store) openGroups(ctx context.Context, highest int) error {
	if highest == 0 {
		return nil
	}
	subject := s.subjects.claimGroups()
	c := &conditional{subject: subject}
	s.leases.writeAll(ctx, []*conditional{c}, func(ctx context.Context, _ []*conditional, _ int) error {
		found, err := s.leases.last(ctx, subject)
		if err != nil {
			return err
		}
		known, err := highestGroup(found[subject])
		if err != nil {
			return err
		}
		c.settled = known >= highest
		c.expected = found[subject].seq
		c.data, err = encodeRecord(groupsRecord{Highest: highest})
		return err
	})
	return c.err
}

// TakeClaims implements [store.Leases]. Partitions go up to 65,535.
func (s *Store) TakeClaims(ctx context.Context, by store.Session, want []store.Claim) ([]store.Claim, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	held, err := s.takeClaims(ctx, by, want)
	if err != nil {
		return held, fmt.Errorf("take claims: %w", err)
	}
	return held, nil
}

func (s *Store) takeClaims(ctx context.Context, by store.Session, want []store.Claim) ([]store.Claim, error) {
	if err := writable(ctx); err != nil {
		return nil, err
	}
	group := 0
	for i := range want {
		if want[i].Partition >= maxPartition {
			return nil, fmt.Errorf("partition %d: %w", want[i].Partition, store.ErrTooLarge)
		}
		group = max(group, claimGroupOf(want[i].Partition))
	}
	if err := s.openGroups(ctx, group); err != nil {
		return nil, unknown(err)
	}
	taken, errs := s.changeClaims(ctx, want, func(kept keptClaim, _ *store.Claim) (store.Claim, bool) {
		if kept.claim.Session != "" && kept.claim.Session != by.Incarnation {
			kept.claim.Deaths++
		}
		kept.claim.Owner, kept.claim.Session = by.Name, by.Incarnation
		kept.claim.Epoch++
		kept.claim.Revision = 0
		return kept.claim, true
	})
	if len(taken) > 0 {
		if _, err := s.commits.barrier(ctx); err != nil {
			return nil, unknown(err)
		}
	}
	return taken, errors.Join(slices.DeleteFunc(errs, isLost)...)
}

func isLost(err error) bool { return errors.Is(err, store.ErrLost) }

// claimChange makes a new claim of one that is as expected. false: it is lost.
type claimChange func(kept keptClaim, expected *store.Claim) (store.Claim, bool)

// changeClaims changes each claim that still has the session and epoch given,
// and returns the changed ones in order, and an error for each other one.
func (s *Store) changeClaims(ctx context.Context, expected []store.Claim, change claimChange) (changed []store.Claim, errs []error) {
	all := make([]*conditional, len(expected))
	of := make(map[*conditional]int, len(expected))
	written := make([]store.Claim, len(expected))
	for i := range expected {
		all[i] = &conditional{subject: s.subjects.claim(expected[i].Partition)}
		of[all[i]] = i
	}
	s.leases.writeAll(ctx, all, func(ctx context.Context, todo []*conditional, _ int) error {
		found, err := s.lastClaims(ctx, todo)
		if err != nil {
			return err
		}
		for _, c := range todo {
			i := of[c]
			kept := found[c.subject]
			kept.claim.Partition = expected[i].Partition
			same := kept.claim.Session == expected[i].Session && kept.claim.Epoch == expected[i].Epoch
			if same {
				written[i], same = change(kept, &expected[i])
			}
			if !same {
				c.fail(store.ErrLost)
				continue
			}
			c.expected = kept.seq
			if c.data, err = encodeRecord(newClaimRecord(&written[i])); err != nil {
				return err
			}
		}
		return nil
	})
	for i, c := range all {
		if c.err != nil {
			errs = append(errs, c.err)
			continue
		}
		changed = append(changed, written[i])
	}
	return changed, errs
}

// keptClaim is a claim as stored. The zero value stands for none.
type keptClaim struct {
	claim store.Claim
	seq   uint64
}

func (s *Store) lastClaims(ctx context.Context, of []*conditional) (map[string]keptClaim, error) {
	all := make(map[string]keptClaim, len(of))
	for chunk := range slices.Chunk(of, claimGroup) {
		var filters []string
		for _, c := range chunk {
			filters = append(filters, c.subject)
		}
		found, err := s.leases.last(ctx, filters...)
		if err != nil {
			return nil, err
		}
		for subject, m := range found {
			claim, err := decodeClaim(&m)
			if err != nil {
				return nil, err
			}
			all[subject] = keptClaim{claim, m.seq}
		}
	}
	return all, nil
}

// SaveWatermarks implements [store.Leases].
func (s *Store) SaveWatermarks(ctx context.Context, held []store.Claim) error {
	return s.changeHeld(ctx, "save watermarks", held, func(kept keptClaim, held *store.Claim) (store.Claim, bool) {
		return kept.saved(held)
	})
}

// ReleaseClaims implements [store.Leases].
func (s *Store) ReleaseClaims(ctx context.Context, held []store.Claim) error {
	return s.changeHeld(ctx, "release claims", held, func(kept keptClaim, held *store.Claim) (store.Claim, bool) {
		released, ok := kept.saved(held)
		released.Owner, released.Session = "", ""
		return released, ok
	})
}

// saved is the claim with what its holder saves. false: it has a later saving, or
// was never taken.
func (k keptClaim) saved(held *store.Claim) (store.Claim, bool) {
	ok := k.seq > 0 && k.claim.Revision <= held.Revision
	k.claim.Watermark, k.claim.Carry, k.claim.Revision = held.Watermark, held.Carry, held.Revision
	k.claim.Deaths, k.claim.Suspect = held.Deaths, held.Suspect
	return k.claim, ok
}

func (s *Store) changeHeld(ctx context.Context, what string, held []store.Claim, change claimChange) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	if err := writable(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	_, errs := s.changeClaims(ctx, held, change)
	if len(errs) == 0 {
		return nil
	}
	worst := errs[0]
	for _, err := range errs {
		if !isLost(err) { // an unknown outcome outweighs a lost claim
			worst = err
		}
	}
	return fmt.Errorf("%s: %d of %d claims: %w", what, len(errs), len(held), worst)
}
