package natsbus

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// idSource makes UUIDv7s (RFC 9562) that grow from one to the next: 48 bits of
// milliseconds, 12 bits of a fraction of a millisecond, 38 random bits and the mark of
// [actor.StampID]. It is safe for concurrent use.
type idSource struct {
	mu     sync.Mutex
	last   uint64 // milliseconds and fraction of the last id, as one number
	random [512]byte
	unused int
}

// next returns an id made now. When ids are asked for faster than the fraction
// counts, or the clock goes back, they run ahead of it.
func (s *idSource) next(now time.Time) actor.CommandID {
	const fractions = 1 << 12
	ns := uint64(now.UnixNano())
	const nsPerMilli = uint64(time.Millisecond)
	stamp := ns/nsPerMilli*fractions + ns%nsPerMilli*fractions/nsPerMilli

	s.mu.Lock()
	s.last = max(stamp, s.last+1)
	stamp = s.last
	if s.unused == 0 {
		_, _ = rand.Read(s.random[:]) // never fails: it ends the program instead
		s.unused = len(s.random)
	}
	random := binary.BigEndian.Uint64(s.random[len(s.random)-s.unused:])
	s.unused -= 8
	s.mu.Unlock()
	return actor.StampID(int64(stamp/fractions), uint16(stamp%fractions), random)
}
