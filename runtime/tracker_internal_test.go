package runtime

import (
	"testing"

	"github.com/ganglion-go/ganglion/internal/testenv"
)

// TestTracker_Model compares with a set: the watermark is the last sequence
// before the first that is not finished, or the last that began.
func TestTracker_Model(t *testing.T) {
	t.Parallel()
	rnd := testenv.Rand(t)
	for range 10 {
		start := rnd.Uint64N(1000)
		tr := newTracker(start)
		var begun, open []uint64
		next := start
		for range 1000 {
			if len(open) == 0 || rnd.IntN(2) == 0 {
				next += 1 + rnd.Uint64N(3)
				if !tr.begin(next) {
					t.Fatalf("%d is refused", next)
				}
				begun, open = append(begun, next), append(open, next)
			} else {
				i := rnd.IntN(len(open))
				tr.finish(open[i])
				tr.finish(open[i]) // a second time changes nothing
				open = append(open[:i], open[i+1:]...)
			}
			checkTracker(t, tr, start, begun, open)
		}
		if tr.begin(next) || len(begun) > 0 && tr.begin(begun[0]) {
			t.Fatal("a sequence is taken in twice")
		}
	}
}

func checkTracker(t *testing.T, tr *tracker, want uint64, begun, open []uint64) {
	t.Helper()
	unfinished := make(map[uint64]bool, len(open))
	for _, s := range open {
		unfinished[s] = true
	}
	span := len(begun)
	for _, s := range begun {
		if unfinished[s] {
			break
		}
		want = s
		span--
	}
	if tr.watermark != want || tr.open() != len(open) || tr.span() != span {
		t.Fatalf("watermark %d, open %d, span %d; want %d, %d, %d", tr.watermark, tr.open(), tr.span(), want, len(open), span)
	}
}

func TestTracker_Memory_IsGivenBack(t *testing.T) {
	t.Parallel()
	tr := newTracker(0)
	const n = 100_000
	for s := uint64(1); s <= n; s++ {
		tr.begin(s)
	}
	for s := uint64(2); s <= n; s++ {
		tr.finish(s)
	}
	if tr.watermark != 0 || tr.span() != n {
		t.Fatalf("watermark %d, span %d", tr.watermark, tr.span())
	}
	tr.finish(1)
	if tr.watermark != n || cap(tr.pending) > 4096 {
		t.Fatalf("watermark %d, room for %d", tr.watermark, cap(tr.pending))
	}
}
