package placement

import (
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// observed is what was seen of another node's session.
type observed struct {
	session  store.Session
	since    time.Duration // it was first seen as it is now
	moves    int           // of its beat, under our eyes
	declared bool          // a declaration of its death is under way
	wasCut   bool          // it was cut, under our eyes
	joined   time.Duration // when it was seen to be connected again
}

// observe takes in a reading of the sessions. Those that are gone are forgotten,
// and counted anew should they come back.
func (m *Machine) observe(now time.Duration, sessions []store.Session) {
	next := make(map[string]observed, len(sessions))
	for _, s := range sessions {
		if s.Name == m.self.Name {
			continue
		}
		was, known := m.others[s.Name]
		wasCut, joined := was.wasCut, was.joined
		if was.session.Cut && !s.Cut {
			wasCut, joined = true, now
		}
		switch {
		case !known || was.session.Incarnation != s.Incarnation || was.session.Dead != s.Dead:
			was = observed{since: now}
		case was.session.Beat != s.Beat:
			was = observed{since: now, moves: was.moves + 1}
		}
		was.session, was.declared, was.wasCut, was.joined = s, false, wasCut, joined
		next[s.Name] = was
	}
	m.others = next
}

// stillSince is since when the beat has stood still, as far as that says
// something: time in which the observer could not renew its own session does not
// count. Otherwise a store that stalls would make everybody dead, for whoever
// comes to look first when it is back.
func (m *Machine) stillSince(o *observed) time.Duration { return max(o.since, m.lease.whole) }

// silent returns the sessions that may be declared dead, and the earliest time
// at which another one may be if its beat does not move.
func (m *Machine) silent(now time.Duration) (dead []store.Session, next time.Duration) {
	next = now + m.cfg.Look
	for name, o := range m.others {
		if o.session.Dead || o.declared {
			continue
		}
		if due := m.stillSince(&o) + m.cfg.DeadAfter(&o.session); now < due {
			next = min(next, due)
			continue
		}
		o.declared = true
		m.others[name] = o
		dead = append(dead, o.session)
	}
	return dead, next
}

// proven reports whether a member is seen to renew, so that a partition that is
// handed over finds somebody. One that has just opened its session is not yet:
// it may end at once, as nodes do that are configured wrongly, again and again.
func (m *Machine) proven(now time.Duration, member string) bool {
	o, ok := m.others[member]
	return ok && !o.session.Dead && o.moves > 0 && now-o.since < m.cfg.leaseOf(&o.session)/2
}
