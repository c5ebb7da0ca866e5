package storetest

import (
	"testing"

	"github.com/ganglion-go/ganglion/store"
)

func unreadableCases() []testCase {
	return []testCase{
		{"Feed/goes on behind what cannot be read", testFeedUnreadable},
		{"Load/what cannot be read", testLoadUnreadable},
	}
}

// testFeedUnreadable follows from the beginning, from before and while it happens.
func testFeedUnreadable(t *testing.T, s *setup) {
	a, b := newHistory("account/a %"), newHistory("account/b")
	s.append(t, a.next(2), b.next(1))
	s.cfg.AppendUnreadable(t, s.Store, a.aggregate, 3)
	s.append(t, b.next(1))
	for _, client := range s.clients() {
		all := s.take(t, client, "", 4)
		for _, items := range [][]store.FeedItem{all, s.take(t, client, all[0].Token, 3)} {
			unreadable := 0
			for i, item := range items {
				if item.Token == "" {
					t.Errorf("item %d has no token", i)
				}
				if item.Unreadable == nil {
					continue
				}
				unreadable++
				wantError(t, "the item of a commit that cannot be read", item.Unreadable, store.ErrCorrupt)
				if c := item.Commit; c.Aggregate != a.aggregate || c.First != 3 {
					t.Errorf("what cannot be read is %q version %d, want %q version 3", c.Aggregate, c.First, a.aggregate)
				}
				if last := item.Last; last != 0 && last < 3 {
					t.Errorf("its last version is %d", last)
				}
			}
			if unreadable != 1 {
				t.Fatalf("%d of %d items cannot be read, want 1", unreadable, len(items))
			}
		}
	}
	now, err := s.Now(s.ctx)
	must(t, "now", err)
	s.cfg.AppendUnreadable(t, s.Store, "account/c", 1)
	s.append(t, b.next(1))
	items := s.take(t, s.peer, now, 2)
	if items[0].Unreadable == nil || items[0].Commit.Aggregate != "account/c" || items[1].Unreadable != nil {
		t.Errorf("got %+v, want what cannot be read, and then the next", items)
	}
}

// testLoadUnreadable: the history ends with an error there, and what comes before is read.
func testLoadUnreadable(t *testing.T, s *setup) {
	a := newHistory("account/a")
	s.append(t, a.next(1))
	s.append(t, a.next(2))
	s.cfg.AppendUnreadable(t, s.Store, a.aggregate, 4)
	for _, client := range s.clients() {
		var got []store.Commit
		var failed error
		for c, err := range client.Load(s.ctx, a.aggregate, 0) {
			if failed = err; err != nil {
				break
			}
			got = append(got, c)
		}
		diffCommits(t, got, a.made)
		wantError(t, "load what cannot be read", failed, store.ErrCorrupt)
	}
}

// testParkingUnreadable: what is parked beside a damaged record is listed, and the error
// says which one that is, so that it can be replaced or removed.
func testParkingUnreadable(t *testing.T, s *setup) {
	x, y, z := sampleParked("account/a %", "id 1", 1), sampleParked("account/a %", "id.2", 2), sampleParked("account/b", "id 1", 3)
	for _, p := range []store.Parked{x, y, z} {
		must(t, "park", s.Park(s.ctx, p))
	}
	s.cfg.DamageParked(t, s.Store, x.Aggregate, x.CommandID)
	for _, client := range s.clients() {
		for of, want := range map[store.Aggregate][]store.Parked{"": {y, z}, x.Aggregate: {y}, z.Aggregate: {z}} {
			var got []store.Parked
			damaged := 0
			for p, err := range client.ListParked(s.ctx, of) {
				if err == nil {
					got = append(got, p)
					continue
				}
				damaged++
				wantError(t, "list what cannot be read", err, store.ErrCorrupt)
				if p.Aggregate != x.Aggregate || p.CommandID != x.CommandID {
					t.Errorf("what cannot be read is %q, id %q", p.Aggregate, p.CommandID)
				}
			}
			diffRecord(t, got, want)
			if is := map[store.Aggregate]int{"": 1, x.Aggregate: 1}[of]; damaged != is {
				t.Errorf("of %q: %d damaged records, want %d", of, damaged, is)
			}
		}
		_, _, err := client.FindParked(s.ctx, x.Aggregate, x.CommandID)
		wantError(t, "find what cannot be read", err, store.ErrCorrupt)
	}
	must(t, "replace", s.Park(s.ctx, x))
	s.checkParked(t, "", x, y, z)
	s.cfg.DamageParked(t, s.Store, x.Aggregate, x.CommandID)
	must(t, "remove", s.Unpark(s.ctx, x.Aggregate, x.CommandID))
	s.checkParked(t, "", y, z)
}
