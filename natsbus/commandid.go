package natsbus

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// idSource makes UUIDv7s (RFC 9562) that grow from one to the next: 48 bits of
// milliseconds, 12 bits of a fraction of a millisecond, 62 random bits. It is
// safe for concurrent use.
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
	var u [16]byte
	copy(u[8:], s.random[len(s.random)-s.unused:])
	s.unused -= 8
	s.mu.Unlock()

	binary.BigEndian.PutUint64(u[:8], stamp/fractions<<16|0x7000|stamp%fractions)
	u[8] = u[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[0:8], u[0:4])
	hex.Encode(text[9:13], u[4:6])
	hex.Encode(text[14:18], u[6:8])
	hex.Encode(text[19:23], u[8:10])
	hex.Encode(text[24:36], u[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return actor.CommandID(text[:])
}
