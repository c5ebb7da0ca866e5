package actor

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
)

// MaxCommandIDBytes is the longest command id, in bytes.
const MaxCommandIDBytes = 256

// CommandID identifies one intention of a caller across all its retries. For a
// command without one a client makes a UUIDv7 (RFC 9562) with a mark, see [StampID]; a
// caller may choose any text of 1 to [MaxCommandIDBytes] bytes of UTF-8 that does not
// begin with "ganglion.": those ids are of what the runtime itself sends, see
// [InternalID]. An id is scoped to its aggregate.
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
	u, ok := id.uuid7()
	if !ok {
		return 0, false
	}
	return milli(&u), true
}

// Stamped returns the millisecond of an id that a client ([StampID]) or the runtime
// ([InternalID]) has made for one command. ok is false for any other text: that is a
// caller's key, whatever it looks like, and a time in it says nothing. What an id is
// follows from its text alone, so every try of a command is judged alike.
func (id CommandID) Stamped() (ms int64, ok bool) {
	u, ok := id.uuid7()
	if !ok || !id.Internal() && mark(&u) != [markBytes]byte(u[16-markBytes:]) {
		return 0, false
	}
	return milli(&u), true
}

func milli(u *[16]byte) int64 { return int64(binary.BigEndian.Uint64(u[:8]) >> 16) }

// uuid7 returns the bytes of a UUIDv7, without what an internal id has before it.
func (id CommandID) uuid7() (u [16]byte, ok bool) {
	if id.Internal() {
		id = id.Formerly()
	}
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return u, false
	}
	bad := byte(0)
	// Where the two digits of each byte begin.
	for i, at := range [len(u)]uint8{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34} {
		high, low := nibbles[id[at]], nibbles[id[at+1]]
		u[i], bad = high<<4|low, bad|high|low
	}
	return u, bad < 16 && u[6]>>4 == 7 && u[8]>>6 == 2
}

// nibbles has the value of each hexadecimal digit, and 255 for what is none, 16 bytes a
// line. Ids are read several times a command: a table takes half the time of comparisons.
const nibbles = "" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\xff\xff\xff\xff\xff\xff" +
	"\xff\x0a\x0b\x0c\x0d\x0e\x0f\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\x0a\x0b\x0c\x0d\x0e\x0f\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"

// markBytes is how much of a stamped id is its mark: the last bytes.
const markBytes = 3

// mark returns the mark of an id: a checksum of all that comes before it. It is no
// secret. It tells ids that clients have made from keys that callers have chosen, of
// which one in 16 million has it by chance.
func mark(u *[16]byte) (m [markBytes]byte) {
	h := uint64(14695981039346656037) // FNV-1a, from its offset on
	for _, b := range u[:16-markBytes] {
		h = (h ^ uint64(b)) * 1099511628211
	}
	h ^= h >> 32
	m[0], m[1], m[2] = byte(h>>16), byte(h>>8), byte(h)
	return m
}

// StampID returns the id of a command to which its caller has given none: a UUIDv7 of a
// millisecond since 1970, with 12 bits of a fraction or of chance, 38 bits of chance and
// a mark by which it is known again, see [CommandID.Stamped]. What is out of range is
// cut off.
//
// It is for clients, which know the time at which they make it. A caller that wants to
// choose ids takes texts of his own, or UUIDs.
func StampID(ms int64, fraction uint16, random uint64) CommandID {
	var u [16]byte
	binary.BigEndian.PutUint64(u[:8], uint64(ms)<<16|0x7000|uint64(fraction&0x0fff))
	binary.BigEndian.PutUint64(u[8:], 2<<62|random<<26>>2)
	m := mark(&u)
	copy(u[16-markBytes:], m[:])
	return CommandID(formatUUID(u))
}

// DeriveID returns a UUIDv7 without a mark that is a pure function of its arguments: the
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
	var text [36]byte
	hex.Encode(text[0:8], u[0:4])
	hex.Encode(text[9:13], u[4:6])
	hex.Encode(text[14:18], u[6:8])
	hex.Encode(text[19:23], u[8:10])
	hex.Encode(text[24:36], u[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
