package jetstream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/store"
)

// listChunk is how many aggregates are looked at with one request.
const listChunk = 100

// ListAggregates implements [store.Aggregates]. The first call for a kind, or for all kinds
// by a prefix without a slash, asks the server for the subjects of all its aggregates, from the
// index that it has of them; the list is kept while it is asked for, 500,000 addresses at the
// most, and a later call reads what was committed since. With Ignore, the last commit of each
// aggregate is read, 100 with a request, and the whole history of one whose last commit holds
// nothing that counts, until something does. With 100,000 aggregates of the kind, on two busy
// cores, the first page of 100 took 0.6 s and the others 6 ms; beyond some hundred thousand, a
// first read within the timeout is not to be counted on.
func (s *Store) ListAggregates(ctx context.Context, r store.AggregateRange) iter.Seq2[store.Aggregate, error] {
	return func(yield func(store.Aggregate, error) bool) {
		if err := s.listAggregates(ctx, &r, func(a store.Aggregate) bool { return yield(a, nil) }); err != nil {
			yield("", fmt.Errorf("list aggregates: %w", err))
		}
	}
}

func (s *Store) listAggregates(ctx context.Context, r *store.AggregateRange, visit func(store.Aggregate) bool) error {
	all, err := s.addresses(ctx, r)
	if err != nil {
		return err
	}
	yielded := 0
	for some := range slices.Chunk(all, listChunk) {
		if r.Limit > 0 && len(r.Ignore) == 0 {
			some = some[:min(len(some), r.Limit-yielded)]
		}
		if some, err = s.besides(ctx, some, r.Ignore); err != nil {
			return err
		}
		for _, a := range some {
			if yielded++; !visit(a) || yielded == r.Limit {
				return nil
			}
		}
	}
	return nil
}

// addresses returns all addresses of a range, sorted. The order of the subjects is
// another one.
func (s *Store) addresses(ctx context.Context, r *store.AggregateRange) ([]store.Aggregate, error) {
	kind := allKinds
	if of, _, ok := strings.Cut(r.Prefix, "/"); ok {
		kind = encodeToken(of)
	}
	if tooLong(s.subjects.ofKind(kind)) {
		return nil, nil
	}
	all, err := s.listed(ctx, kind)
	if err != nil {
		return nil, err
	}
	from := store.Aggregate(r.Prefix)
	if r.After >= from {
		from = r.After + "\x00"
	}
	first, _ := slices.BinarySearch(all, from)
	all = all[first:]
	if end := slices.IndexFunc(all, func(a store.Aggregate) bool { return !strings.HasPrefix(string(a), r.Prefix) }); end >= 0 {
		all = all[:end]
	}
	return all, nil
}

// subjects asks the leader for the subjects that match a filter.
func (st *stream) subjects(ctx context.Context, filter string) (map[string]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, st.timeout)
	defer cancel()
	floor := st.floor.Load()
	for patience := st.timeout / 2; ; { // the answer is as long as the list
		attempt, cancel := context.WithTimeout(ctx, patience)
		info, err := st.handle.Info(attempt, jetstream.WithSubjectFilter(filter))
		cancel()
		switch {
		case err == nil && info.State.LastSeq >= floor:
			return info.State.Subjects, nil
		case err == nil:
			err = errBehind
		}
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errBehind) || pause(ctx, behindPause) != nil {
			return nil, fmt.Errorf("subjects of %s: %w: %w", st.name, store.ErrUnavailable, err)
		}
	}
}

// besides returns those of the aggregates whose histories have an event of another name.
func (s *Store) besides(ctx context.Context, some []store.Aggregate, ignore []string) ([]store.Aggregate, error) {
	if len(ignore) == 0 || len(some) == 0 {
		return some, nil
	}
	filters := make([]string, len(some))
	for i, a := range some {
		filters[i] = s.subjects.commits(a)
	}
	reading, cancel := s.bound(ctx)
	defer cancel()
	last, err := s.commits.last(reading, filters...)
	if err != nil {
		return nil, err
	}
	var kept []store.Aggregate
	for _, a := range some {
		m, ok := last[s.subjects.commits(a)]
		if !ok {
			continue
		}
		c, err := decodeCommit(&m)
		if err != nil || hasEventBesides(&c, ignore) {
			kept = append(kept, a)
			continue
		}
		counts := false
		for c, err := range s.Load(ctx, a, 0) {
			if err != nil && !errors.Is(err, store.ErrCorrupt) {
				return nil, err
			}
			if counts = err != nil || hasEventBesides(&c, ignore); counts {
				break
			}
		}
		if counts {
			kept = append(kept, a)
		}
	}
	return kept, nil
}

func hasEventBesides(c *store.Commit, ignore []string) bool {
	return slices.ContainsFunc(c.Events, func(e store.Event) bool { return !slices.Contains(ignore, e.Name) })
}
