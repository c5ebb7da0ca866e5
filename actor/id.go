package actor

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// MaxCommandIDBytes is the longest command id, in bytes.
const MaxCommandIDBytes = 256

// CommandID identifies one intention of a caller across all its retries. A
// client makes UUIDv7s (RFC 9562); a caller may choose any other text of 1 to
// [MaxCommandIDBytes] bytes of UTF-8 that does not begin with "ganglion.": those ids
// are of what the runtime itself sends, see [InternalID]. An id is scoped to its
// aggregate.
type CommandID string

// Internal reports whether the id is one of the runtime's own, which no caller can
// use.
func (id CommandID) Internal() bool { return strings.HasPrefix(string(id), reservedPrefix) }

// Formerly returns the id that earlier builds gave the same command, which had no
// ids of their own for what the runtime sends; empty for any id but an internal one.
func (id CommandID) Formerly() CommandID {
	former, ok := strings.CutPrefix(string(id), reservedPrefix)
	if !ok {
		return ""
	}
	return CommandID(former)
}

// InternalID returns an id for a command that the runtime itself sends: [DeriveID]
// in a name space of its own. Its parts are known to everybody, so that anybody can
// compute it; nobody from outside can use it.
func InternalID(at time.Time, parts ...string) CommandID {
	return reservedPrefix + DeriveID(at, parts...)
}

// UnixMilli returns the millisecond that a UUIDv7 carries, also that of an internal
// id. ok is false for any other text: such an id tells no time.
func (id CommandID) UnixMilli() (ms int64, ok bool) {
	if id.Internal() {
		id = id.Formerly()
	}
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return 0, false
	}
	var u [16]byte
	digits := id[:8] + id[9:13] + id[14:18] + id[19:23] + id[24:]
	if _, err := hex.Decode(u[:], []byte(digits)); err != nil || u[6]>>4 != 7 || u[8]>>6 != 2 {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(u[:8]) >> 16), true
}

// DeriveID returns a UUIDv7 that is a pure function of its arguments: the
// millisecond of at, and bits of SHA-256 over parts. Two different lists of
// parts give two different ids, but for a chance of 2^-74. The id of a time
// before 1970 carries millisecond 0.
func DeriveID(at time.Time, parts ...string) CommandID {
	h := sha256.New()
	var n [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	var u [16]byte
	copy(u[6:], h.Sum(nil))
	ms := uint64(max(at.UnixMilli(), 0))
	binary.BigEndian.PutUint32(u[0:], uint32(ms>>16))
	binary.BigEndian.PutUint16(u[4:], uint16(ms))
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	return CommandID(formatUUID(u))
}

func formatUUID(u [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
