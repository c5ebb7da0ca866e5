package wire

import (
	"strconv"
	"strings"
)

// Position is where a message of a consumer stands.
type Position struct {
	Stream   uint64 // sequence in the stream
	Consumer uint64 // count of the consumer's deliveries: no gaps
	Pending  uint64 // messages that the consumer has yet to deliver
}

// ParsePosition reads the reply subject of a delivered message, which is either
//
//	$JS.ACK.STREAM.CONSUMER.DELIVERED.STREAMSEQ.CONSUMERSEQ.TIME.PENDING
//	$JS.ACK.DOMAIN.ACCOUNT.STREAM.CONSUMER.DELIVERED.STREAMSEQ.CONSUMERSEQ.TIME.PENDING[.RANDOM]
//
// It does what nats.Msg.Metadata does, without allocating.
func ParsePosition(reply string) (Position, bool) {
	rest, ok := afterDelivered(reply)
	if !ok {
		return Position{}, false
	}
	inStream, rest, _ := strings.Cut(rest, ".")
	ofConsumer, rest, _ := strings.Cut(rest, ".")
	_, rest, _ = strings.Cut(rest, ".")
	pending, _, _ := strings.Cut(rest, ".")
	var at Position
	var okStream, okConsumer bool
	at.Stream, okStream = ParseSequence(inStream)
	at.Consumer, okConsumer = ParseSequence(ofConsumer)
	at.Pending, _ = ParseSequence(pending) // 0 does not parse
	return at, okStream && okConsumer
}

// ParseStored reads from such a subject when the message was stored, in nanoseconds since
// 1970, by the clock of the stream's leader; 0: it does not say.
func ParseStored(reply string) int64 {
	rest, ok := afterDelivered(reply)
	if !ok {
		return 0
	}
	for range 2 {
		_, rest, _ = strings.Cut(rest, ".")
	}
	stored, _, _ := strings.Cut(rest, ".")
	at, err := strconv.ParseInt(stored, 10, 64)
	if err != nil {
		return 0
	}
	return at
}

// afterDelivered returns what follows the number of deliveries.
func afterDelivered(reply string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(reply, "$JS.ACK.")
	if !ok {
		return "", false
	}
	skip := 3
	switch n := strings.Count(rest, ".") + 1; {
	case n == 7:
	case n >= 9:
		skip = 5
	default:
		return "", false
	}
	for range skip {
		_, rest, _ = strings.Cut(rest, ".")
	}
	return rest, true
}

// ParseSequence reads a positive decimal number. Sequences of 2^63 and more are
// out of JetStream's reach.
func ParseSequence(s string) (uint64, bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	var n uint64
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + uint64(c)
	}
	return n, n > 0
}
