package runtime

import (
	"testing"

	"github.com/ganglion-go/ganglion/internal/testenv"
)

// TestTracker_Model compares with a set: the watermark is the last whole sequence
// before the first command that is not finished, or the last that began.
func TestTracker_Model(t *testing.T) {
	t.Parallel()
	rnd := testenv.Rand(t)
	for range 10 {
		start := rnd.Uint64N(1000)
		tr := newTracker(start)
		var begun, open []ordinal
		next := ordinal{sequence: start}
		for range 1000 {
			if len(open) == 0 || rnd.IntN(2) == 0 {
				if next.more > 0 {
					next.more--
				} else {
					next = ordinal{sequence: next.sequence + 1 + rnd.Uint64N(3), more: max(0, rnd.IntN(8)-4)}
				}
				if !tr.begin(next) {
					t.Fatalf("%v is refused", next)
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
			t.Fatal("a command is taken in twice")
		}
	}
}

func checkTracker(t *testing.T, tr *tracker, want uint64, begun, open []ordinal) {
	t.Helper()
	unfinished := make(map[ordinal]bool, len(open))
	for _, o := range open {
		unfinished[o] = true
	}
	span := len(begun)
	for _, o := range begun {
		if unfinished[o] {
			break
		}
		if o.more == 0 {
			want = o.sequence
		}
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
		tr.begin(ordinal{sequence: s})
	}
	for s := uint64(2); s <= n; s++ {
		tr.finish(ordinal{sequence: s})
	}
	if tr.watermark != 0 || tr.span() != n {
		t.Fatalf("watermark %d, span %d", tr.watermark, tr.span())
	}
	tr.finish(ordinal{sequence: 1})
	if tr.watermark != n || cap(tr.pending) > 4096 {
		t.Fatalf("watermark %d, room for %d", tr.watermark, cap(tr.pending))
	}
}
