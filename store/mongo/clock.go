package mongo

import (
	"sync/atomic"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// clock is the latest operation time of the writes that were acknowledged to
// this store. Reads carry it as afterClusterTime: a server that has not got to
// it, such as a primary that was replaced without knowing, waits instead of
// answering, and the read times out.
//
// Only acknowledged writes count. The time of a write that a minority made would
// belong to a history that may be rolled back, and reads would wait for it.
type clock struct{ packed atomic.Uint64 }

func (c *clock) advance(t *bson.Timestamp) {
	if t == nil {
		return
	}
	next := pack(*t)
	for {
		now := c.packed.Load()
		if now >= next || c.packed.CompareAndSwap(now, next) {
			return
		}
	}
}

// now is false before the first write.
func (c *clock) now() (bson.Timestamp, bool) {
	packed := c.packed.Load()
	return unpack(packed), packed != 0
}

func pack(t bson.Timestamp) uint64 { return uint64(t.T)<<32 | uint64(t.I) }

func unpack(packed uint64) bson.Timestamp {
	return bson.Timestamp{T: uint32(packed >> 32), I: uint32(packed)}
}
