package node

import (
	"context"
	"fmt"
	"iter"
	"math"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
)

// countingStore counts what is read of histories.
type countingStore struct {
	store.Store
	calls, commits int
}

func (s *countingStore) Load(ctx context.Context, a store.Aggregate, after store.Version) iter.Seq2[store.Commit, error] {
	s.calls++
	return func(yield func(store.Commit, error) bool) {
		for c, err := range s.Store.Load(ctx, a, after) {
			s.commits++
			if !yield(c, err) {
				return
			}
		}
	}
}

func (s *countingStore) LastVersion(ctx context.Context, a store.Aggregate) (store.Version, error) {
	s.calls++
	return s.Store.LastVersion(ctx, a)
}

// TestHistory_Events_CostOfAPage: what a page of events costs does not depend on the
// history before it, nor on how far beyond its end it is asked for.
func TestHistory_Events_CostOfAPage(t *testing.T) {
	t.Parallel()
	const commits, perCommit = 400, 5
	addr := actor.Address{Kind: "counter", ID: "c"}
	s := &countingStore{Store: memory.New()}
	for i := range commits {
		c := store.Commit{Aggregate: store.Aggregate(addr.String()), First: store.Version(1 + i*perCommit), Outcomes: []store.Outcome{{CommandID: fmt.Sprint("c", i), Events: perCommit}}}
		for range perCommit {
			c.Events = append(c.Events, store.Event{Name: "counted.v1", Data: []byte(`{}`)})
		}
		if err := s.Append(t.Context(), []store.Commit{c})[0]; err != nil {
			t.Fatal(err)
		}
	}
	h := &history{store: s}
	const last = commits * perCommit
	for _, after := range []actor.Version{0, 1, 4, 5, 6, last / 2, last/2 + 3, last - 6, last - 5, last - 4, last - 1, last, last + 1, last + 100, 1 << 20, 1 << 40, 1 << 62, math.MaxInt64} {
		s.calls, s.commits = 0, 0
		events, err := h.Events(t.Context(), addr, after, 3)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		if after < last {
			want = min(3, int(last-after)) //nolint:gosec // small
		}
		if len(events) != want || want > 0 && events[0].Version != after+1 {
			t.Errorf("after %d: %d events %v, want %d", after, len(events), events, want)
		}
		if s.calls > 5 || s.commits > 6 {
			t.Errorf("after %d: %d reads, %d commits", after, s.calls, s.commits)
		}
	}
}
