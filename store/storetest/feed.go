package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/ganglion-go/ganglion/store"
)

func feedCases() []testCase {
	return []testCase{
		{"Feed/everything in order", testFeedAll},
		{"Feed/resume after any token", testFeedResume},
		{"Feed/now", testFeedNow},
		{"Feed/live", testFeedLive},
		{"Feed/ends with its context", testFeedEnd},
		{"Feed/unknown token", func(t *testing.T, s *setup) {
			for _, err := range s.Follow(s.ctx, "no such token") {
				wantError(t, "follow after a made-up token", err, store.ErrTokenExpired)
				return
			}
			t.Error("follow after a made-up token ended without an error")
		}},
	}
}

// take reads n items of the feed.
func (s *setup) take(t *testing.T, from store.Store, after store.Token, n int) []store.FeedItem {
	t.Helper()
	var items []store.FeedItem
	if n == 0 {
		return nil
	}
	for item, err := range from.Follow(s.ctx, after) {
		if err != nil {
			t.Fatalf("follow: %v", err)
		}
		if items = append(items, item); len(items) == n {
			return items
		}
	}
	t.Fatalf("the feed ended after %d items, want %d", len(items), n)
	return nil
}

// fill writes the commits of a few aggregates, some of them in one call.
func (s *setup) fill(t *testing.T, aggregates, rounds int) map[store.Aggregate][]store.Commit {
	t.Helper()
	all := map[store.Aggregate][]store.Commit{}
	histories := make([]*history, aggregates)
	for i := range histories {
		histories[i] = newHistory(store.Aggregate(fmt.Sprintf("account/f %d", i)))
	}
	for range rounds {
		var commits []store.Commit
		for i, h := range histories {
			commits = append(commits, h.next(1+i%3))
		}
		s.append(t, commits[:aggregates/2]...)
		s.append(t, commits[aggregates/2:]...)
	}
	for _, h := range histories {
		all[h.aggregate] = h.made
	}
	return all
}

// checkOrder compares each aggregate's part of the feed with its history.
func checkOrder(t *testing.T, items []store.FeedItem, want map[store.Aggregate][]store.Commit) {
	t.Helper()
	got := map[store.Aggregate][]store.Commit{}
	tokens := map[store.Token]bool{}
	for _, item := range items {
		got[item.Commit.Aggregate] = append(got[item.Commit.Aggregate], item.Commit)
		if item.Token == "" || tokens[item.Token] {
			t.Fatalf("token %q is empty or was used twice", item.Token)
		}
		tokens[item.Token] = true
	}
	for a, commits := range want {
		diffCommits(t, got[a], commits)
	}
}

func testFeedAll(t *testing.T, s *setup) {
	want := s.fill(t, 10, 12)
	for _, client := range s.clients() {
		checkOrder(t, s.take(t, client, "", 120), want)
	}
}

func testFeedResume(t *testing.T, s *setup) {
	s.fill(t, 6, 4)
	items := s.take(t, s.Store, "", 24)
	for i, item := range items {
		rest := s.take(t, s.clients()[i%2], item.Token, len(items)-i-1)
		for j, again := range rest {
			diffRecord(t, again, items[i+1+j])
		}
	}
}

func testFeedNow(t *testing.T, s *setup) {
	start, err := s.Now(s.ctx)
	must(t, "now of an empty store", err)
	h := newHistory("account/a")
	s.append(t, h.next(1))
	s.append(t, h.next(2))
	after, err := s.peer.Now(s.ctx)
	must(t, "now", err)
	s.append(t, h.next(1))
	for i, item := range s.take(t, s.peer, start, 3) {
		diffRecord(t, item.Commit, h.made[i])
	}
	diffRecord(t, s.take(t, s.Store, after, 1)[0].Commit, h.made[2])
}

// testFeedLive follows while two clients write, and starts anew now and then
// from the token it has.
func testFeedLive(t *testing.T, s *setup) {
	const writers, commits = 4, 60
	want := map[store.Aggregate][]store.Commit{}
	var wg sync.WaitGroup
	for w := range writers {
		h := newHistory(aggregateN(w))
		made := h.some(commits)
		want[h.aggregate] = made
		wg.Go(func() {
			for i := range made {
				if err := s.clients()[w%2].Append(s.ctx, made[i:i+1])[0]; err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	var items []store.FeedItem
	var token store.Token
	for len(items) < writers*commits {
		more := s.take(t, s.peer, token, min(37, writers*commits-len(items)))
		items = append(items, more...)
		token = more[len(more)-1].Token
	}
	wg.Wait()
	checkOrder(t, items, want)
}

func testFeedEnd(t *testing.T, s *setup) {
	h := newHistory("account/a")
	s.append(t, h.next(1))
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	ended := make(chan []error, 1)
	first := make(chan struct{}, 1)
	go func() {
		var errs []error
		for _, err := range s.Follow(ctx, "") {
			if err != nil {
				errs = append(errs, err)
				continue
			}
			first <- struct{}{}
		}
		ended <- errs
	}()
	<-first
	cancel()
	select {
	case errs := <-ended:
		if len(errs) > 0 {
			t.Errorf("the feed ended with %v, want no error", errs)
		}
	case <-s.ctx.Done():
		t.Error("the feed did not end with its context")
	}
}
