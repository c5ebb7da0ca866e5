package placement

import (
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// A node tells the others which claims it has just released or taken. What is heard
// saves a reading of the store while partitions change hands. It may be lost, come late,
// twice, or in another order: a claim only ever goes from one epoch to the next, and
// within one from held to free, so that the later one of two is known. Nothing rests on
// it: whoever takes a claim upon it compares what the store has.

// heard is a claim as another node has told it.
type heard struct {
	claim store.Claim
	at    time.Duration
}

// later reports whether a claim has become what c says after it was what o says.
func later(c, o *store.Claim) bool {
	if c.Epoch != o.Epoch {
		return c.Epoch > o.Epoch
	}
	return c.Session == "" && o.Session != ""
}

// Heard takes in what the node by says of claims: those without a session it has
// released, the others it has taken. It reports whether the store should be read, as
// the node knows too little to act upon it.
func (m *Machine) Heard(now time.Duration, by string, news []store.Claim) (look bool) {
	if m.lost || !m.looked {
		return false
	}
	for _, c := range news {
		known := m.claims[c.Partition]
		if int64(c.Partition) >= int64(m.cfg.Partitions) || c.Session == m.self.Incarnation || !later(&c, &known) {
			continue
		}
		switch {
		case c.Session == "":
			// It would keep what is still its own: here is not known yet why it left.
			look = look || m.targets[c.Partition] == by
		case m.free(&c):
			// Its session was opened after the last reading, and would look like one
			// that has ended.
			look = true
			continue
		default:
			delete(m.handed, c.Partition)
		}
		m.claims[c.Partition], m.heard[c.Partition] = c, heard{claim: c, at: now}
		delete(m.stale, c.Partition)
		delete(m.left, c.Partition)
	}
	return look
}

// remember puts what was heard during a reading in the place of what that has found.
func (m *Machine) remember(began time.Duration) {
	for p, h := range m.heard {
		known := m.claims[p]
		if h.at < began || !later(&h.claim, &known) {
			delete(m.heard, p)
			continue
		}
		m.claims[p] = h.claim
	}
}
