package storetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/store"
)

func aggregateCases() []testCase {
	return []testCase{
		{"Aggregates/any id", testListOdd},
		{"Aggregates/long and short histories", testListHistories},
		{"Aggregates/events that do not count", testListIgnore},
	}
}

// list collects a list.
func (s *setup) list(t *testing.T, from store.Store, r store.AggregateRange) []store.Aggregate {
	t.Helper()
	var all []store.Aggregate
	for a, err := range from.ListAggregates(s.ctx, r) {
		if err != nil {
			t.Fatalf("list %+v: %v", r, err)
		}
		all = append(all, a)
	}
	return all
}

// checkList compares a list, through the store and its peer, with what it selects of all.
func (s *setup) checkList(t *testing.T, r store.AggregateRange, all []store.Aggregate) {
	t.Helper()
	var want []store.Aggregate
	for _, a := range slices.Sorted(slices.Values(all)) {
		if strings.HasPrefix(string(a), r.Prefix) && a > r.After && (r.Limit == 0 || len(want) < r.Limit) {
			want = append(want, a)
		}
	}
	for _, client := range s.clients() {
		if diff := cmp.Diff(want, s.list(t, client, r)); diff != "" {
			t.Fatalf("prefix %q after %q limit %d (-want +got):\n%s", r.Prefix, r.After, r.Limit, diff)
		}
	}
}

func testListOdd(t *testing.T, s *setup) {
	s.checkList(t, store.AggregateRange{}, nil)
	all := oddAggregates()
	var commits []store.Commit
	for i, a := range all {
		commits = append(commits, newHistory(a).next(1+i%3))
	}
	s.append(t, commits...)
	for _, r := range []store.AggregateRange{
		{},
		{Prefix: "account/"},
		{Prefix: "account"},
		{Prefix: "account/a"},
		{Prefix: "account/日"},
		{Prefix: "none/"},
		{Prefix: "a/"},
		{Prefix: "account/", After: "account/a"},
		{Prefix: "account/", After: "account/a/b", Limit: 3},
		{Prefix: "account/", After: "a/zzz"},
		{Prefix: "account/", After: "account/\U0010ffff"},
		{Prefix: "account/a", After: "account/b"},
		{Prefix: "account-x/", After: "account-x/\x00", Limit: 1},
		{Prefix: "account/" + strings.Repeat("x", 255)},
		{After: "zzz"},
	} {
		s.checkList(t, r, all)
	}
	var paged []store.Aggregate
	for after := store.Aggregate("account_x/"); ; after = paged[len(paged)-1] {
		page := s.list(t, s.peer, store.AggregateRange{Prefix: "account_x/", After: after, Limit: 7})
		if paged = append(paged, page...); len(page) < 7 {
			break
		}
	}
	if want := s.list(t, s.peer, store.AggregateRange{Prefix: "account_x/"}); !slices.Equal(paged, want) {
		t.Errorf("pages have %d aggregates, want %d", len(paged), len(want))
	}
}

func testListHistories(t *testing.T, s *setup) {
	var all []store.Aggregate
	var histories []*history
	for i := range 60 {
		histories = append(histories, newHistory(aggregateN(i)))
		all = append(all, histories[i].aggregate)
	}
	for round := range 40 {
		var commits []store.Commit
		for i, h := range histories {
			if round == 0 || i%20 == 3 {
				commits = append(commits, h.next(1))
			}
		}
		s.append(t, commits...)
	}
	for _, limit := range []int{0, 1, 17, 59, 60, 61} {
		s.checkList(t, store.AggregateRange{Prefix: "account/", Limit: limit}, all)
	}
	for after := range all {
		s.checkList(t, store.AggregateRange{Prefix: "account/", After: all[after], Limit: 3}, all)
	}
}

func testListIgnore(t *testing.T, s *setup) {
	with := func(h *history, names ...string) store.Commit {
		c := h.next(len(names))
		for i, name := range names {
			c.Events[i].Name = name
		}
		return c
	}
	late, never, first, last, other := newHistory("account/late"), newHistory("account/never"), newHistory("account/first"), newHistory("account/x-last"), newHistory("ledger/l")
	for range 40 {
		s.append(t, with(late, "nothing.v1"), with(never, "nothing.v1", "none.v1"), with(last, "none.v1"))
	}
	s.append(t, with(late, "nothing.v1", "opened.v1", "none.v1"), with(first, "opened.v1"), with(other, "nothing.v1"))
	for range 3 {
		s.append(t, with(late, "nothing.v1"), with(first, "none.v1"))
	}
	ignore := []string{"nothing.v1", "none.v1"}
	s.checkList(t, store.AggregateRange{Prefix: "account/"}, []store.Aggregate{late.aggregate, never.aggregate, first.aggregate, last.aggregate})
	s.checkList(t, store.AggregateRange{Prefix: "account/", Ignore: ignore}, []store.Aggregate{late.aggregate, first.aggregate})
	s.checkList(t, store.AggregateRange{Prefix: "account/", Ignore: ignore, Limit: 1}, []store.Aggregate{late.aggregate, first.aggregate})
	s.checkList(t, store.AggregateRange{Prefix: "ledger/", Ignore: ignore}, nil)
}
