package runtime

// tracker follows the durable commands of one partition from their arrival in
// stream order to their end in any order, and knows the watermark: everything
// up to it is finished. It is not safe for concurrent use.
type tracker struct {
	watermark  uint64
	pending    []tracked // in the order of sequences, from first
	first      int
	unfinished map[uint64]int // sequence -> index in pending
}

type tracked struct {
	sequence uint64
	done     bool
}

func newTracker(watermark uint64) *tracker {
	return &tracker{watermark: watermark, unfinished: map[uint64]int{}}
}

// begin takes in the next command. It returns false for a sequence that is not
// above all earlier ones: the stream was read again.
func (t *tracker) begin(sequence uint64) bool {
	if sequence <= t.watermark || len(t.pending) > t.first && sequence <= t.pending[len(t.pending)-1].sequence {
		return false
	}
	t.unfinished[sequence] = len(t.pending)
	t.pending = append(t.pending, tracked{sequence: sequence})
	return true
}

// finish marks a command as finished and moves the watermark as far as it can.
func (t *tracker) finish(sequence uint64) {
	i, ok := t.unfinished[sequence]
	if !ok {
		return
	}
	delete(t.unfinished, sequence)
	t.pending[i].done = true
	for t.first < len(t.pending) && t.pending[t.first].done {
		t.watermark = t.pending[t.first].sequence
		t.first++
	}
	t.compact()
}

// advance moves the watermark to a sequence up to which every command has begun,
// unless one of them is not finished.
func (t *tracker) advance(sequence uint64) {
	if t.span() == 0 {
		t.watermark = max(t.watermark, sequence)
	}
}

// compact drops what lies behind the watermark once that is most of it.
func (t *tracker) compact() {
	if t.first < len(t.pending) && t.first < 1024 {
		return
	}
	rest := t.pending[t.first:]
	for i := range rest {
		if !rest[i].done {
			t.unfinished[rest[i].sequence] = i
		}
	}
	if len(rest) == 0 && cap(t.pending) > 4096 {
		t.pending = nil
	} else {
		t.pending = append(t.pending[:0], rest...)
	}
	t.first = 0
}

// open returns the number of commands that are not finished.
func (t *tracker) open() int { return len(t.unfinished) }

// span returns the number of commands from the first that is not finished on.
func (t *tracker) span() int { return len(t.pending) - t.first }
