package wire

import (
	"strconv"
	"strings"
)

// Purpose says what a message to an inbox is.
type Purpose byte

// The purposes of an inbox.
const (
	ForOutcome Purpose = 'o' // an owner's answer
	ForAck     Purpose = 'a' // the command stream's
	ForBatch   Purpose = 'b' // the command stream's, to a batch: CALL is its number
)

// Inbox names where answers to one try of one call go. Its subject is
// PREFIX.CALL.PTRY with the purpose's letter for P, CALL and TRY in base 36.
type Inbox struct {
	Call    uint64
	Purpose Purpose
	Try     uint32
}

// Subject returns the inbox's subject under the client's prefix.
func (i Inbox) Subject(prefix string) string {
	b := make([]byte, 0, len(prefix)+24)
	b = append(b, prefix...)
	b = append(b, '.')
	b = strconv.AppendUint(b, i.Call, 36)
	b = append(b, '.', byte(i.Purpose))
	return string(strconv.AppendUint(b, uint64(i.Try), 36))
}

// ParseInbox is the inverse of [Inbox.Subject].
func ParseInbox(prefix, subject string) (Inbox, bool) {
	rest, ok := strings.CutPrefix(subject, prefix)
	if !ok || rest == "" || rest[0] != '.' {
		return Inbox{}, false
	}
	call, last, _ := strings.Cut(rest[1:], ".")
	if len(last) < 2 {
		return Inbox{}, false
	}
	id, errCall := strconv.ParseUint(call, 36, 64)
	try, errTry := strconv.ParseUint(last[1:], 36, 32)
	purpose := Purpose(last[0])
	ok = errCall == nil && errTry == nil && (purpose == ForOutcome || purpose == ForAck || purpose == ForBatch)
	return Inbox{Call: id, Purpose: purpose, Try: uint32(try)}, ok
}
