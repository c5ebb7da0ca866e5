package stage

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
)

// slowWay takes its time, loses some saves and shows what was there before.
type slowWay struct {
	mu       sync.Mutex
	versions map[int]int64
	calls    int
	lost     int64
}

func (w *slowWay) create(context.Context, int) error { return nil }

func (w *slowWay) change(_ context.Context, account int, _ int64) (int64, error) {
	time.Sleep(100 * time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calls++; w.calls%4 == 0 {
		w.lost += 2
		return 0, errFailed
	}
	w.versions[account]++
	return w.versions[account], nil
}

func (w *slowWay) read(_ context.Context, account int) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.versions[account] - 1, nil
}

func (w *slowWay) conflicts(context.Context) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// TestComparison_Turn: what users of a way see is counted: orders a second, failed ones,
// conflicts, stale reads; and there is a point for each second.
func TestComparison_Turn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := New(Config{})
		w, sum := &slowWay{versions: map[int]int64{}}, &tally{}
		e.rivals.turn(t.Context(), w, sum, 1, func(now *page.Compare, shown page.Way) { now.Other = shown })
		got := e.rivals.view().Other
		if got.Orders == nil || *got.Orders < 110 || *got.Orders > 121 || *got.Failed < 0.24 || *got.Failed > 0.26 || *got.Conflicts < 0.45 || *got.Conflicts > 0.51 {
			t.Errorf("orders %v, failed %v, conflicts %v", *got.Orders, *got.Failed, *got.Conflicts)
		}
		if got.Stale == nil || *got.Stale < 0.9 || *got.P50 < 99*time.Millisecond || *got.P99 > 101*time.Millisecond {
			t.Errorf("stale %v, p50 %v, p99 %v", *got.Stale, *got.P50, *got.P99)
		}
		if len(got.Points) < 10 || got.Points[0].Orders < 100 || got.Points[0].P99 == 0 || got.Points[9].At <= got.Points[8].At {
			t.Errorf("points %+v", got.Points)
		}
	})
}

// TestTour: a step is done once its effect was seen, and not before; one that leads to
// nothing can be tried again.
func TestTour(t *testing.T) {
	t.Parallel()
	e := New(Config{})
	state := func() (all string) {
		for _, s := range e.tour.view() {
			all += s.State + ";"
		}
		return all
	}
	e.tour.begun = true
	e.tour.look(e)
	if got := state(); got != "now;;;;;" || e.tour.view()[0].Action != "" {
		t.Errorf("begun: %q", got)
	}
	e.evidence.acknowledged = 1
	e.tour.look(e)
	if got := state(); got != "done;now;;;;" || e.tour.view()[1].Action == "" {
		t.Errorf("seen: %q", got)
	}
	e.tour.skip(time.Now(), 1)
	e.tour.begun = true
	e.tour.look(e) // no fault is under way, and no check was right
	if got := state(); got != "done;done;now;;;" || e.tour.begun {
		t.Errorf("in vain: %q", got)
	}
	for range 5 {
		e.tour.skip(time.Now(), 1)
	}
	if !e.tour.over() {
		t.Errorf("skipped: %q", state())
	}
	e.tour.begin(time.Now(), 1)
	e.tour.look(e) // what was acknowledged before does not count
	if got := state(); got != "now;;;;;" {
		t.Errorf("again: %q", got)
	}
}
