package jetstream

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/ganglion-go/ganglion/store"
)

const (
	// catalogGap is how many new commits are looked at to bring a list up to date. With
	// more it is read anew, as the server's index of subjects is the shorter way then.
	catalogGap = 10_000
	// catalogMax bounds the addresses of all lists that are kept, about 100 bytes each.
	catalogMax = 500_000
	// catalogIdle is for how long a list is kept that is not brought up to date.
	catalogIdle = 5 * time.Minute

	allKinds = "*" // in the place of a kind's token
)

// catalogs keeps lists of aggregates by kind, so that a page of one costs what is new since
// the last one, and not all subjects: with 100,000 of them that is 8 MB of JSON a page.
//
// There is nothing to be told of what goes: aggregates are never deleted. What a list lacks is
// in the commits behind upTo, and whoever asks waits for those up to the leader's last one:
//
//	this store                     others
//	                               append A (42), acknowledged
//	asks the leader: 42 is last
//	                               append B (43): may be missed, as it came later
//	reads 41, 42; finds A
//
// A list is read once at a time, for all who wait for it, and goes on when they have left: one
// that takes longer than a caller has is there for the next.
type catalogs struct {
	reading singleflight.Group // by kind

	mu   sync.Mutex
	kept map[string]*catalog // by kind
}

// catalog is the list of a kind. It does not change.
type catalog struct {
	all  []store.Aggregate // sorted
	upTo uint64            // all commits to this sequence are in it
}

// listed returns the addresses of a kind, as a token of their subjects, sorted. They must not
// be changed.
func (s *Store) listed(ctx context.Context, kind string) ([]store.Aggregate, error) {
	last, err := s.commits.leaderSequence(ctx)
	if err != nil {
		return nil, err
	}
	s.commits.raiseFloor(last) // a new leader that lags must not answer what follows
	list := s.catalogs.find(kind)
	for list == nil || list.upTo < last { // one that was being read already may be of before
		read := s.catalogs.reading.DoChan(kind, func() (any, error) {
			bounded, cancel := s.bound(context.WithoutCancel(ctx))
			defer cancel()
			return s.readCatalog(bounded, kind)
		})
		select {
		case r := <-read:
			if r.Err != nil {
				return nil, r.Err
			}
			list, _ = r.Val.(*catalog)
		case <-ctx.Done():
			return nil, fmt.Errorf("the list is still being read: %w: %w", store.ErrUnavailable, context.Cause(ctx))
		}
	}
	return list.all, nil
}

// readCatalog makes the list of now, from the one that is kept if it can.
func (s *Store) readCatalog(ctx context.Context, kind string) (*catalog, error) {
	upTo := s.commits.floor.Load()
	list := s.catalogs.find(kind)
	var all []store.Aggregate
	var err error
	if list == nil || upTo > list.upTo+catalogGap {
		all, err = s.allSubjects(ctx, kind)
	} else {
		all, err = s.extended(ctx, kind, list, upTo)
	}
	if err != nil {
		return nil, err
	}
	list = &catalog{all, upTo}
	s.catalogs.keep(kind, list)
	return list, nil
}

// allSubjects asks for the subjects, and sorts their addresses.
func (s *Store) allSubjects(ctx context.Context, kind string) ([]store.Aggregate, error) {
	subjects, err := s.commits.subjects(ctx, s.subjects.ofKind(kind)+"*")
	if err != nil {
		return nil, err
	}
	all := make([]store.Aggregate, 0, len(subjects))
	for subject := range subjects {
		if a, known := s.subjects.aggregateOf(subject); known {
			all = append(all, a)
		}
	}
	slices.Sort(all)
	return all, nil
}

// extended adds what the commits to a sequence, which there is, have of new aggregates.
func (s *Store) extended(ctx context.Context, kind string, list *catalog, upTo uint64) ([]store.Aggregate, error) {
	found := map[store.Aggregate]bool{}
	err := s.commits.scan(ctx, s.cfg.Namespace+".>", list.upTo+1, upTo, func(m stored) (bool, error) {
		a, known := s.subjects.aggregateOf(m.subject)
		if known && (kind == allKinds || strings.HasPrefix(m.subject, s.subjects.ofKind(kind))) {
			if _, there := slices.BinarySearch(list.all, a); !there {
				found[a] = true
			}
		}
		return true, nil
	})
	if err != nil || len(found) == 0 {
		return list.all, err
	}
	all := slices.AppendSeq(slices.Clip(list.all), maps.Keys(found))
	slices.Sort(all)
	return all, nil
}

func (c *catalogs) find(kind string) *catalog {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kept[kind]
}

// keep has a list kept for a while, and the others dropped if they are too many with it. One
// that is empty, or too long by itself, is read anew by each call.
func (c *catalogs) keep(kind string, list *catalog) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, kind)
	total := len(list.all)
	for _, other := range c.kept {
		total += len(other.all)
	}
	if total > catalogMax {
		clear(c.kept)
	}
	if len(list.all) == 0 || len(list.all) > catalogMax {
		return
	}
	c.kept[kind] = list
	time.AfterFunc(catalogIdle, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.kept[kind] == list {
			delete(c.kept, kind)
		}
	})
}
