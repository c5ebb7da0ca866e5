package jetstream

import (
	"sync"

	"github.com/ganglion-go/ganglion/store"
)

// sessionAt is a session's record where this store has written it.
type sessionAt struct {
	record sessionRecord
	seq    uint64
}

// renewals remembers the last renewal of the session that this process renews, so that the
// next one needs no read: on a busy disk, or behind many readers, that is most of what a
// renewal waits for.
type renewals struct {
	mu   sync.Mutex
	last *sessionAt
}

func (r *renewals) note(at *sessionAt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = at
}

// find returns where the session is as it is expected, or nil if that is not known.
func (r *renewals) find(session *store.Session) *sessionAt {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil || r.last.record.Name != session.Name || !r.last.record.sameBeat(session) {
		return nil
	}
	return r.last
}
