package store_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// paced is a feed of commits that come at times after its beginning, and of an error at
// its end, if there is one. Otherwise it waits for more.
type paced struct {
	at  []time.Duration
	err error
}

func (p *paced) Now(context.Context) (store.Token, error) { return "", nil }

func (p *paced) Follow(ctx context.Context, _ store.Token) iter.Seq2[store.FeedItem, error] {
	return func(yield func(store.FeedItem, error) bool) {
		begin := time.Now()
		for i, at := range p.at {
			select {
			case <-ctx.Done():
				return
			case <-time.After(at - time.Since(begin)):
			}
			if !yield(store.FeedItem{Commit: store.Commit{First: store.Version(i + 1)}}, nil) {
				return
			}
		}
		if p.err != nil {
			yield(store.FeedItem{}, p.err)
			return
		}
		<-ctx.Done()
	}
}

func TestFollowUntilQuiet(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	steady := []time.Duration{0, 900 * time.Millisecond, 1800 * time.Millisecond, 4 * time.Second}
	for name, test := range map[string]struct {
		feed   paced
		counts func(*store.Commit) bool
		n      int
		err    error
		took   time.Duration
	}{
		"nothing":                {feed: paced{}, took: time.Second},
		"until none comes":       {feed: paced{at: steady}, n: 3, took: 2800 * time.Millisecond},
		"some count for nothing": {feed: paced{at: steady}, counts: func(c *store.Commit) bool { return c.First == 1 }, n: 2, took: time.Second},
		"error":                  {feed: paced{at: steady[:2], err: broken}, n: 2, err: broken, took: 900 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin, n := time.Now(), 0
				var ended error
				for _, err := range store.FollowUntilQuiet(t.Context(), &test.feed, time.Second, test.counts) {
					if ended = err; err == nil {
						n++
					}
				}
				if took := time.Since(begin); n != test.n || !errors.Is(ended, test.err) || took != test.took {
					t.Errorf("%d commits, %v, after %v; want %d, %v, %v", n, ended, took, test.n, test.err, test.took)
				}
			})
		})
	}
}
