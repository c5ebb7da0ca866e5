package mongo

import (
	"sync/atomic"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// clock is the latest operation time that a storage has seen. Its reads carry it, so
// that a primary which was replaced without knowing does not show an older state than
// the checkpoint that was read before.
type clock struct{ packed atomic.Uint64 }

func (c *clock) advance(t *bson.Timestamp) {
	if t == nil {
		return
	}
	next := uint64(t.T)<<32 | uint64(t.I)
	for {
		now := c.packed.Load()
		if now >= next || c.packed.CompareAndSwap(now, next) {
			return
		}
	}
}

// now is false before anything was seen.
func (c *clock) now() (bson.Timestamp, bool) {
	packed := c.packed.Load()
	return bson.Timestamp{T: uint32(packed >> 32), I: uint32(packed)}, packed != 0 //nolint:gosec // two halves
}
