package jetstream

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

const (
	// catalogGap is how many new commits are looked at to bring a list up to date. With
	// more it is read anew, as the server's index of subjects is the shorter way then.
	catalogGap = 10_000
	// catalogMax bounds the addresses of all lists that are kept, about 100 bytes each.
	catalogMax = 500_000
	// catalogIdle is for how long a list is kept that nobody asks for.
	catalogIdle = 5 * time.Minute
)

// catalogs keeps lists of aggregates, so that a page of one costs what is new since the last
// one, and not all subjects: with 100,000 of them that is 8 MB of JSON a page.
//
// There is nothing to be told of what goes: aggregates are never deleted. What a list lacks is
// in the commits behind upTo, and whoever asks reads those first:
//
//	this store                     others
//	                               append A (42), acknowledged
//	asks the leader: 42 is last
//	                               append B (43): may be missed, as it came later
//	reads 41, 42; finds A
type catalogs struct {
	busy chan struct{} // capacity 1: guards all else; one brings lists up to date
	kept map[string]*catalog

	sweeping bool // a call of sweep is due
}

// catalog is the list of one filter.
type catalog struct {
	all  []store.Aggregate // sorted; never changed, but replaced
	upTo uint64            // all commits to this sequence are in it
	used time.Time
}

func newCatalogs() *catalogs {
	return &catalogs{busy: make(chan struct{}, 1), kept: map[string]*catalog{}}
}

// lock waits until nobody else works on lists.
func (c *catalogs) lock(ctx context.Context) error {
	select {
	case c.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("another list is read: %w: %w", store.ErrUnavailable, context.Cause(ctx))
	}
}

func (c *catalogs) unlock() { <-c.busy }

// listed returns the addresses of the subjects that match a filter, sorted. It must not be
// changed.
func (s *Store) listed(ctx context.Context, filter string) ([]store.Aggregate, error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	c := s.catalogs
	if err := c.lock(ctx); err != nil {
		return nil, err
	}
	defer c.unlock()
	last, err := s.commits.leaderSequence(ctx)
	if err != nil {
		return nil, err
	}
	s.commits.raiseFloor(last) // a new leader that lags must not answer what follows
	last = max(last, s.commits.floor.Load())
	known := c.kept[filter]
	if known == nil || last < known.upTo || last-known.upTo > catalogGap {
		if known, err = s.readCatalog(ctx, filter); err != nil {
			return nil, err
		}
		known.upTo = last // the answer may be of several, each of another moment
	} else if err := s.extendCatalog(ctx, filter, known, last); err != nil {
		return nil, err
	}
	known.used = time.Now()
	c.keep(filter, known) // it may have grown
	return known.all, nil
}

// readCatalog asks for the subjects.
func (s *Store) readCatalog(ctx context.Context, filter string) (*catalog, error) {
	subjects, err := s.commits.subjects(ctx, filter)
	if err != nil {
		return nil, err
	}
	read := &catalog{all: make([]store.Aggregate, 0, len(subjects))}
	for subject := range subjects {
		if a, known := s.subjects.aggregateOf(subject); known {
			read.all = append(read.all, a)
		}
	}
	slices.Sort(read.all)
	return read, nil
}

// extendCatalog adds what the commits to a sequence, which there is, have of new aggregates.
func (s *Store) extendCatalog(ctx context.Context, filter string, c *catalog, last uint64) error {
	found := map[store.Aggregate]bool{}
	kind, _, _ := strings.Cut(strings.TrimPrefix(filter, s.cfg.Namespace+".agg."), ".")
	of := s.cfg.Namespace + ".agg." + kind + "."
	err := s.commits.scan(ctx, s.cfg.Namespace+".>", c.upTo+1, last, func(m stored) (bool, error) {
		if kind != "*" && !strings.HasPrefix(m.subject, of) {
			return true, nil
		}
		if a, known := s.subjects.aggregateOf(m.subject); known {
			if _, there := slices.BinarySearch(c.all, a); !there {
				found[a] = true
			}
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	if len(found) > 0 {
		all := slices.Grow(slices.Clone(c.all), len(found))
		for a := range found {
			all = append(all, a)
		}
		slices.Sort(all)
		c.all = all
	}
	c.upTo = last
	return nil
}

// keep has a list kept, and others dropped that nobody has asked for lately if they are too
// many. One that is too long by itself lives for one call.
func (c *catalogs) keep(filter string, read *catalog) {
	delete(c.kept, filter)
	total := len(read.all)
	for _, other := range c.kept {
		total += len(other.all)
	}
	for total > catalogMax && len(c.kept) > 0 {
		oldest := ""
		for of, other := range c.kept {
			if oldest == "" || other.used.Before(c.kept[oldest].used) {
				oldest = of
			}
		}
		total -= len(c.kept[oldest].all)
		delete(c.kept, oldest)
	}
	if total > catalogMax {
		return
	}
	c.kept[filter] = read
	c.sweepLater()
}

func (c *catalogs) sweepLater() {
	if !c.sweeping && len(c.kept) > 0 {
		c.sweeping = true
		time.AfterFunc(catalogIdle, c.sweep)
	}
}

// sweep drops the lists that nobody asks for, and comes again while there are others.
func (c *catalogs) sweep() {
	c.busy <- struct{}{}
	defer c.unlock()
	c.sweeping = false
	maps.DeleteFunc(c.kept, func(_ string, one *catalog) bool { return time.Since(one.used) >= catalogIdle })
	c.sweepLater()
}
