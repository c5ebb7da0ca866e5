package runtime

import "github.com/ganglion-go/ganglion/actor"

// tracker follows the durable commands of one partition from their arrival in
// stream order to their end in any order, and knows the watermark: everything
// up to it is finished. It is not safe for concurrent use.
type tracker struct {
	watermark  uint64
	begun      ordinal   // the last that began
	pending    []tracked // in the order of sequences, from first
	first      int
	unfinished map[ordinal]int // -> index in pending
}

// ordinal is a command's place in the stream: those of a batch have one sequence.
type ordinal struct {
	sequence uint64
	more     int // commands of the same sequence that follow
}

func ordinalOf(d *actor.Delivery) ordinal { return ordinal{d.Sequence, d.More} }

func (o ordinal) after(p ordinal) bool {
	return o.sequence > p.sequence || o.sequence == p.sequence && o.more < p.more
}

type tracked struct {
	ordinal
	done bool
}

func newTracker(watermark uint64) *tracker {
	return &tracker{watermark: watermark, unfinished: map[ordinal]int{}}
}

// begin takes in the next command. It returns false for one that is not
// after all earlier ones: the stream was read again.
func (t *tracker) begin(at ordinal) bool {
	if at.sequence <= t.watermark || !at.after(t.begun) {
		return false
	}
	t.begun = at
	t.unfinished[at] = len(t.pending)
	t.pending = append(t.pending, tracked{ordinal: at})
	return true
}

// finish marks a command as finished and moves the watermark as far as it can.
func (t *tracker) finish(at ordinal) {
	i, ok := t.unfinished[at]
	if !ok {
		return
	}
	delete(t.unfinished, at)
	t.pending[i].done = true
	for t.first < len(t.pending) && t.pending[t.first].done {
		if t.pending[t.first].more == 0 {
			t.watermark = t.pending[t.first].sequence
		}
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
			t.unfinished[rest[i].ordinal] = i
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
