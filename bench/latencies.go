package main

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencies is a histogram that many workers write. It has few parts, and small
// ones: a histogram for each of a thousand workers was 140 MB of memory, and a cache
// miss for each command, which cost 4 % of the processor.
type latencies struct{ parts [8]latencyPart }

type latencyPart struct {
	mu        sync.Mutex
	histogram *hdrhistogram.Histogram
	_         [48]byte // on a cache line of its own
}

func newLatencies() *latencies {
	var l latencies
	for i := range l.parts {
		l.parts[i].histogram = newHistogram()
	}
	return &l
}

// newHistogram takes microseconds up to a minute, after which a round's context ends.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)
}

func (l *latencies) record(worker int, d time.Duration) {
	p := &l.parts[worker%len(l.parts)]
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.histogram.RecordValue(d.Microseconds())
}

func (l *latencies) total() *hdrhistogram.Histogram {
	total := newHistogram()
	for i := range l.parts {
		total.Merge(l.parts[i].histogram)
	}
	return total
}
