package jetstream

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ganglion-go/ganglion/store"
)

const (
	// emptyToken stands for the empty text, and noKind in the place of the kind
	// for an address without a slash. Nothing else is encoded like them.
	emptyToken = "%"
	noKind     = "%%"
)

// maxSubject keeps subjects within what servers accept in a control line.
const maxSubject = 2048

// aggregateTokens returns an aggregate's address as two legal subject tokens,
// kind and id. The encoding is injective.
func aggregateTokens(a store.Aggregate) string {
	kind, id, ok := strings.Cut(string(a), "/")
	if !ok {
		return noKind + "." + encodeToken(kind)
	}
	return encodeToken(kind) + "." + encodeToken(id)
}

// encodeToken returns text as one legal subject token: bytes other than ASCII
// letters, digits, '-' and '_' are written as %XX.
func encodeToken(text string) string {
	if text == "" {
		return emptyToken
	}
	escapes := 0
	for i := range len(text) {
		if !isTokenByte(text[i]) {
			escapes++
		}
	}
	if escapes == 0 {
		return text
	}
	const upperHex = "0123456789ABCDEF"
	out := make([]byte, 0, len(text)+2*escapes)
	for i := range len(text) {
		if c := text[i]; isTokenByte(c) {
			out = append(out, c)
		} else {
			out = append(out, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(out)
}

// aggregateOf is the inverse of commits. known is false for any other subject.
func (s subjects) aggregateOf(subject string) (a store.Aggregate, known bool) {
	rest, ok := strings.CutPrefix(subject, s.ns+".agg.")
	if !ok {
		return "", false
	}
	a = decodeAggregate(rest)
	return a, s.commits(a) == subject // nothing else is decoded to what is encoded like it
}

// commandOf is the inverse of parked. known is false for any other subject.
func (s subjects) commandOf(subject string) (a store.Aggregate, commandID string, known bool) {
	rest, ok := strings.CutPrefix(subject, s.ns+".park.")
	dot := strings.LastIndexByte(rest, '.')
	if !ok || dot < 0 {
		return "", "", false
	}
	a, commandID = decodeAggregate(rest[:dot]), decodeToken(rest[dot+1:])
	return a, commandID, s.parked(a, commandID) == subject
}

// decodeAggregate is the inverse of aggregateTokens, for what that has written.
func decodeAggregate(tokens string) store.Aggregate {
	kind, id, _ := strings.Cut(tokens, ".")
	text := decodeToken(id)
	if kind != noKind {
		text = decodeToken(kind) + "/" + text
	}
	return store.Aggregate(text)
}

// decodeToken is the inverse of encodeToken, for what that has written.
func decodeToken(token string) string {
	if token == emptyToken {
		return ""
	}
	out := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		if c, err := strconv.ParseUint(token[min(i+1, len(token)):min(i+3, len(token))], 16, 8); token[i] == '%' && err == nil {
			out = append(out, byte(c))
			i += 2
			continue
		}
		out = append(out, token[i])
	}
	return string(out)
}

func isTokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// subjects makes the subjects of one namespace.
type subjects struct{ ns string }

func (s subjects) commits(a store.Aggregate) string { return s.ns + ".agg." + aggregateTokens(a) }

// ofKind is the prefix of the commits of a kind's aggregates; kind is a token.
func (s subjects) ofKind(kind string) string { return s.ns + ".agg." + kind + "." }

func (s subjects) snapshot(a store.Aggregate) string { return s.ns + ".snap." + aggregateTokens(a) }
func (s subjects) session(name string) string        { return s.ns + ".lease.session." + encodeToken(name) }

func (s subjects) binding() string { return s.ns + ".lease.binding" }

// claim splits partitions into groups, each of which one multi-get can return.
func (s subjects) claim(p store.Partition) string {
	return fmt.Sprintf("%s.lease.claim.%d.%d", s.ns, claimGroupOf(p), p)
}

func claimGroupOf(p store.Partition) int { return int(p / claimGroup) }

func (s subjects) claimGroups() string { return s.ns + ".lease.groups" }

func (s subjects) claims(group int) string { return fmt.Sprintf("%s.lease.claim.%d.*", s.ns, group) }

func (s subjects) parked(a store.Aggregate, commandID string) string {
	return s.parkedOf(a) + encodeToken(commandID)
}

// parkedOf is the prefix of all parked commands of an aggregate.
func (s subjects) parkedOf(a store.Aggregate) string {
	return s.ns + ".park." + aggregateTokens(a) + "."
}

// allParked selects the records of parked commands, and not their parts.
func (s subjects) allParked() string { return s.ns + ".park.*.*.*" }

// parkedParts is the prefix of all parts of a parked command. No kind is encoded like
// the token before it.
func (s subjects) parkedParts(a store.Aggregate, commandID string) string {
	return s.ns + ".park.%part." + aggregateTokens(a) + "." + encodeToken(commandID) + "."
}

// tooLong says that no server carries the subject: nothing can be stored under it.
func tooLong(subject string) bool { return len(subject) > maxSubject }

// checkSubject is [store.ErrTooLarge] for a subject that is too long.
func checkSubject(subject string) error {
	if tooLong(subject) {
		return fmt.Errorf("subject of %d bytes, the limit is %d: %w", len(subject), maxSubject, store.ErrTooLarge)
	}
	return nil
}
