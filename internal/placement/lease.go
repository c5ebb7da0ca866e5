package placement

import (
	"math"
	"time"
)

// never is a time that has always passed.
const never time.Duration = math.MinInt64

// lease is what the node's own renewals let it do.
type lease struct {
	until time.Duration // lapses
	whole time.Duration // has not lapsed since
}

// renewed takes in a renewal that succeeded. It counts from when it was sent:
// the beat may have been written, and seen by others, at once after that, however
// late its answer came.
func (l *lease) renewed(now, sent, ttl time.Duration) {
	if now >= l.until {
		l.whole = now
	}
	l.until = max(l.until, sent+ttl)
}

// sole takes in that the session is there, in a store that nobody else can reach: nobody
// can take it away, whether or not it is renewed.
func (l *lease) sole(now time.Duration) {
	if now >= l.until {
		l.whole = now
	}
	l.until = math.MaxInt64
}

func (l *lease) valid(now time.Duration) bool { return now < l.until }
