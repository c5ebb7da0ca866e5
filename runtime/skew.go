package runtime

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

const (
	// skewTolerated is the difference of two nodes' clocks from which on it is logged.
	skewTolerated = time.Second

	// skewRepeat is the time between two lines of the log about the same node.
	skewRepeat = 10 * time.Minute
)

// skews measures by how much the clocks of other nodes are off, as seen from here: each
// renewal says what time it was by its node's clock. Nothing is decided by it, people are
// told.
//
// A renewal that one look finds and the look before did not was sent before this look
// ended, and after that one began, or up to a lease before, if the store was slow. What
// is measured is the least difference that this allows.
type skews struct {
	cfg  *Config
	self string // name of this node

	mu     sync.Mutex
	seen   map[string]beatSeen // by incarnation
	by     map[string]time.Duration
	logged map[string]time.Duration // Clock.Elapsed, by name
}

// beatSeen is a session as a look has found it.
type beatSeen struct {
	beat  uint64
	since time.Time // this node's clock when a look began that found this beat
}

func newSkews(cfg *Config) *skews {
	return &skews{cfg: cfg, self: cfg.Name, logged: map[string]time.Duration{}}
}

// looked takes in the sessions of a look that began and ended at these times of this
// node's clock.
func (s *skews) looked(ctx context.Context, began, ended time.Time, sessions []store.Session) {
	seen, by := map[string]beatSeen{}, map[string]time.Duration{}
	s.mu.Lock()
	for i := range sessions {
		other := &sessions[i]
		if other.Name == s.self || other.Dead || other.Time.IsZero() {
			continue
		}
		was, known := s.seen[other.Incarnation]
		seen[other.Incarnation] = beatSeen{other.Beat, began}
		switch {
		case known && was.beat != other.Beat:
			by[other.Name] = leastSkew(other.Time, was.since.Add(-other.Lease), ended)
		case known:
			by[other.Name] = s.by[other.Name]
		}
	}
	s.seen, s.by = seen, by
	s.mu.Unlock()
	for name, d := range by {
		s.tell(ctx, name, d)
	}
}

// leastSkew returns by how much a clock that said so is ahead, at the least, if it was
// read between two times: less than 0: behind.
func leastSkew(said, after, before time.Time) time.Duration {
	switch {
	case said.After(before):
		return said.Sub(before)
	case said.Before(after):
		return said.Sub(after)
	default:
		return 0
	}
}

// tell logs a difference when it is first seen, when it is still there after a while, and
// when it has gone.
func (s *skews) tell(ctx context.Context, name string, d time.Duration) {
	now := s.cfg.Clock.Elapsed()
	s.mu.Lock()
	last, told := s.logged[name]
	off := d.Abs() >= skewTolerated
	switch {
	case off && (!told || now-last >= skewRepeat):
		s.logged[name] = now
	case !off && told:
		delete(s.logged, name)
	default:
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	if off {
		s.cfg.Logger.WarnContext(ctx, "clocks of nodes differ: times that they show, and timers, are off by as much",
			"node", s.self, "other", name, "other_is_ahead_by", d)
		return
	}
	s.cfg.Logger.InfoContext(ctx, "clocks of nodes agree again", "node", s.self, "other", name)
}

// known returns by how much the clocks of other nodes are ahead of this one's, at the
// least, by their names.
func (s *skews) known() map[string]time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.by)
}
