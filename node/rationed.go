package node

import (
	"sync"
	"time"
)

// rationEvery is the time between two lines of the log about what anybody can cause as
// often as they like.
const rationEvery = 5 * time.Second

// rationed counts events, and lets one of them be told in a while. The zero value is
// ready.
type rationed struct {
	mu     sync.Mutex
	last   time.Time
	untold int
}

// next reports whether this event is to be told, and how many were not since the last.
func (r *rationed) next(now time.Time) (tell bool, untold int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.last.IsZero() && now.Sub(r.last) < rationEvery {
		r.untold++
		return false, 0
	}
	untold, r.untold, r.last = r.untold, 0, now
	return true, untold
}
