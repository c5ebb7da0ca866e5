package runtime

import (
	"testing"

	"github.com/ganglion-go/ganglion/store"
)

// TestRelayQueue_OldestIsWhatIsNotDoneWith: also what was taken, and what an interrupted
// session has left, until the next one has brought that out.
func TestRelayQueue_OldestIsWhatIsNotDoneWith(t *testing.T) {
	t.Parallel()
	q := newRelayQueue(1, 1)
	oldest := func(want int64) {
		t.Helper()
		if at := q.oldest(); at != want {
			t.Errorf("oldest is %d, want %d", at, want)
		}
	}
	put := func(at int64) {
		t.Helper()
		if err := q.put(t.Context(), store.FeedItem{Commit: store.Commit{Time: at}}); err != nil {
			t.Fatal(err)
		}
	}
	oldest(0)
	put(7)
	if _, err := q.take(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	oldest(7)
	put(8)
	oldest(7)
	q.done()
	oldest(8)
	if _, err := q.take(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	var p relayProgress
	p.begin(q)
	p.interrupted(nil)
	for _, next := range []*relayQueue{nil, newRelayQueue(1, 1)} {
		if next != nil {
			p.begin(next)
		}
		if at := p.pendingLocked(); at != 8 {
			t.Errorf("pending is %d between two sessions, want 8", at)
		}
	}
	p.relayed(7) // the feed has brought once more what had been brought out
	if at := p.pendingLocked(); at != 8 {
		t.Errorf("pending is %d behind an older commit, want 8", at)
	}
	p.relayed(8)
	if at := p.pendingLocked(); at != 0 {
		t.Errorf("pending is %d when it was brought out", at)
	}
}
