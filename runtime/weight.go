package runtime

// weight follows the size of an activation's state. It is measured, not added up: the
// bytes of events alone say little. A counter takes in millions of them and stays as
// small as it was; an event of two bytes may add a kilobyte.
//
// A measurement takes time in proportion to what it visits. So it is made again once
// so many events have been applied that it costs each of them a few visits, and at
// first after 1, 2, 4 and 8 events. In between, the state is taken to grow on as it
// grew between the last two.
type weight struct {
	measured int // bytes, when it was measured last
	visited  int // values, then
	applied  int // events since then
	total    int // events before that, since the load
	rate     int // bytes for each event, as it was last; at least 0
}

const (
	// visitsPerEvent is what the measuring may cost an event: about 100 ns.
	visitsPerEvent = 4
	// remeasureAfter is the number of events after which a small state is measured again.
	remeasureAfter = 16
)

// loaded begins anew with a state that was just brought into memory.
func (w *weight) loaded(bytes, visited int) { *w = weight{measured: bytes, visited: visited} }

// due reports whether the state should be measured.
func (w *weight) due() bool {
	return w.applied > 0 && w.applied >= max(w.visited/visitsPerEvent, min(w.total, remeasureAfter))
}

// measure notes a measurement.
func (w *weight) measure(bytes, visited int) {
	w.rate = max(0, bytes-w.measured) / max(1, w.applied)
	w.total += w.applied
	w.measured, w.visited, w.applied = bytes, visited, 0
}

// bytes is the estimate.
func (w *weight) bytes() int { return w.measured + w.applied*w.rate }
