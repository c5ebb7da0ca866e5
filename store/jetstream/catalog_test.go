package jetstream_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/testharness"
)

// TestStore_ListAggregates_IsOfNow: a list that is kept has what this store and others append
// afterwards, few or many, and nothing twice.
func TestStore_ListAggregates_IsOfNow(t *testing.T) {
	t.Parallel()
	server := testharness.NATS(t)
	here, there := open(t, server.Connect(t), jetstream.Config{}), open(t, server.Connect(t), jetstream.Config{})
	list := func(r store.AggregateRange) (all []string) {
		for a, err := range here.ListAggregates(t.Context(), r) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(a))
		}
		return all
	}
	put := func(by *jetstream.Store, ids ...string) {
		commits := make([]store.Commit, len(ids))
		for i, id := range ids {
			commits[i] = commit(store.Aggregate(id), 1)
		}
		for _, err := range by.Append(t.Context(), commits) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	want := func(r store.AggregateRange, ids ...string) {
		t.Helper()
		if got := list(r); !slices.Equal(got, ids) {
			t.Errorf("%+v: %q, want %q", r, got, ids)
		}
	}
	put(here, "a/1", "a/3", "b/1")
	want(store.AggregateRange{Prefix: "a/"}, "a/1", "a/3")
	want(store.AggregateRange{}, "a/1", "a/3", "b/1")
	put(here, "a/2", "b/0")
	put(there, "a/30", "c/1", "alone")
	want(store.AggregateRange{Prefix: "a/"}, "a/1", "a/2", "a/3", "a/30")
	want(store.AggregateRange{Prefix: "a/", After: "a/3"}, "a/30")
	want(store.AggregateRange{Prefix: "a/", After: "a/2", Limit: 1}, "a/3")
	want(store.AggregateRange{Prefix: "a/", After: "z"})
	want(store.AggregateRange{Prefix: "b/", After: "a/3"}, "b/0", "b/1")
	want(store.AggregateRange{Prefix: "a"}, "a/1", "a/2", "a/3", "a/30", "alone")
	want(store.AggregateRange{}, "a/1", "a/2", "a/3", "a/30", "alone", "b/0", "b/1", "c/1")
	many := make([]string, 600)
	for i := range many {
		many[i] = fmt.Sprintf("d/%04d", i)
	}
	put(there, many...)
	want(store.AggregateRange{Prefix: "d/"}, many...)
	want(store.AggregateRange{Prefix: "a/"}, "a/1", "a/2", "a/3", "a/30")
	if got := list(store.AggregateRange{}); len(got) != 8+len(many) || !slices.IsSorted(got) {
		t.Errorf("%d aggregates, sorted: %v", len(got), slices.IsSorted(got))
	}
}
