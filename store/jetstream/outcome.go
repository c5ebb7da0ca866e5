package jetstream

import (
	"container/list"
	"context"
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/ganglion-go/ganglion/store"
)

// FindOutcome implements [store.Commits], with no difference between keyed and
// other ids. It asks for the aggregate's last commit, reads the commits that it
// has not seen yet, and at most one more: the first call for an aggregate reads
// its whole history. An aggregate with more outcomes than [Config.Outcomes] is
// read whole each time.
func (s *Store) FindOutcome(ctx context.Context, a store.Aggregate, commandID string, _ bool) (store.Recorded, bool, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	r, found, err := s.findOutcome(ctx, a, commandID)
	if err != nil {
		return store.Recorded{}, false, fmt.Errorf("find outcome in %q: %w", a, err)
	}
	return r, found, nil
}

func (s *Store) findOutcome(ctx context.Context, a store.Aggregate, commandID string) (store.Recorded, bool, error) {
	subject := s.subjects.commits(a)
	if tooLong(subject) {
		return store.Recorded{}, false, nil
	}
	last, ok, err := s.lastStored(ctx, subject)
	if err != nil || !ok {
		return store.Recorded{}, false, err
	}
	ids := s.outcomes.take(a)
	if ids.through < last.seq {
		err := s.commits.scan(ctx, subject, ids.through+1, last.seq, func(m stored) (bool, error) {
			c, err := decodeCommit(&m)
			if err != nil {
				return false, err
			}
			for i := range c.Outcomes {
				ids.places[s.outcomes.hash(c.Outcomes[i].CommandID)] = m.seq
			}
			return true, nil
		})
		if err != nil {
			return store.Recorded{}, false, err // what was read of it is forgotten
		}
		ids.through = last.seq
	}
	at, maybe := ids.places[s.outcomes.hash(commandID)]
	s.outcomes.put(a, ids)
	if !maybe {
		return store.Recorded{}, false, nil
	}
	if r, found, err := s.outcomeIn(ctx, a, commandID, at, at); err != nil || found {
		return r, found, err
	}
	// Two ids with one hash: only the history can tell.
	return s.outcomeIn(ctx, a, commandID, 1, last.seq)
}

// outcomeIn looks an outcome up in the commits of a range of sequences.
func (s *Store) outcomeIn(ctx context.Context, a store.Aggregate, commandID string, from, to uint64) (r store.Recorded, found bool, err error) {
	err = s.commits.scan(ctx, s.subjects.commits(a), from, to, func(m stored) (bool, error) {
		c, err := decodeCommit(&m)
		if err != nil {
			return false, err
		}
		c.OutcomeVersions(func(o *store.Outcome, v store.Version) {
			if !found && o.CommandID == commandID {
				r, found = store.Recorded{Outcome: *o, Version: v}, true
			}
		})
		return !found, nil
	})
	return r, found, err
}

// outcomeIndex remembers where the outcomes of aggregates are, by the hash of
// their command ids, for the aggregates that were asked about most recently.
type outcomeIndex struct {
	seed maphash.Seed
	max  int

	mu      sync.Mutex
	entries map[store.Aggregate]*list.Element
	recent  *list.List // of indexEntry, most recent first
	count   int        // outcomes in all entries
}

type indexEntry struct {
	aggregate store.Aggregate
	ids       outcomeIDs
}

// outcomeIDs are the outcomes of an aggregate's commits up to a sequence.
type outcomeIDs struct {
	through uint64
	places  map[uint64]uint64 // hash of the command id to the commit's sequence
}

func newOutcomeIndex(most int) *outcomeIndex {
	return &outcomeIndex{seed: maphash.MakeSeed(), max: most, entries: map[store.Aggregate]*list.Element{}, recent: list.New()}
}

func (x *outcomeIndex) hash(commandID string) uint64 { return maphash.String(x.seed, commandID) }

// take removes what is known of an aggregate, so that the caller owns it while
// it reads on. A second caller meanwhile starts from nothing.
func (x *outcomeIndex) take(a store.Aggregate) outcomeIDs {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.entries[a]; e != nil {
		return x.removeLocked(e)
	}
	return outcomeIDs{places: map[uint64]uint64{}}
}

// put gives back what [outcomeIndex.take] returned. Of two versions the one that
// reaches further stays. The caller must not use ids any more.
func (x *outcomeIndex) put(a store.Aggregate, ids outcomeIDs) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.entries[a]; e != nil {
		if other := x.removeLocked(e); other.through > ids.through {
			ids = other
		}
	}
	x.entries[a] = x.recent.PushFront(indexEntry{a, ids})
	x.count += len(ids.places)
	for x.count > x.max {
		x.removeLocked(x.recent.Back())
	}
}

func (x *outcomeIndex) removeLocked(e *list.Element) outcomeIDs {
	entry, _ := e.Value.(indexEntry)
	delete(x.entries, entry.aggregate)
	x.recent.Remove(e)
	x.count -= len(entry.ids.places)
	return entry.ids
}
