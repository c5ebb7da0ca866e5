package runtime

import (
	"sync"
	"testing"
	"time"
)

func TestHybridClock_AlwaysGrows(t *testing.T) {
	t.Parallel()
	wall := &stoppedClock{wall: time.UnixMicro(1000)}
	h := &hybridClock{wall: wall}
	if got := h.after(0); got != 1000 {
		t.Errorf("wall time is 1000, got %d", got)
	}
	wall.wall = time.UnixMicro(10)
	if got := h.after(0); got != 1001 {
		t.Errorf("the wall clock went back, got %d, want 1001", got)
	}
	if got := h.after(5000); got != 5001 {
		t.Errorf("after 5000: got %d", got)
	}
	if got := h.after(0); got != 5002 {
		t.Errorf("after what was returned: got %d", got)
	}
}

func TestHybridClock_Concurrent_NoTimeTwice(t *testing.T) {
	t.Parallel()
	h := &hybridClock{wall: systemClock{}}
	var mu sync.Mutex
	seen := map[int64]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				v := h.after(0)
				mu.Lock()
				if seen[v] {
					t.Errorf("%d twice", v)
				}
				seen[v] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func TestSystemClock_Elapsed_Advances(t *testing.T) {
	t.Parallel()
	var c systemClock
	before := c.Elapsed()
	timer := time.NewTimer(2 * time.Millisecond)
	<-timer.C
	if got := c.Elapsed() - before; got < 2*time.Millisecond || got > time.Minute {
		t.Errorf("2 ms took %v", got)
	}
}
