package stage

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
)

// tally is what users of one way have seen, over all its rounds. The zero value is ready. It
// is safe for concurrent use.
type tally struct {
	mu        sync.Mutex
	times     *hdrhistogram.Histogram // microseconds, of commands that were carried out
	ran       time.Duration
	orders    int64
	failed    int64
	conflicts float64
	reads     int64
	stale     int64
	floors    map[int]int64 // version that was acknowledged, by account

	recent []time.Duration // since the last point
	done   int64           // orders since then
	points []page.Point
}

const timeMax = 5 * time.Minute

// command counts one that was answered, or failed.
func (t *tally) command(account int, version int64, took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failed++
		return
	}
	if t.times == nil {
		t.times = hdrhistogram.New(1, timeMax.Microseconds(), 3)
		t.floors = map[int]int64{}
	}
	_ = t.times.RecordValue(min(max(took.Microseconds(), 1), timeMax.Microseconds())) // it is in range
	t.orders++
	t.done++
	t.recent = append(t.recent, took)
	t.floors[account] = max(t.floors[account], version)
}

// floor is the version of an account that somebody was told already.
func (t *tally) floor(account int) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.floors[account]
}

func (t *tally) read(stale bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reads++
	if stale {
		t.stale++
	}
}

// point ends a part of the chart.
func (t *tally) point(took time.Duration, conflicts float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ran += took
	t.conflicts += conflicts
	seconds := math.Max(took.Seconds(), 0.001)
	if took >= pointEvery/4 {
		p := page.Point{At: t.ran, Orders: float64(t.done) / seconds, P99: quantileOf(t.recent, 0.99), Conflicts: conflicts / seconds}
		t.points = append(slices.Clip(t.points), p) // those of snapshots stay as they are
	}
	t.recent, t.done = t.recent[:0], 0
}

// view returns the figures up to now; those of which nothing is known are absent.
func (t *tally) view() page.Way {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := page.Way{Points: t.points}
	tried := float64(t.orders + t.failed)
	if tried == 0 || t.ran <= 0 {
		return w
	}
	w.Orders, w.Failed = new(float64(t.orders)/t.ran.Seconds()), new(float64(t.failed)/tried)
	w.Conflicts = new(t.conflicts / tried)
	if t.times != nil {
		p50, p99 := time.Duration(t.times.ValueAtQuantile(50))*time.Microsecond, time.Duration(t.times.ValueAtQuantile(99))*time.Microsecond
		w.P50, w.P99 = &p50, &p99
	}
	if t.reads > 0 {
		w.Stale = new(float64(t.stale) / float64(t.reads))
	}
	return w
}
