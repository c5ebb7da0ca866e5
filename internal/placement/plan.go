package placement

import (
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// Plan is what a node has to do now. Each thing is in one plan only, unless a
// later reading shows that it is still to be done.
type Plan struct {
	// Declare are sessions to be declared dead, as they were read. For those that
	// were, Declared is called, and then Plan again.
	Declare []store.Session
	// Take are claims to be taken, as they were read. For each, Took or Left is
	// called.
	Take []store.Claim
	// HandOver are partitions to be finished, released and announced. For each,
	// Left is called.
	HandOver []store.Partition
	// Release are claims of the session that it neither serves nor should.
	Release []store.Claim
	// Forget are sessions that have been dead for long, and hold nothing: to be
	// ended.
	Forget []store.Session
	// Next is when to look at the store again, at the latest.
	Next time.Duration
}

// Plan returns what is to be done. While the node's lease is lapsed it decides
// nothing, but a node that leaves gives back what it has.
func (m *Machine) Plan(now time.Duration) Plan {
	p := Plan{Next: now + m.cfg.Look}
	if m.lost || !m.looked {
		return p
	}
	m.retarget() // the node may have been cordoned since
	for p, at := range m.handed {
		if now-at >= m.cfg.Lease/2 {
			delete(m.handed, p) // whoever should have taken it is in trouble
		}
	}
	if !m.present || !m.lease.valid(now) {
		if m.leave {
			p.HandOver = m.handOver(now)
		}
		return p
	}
	p.Declare, p.Next = m.silent(now)
	p.HandOver = m.handOver(now)
	p.Forget = m.forget(now)
	var later time.Duration
	p.Take, p.Release, later = m.claim(now)
	p.Next = min(p.Next, later)
	return p
}

// claim returns the claims to take and to release, and when to look for more.
func (m *Machine) claim(now time.Duration) (take, release []store.Claim, later time.Duration) {
	later = now + m.cfg.Look
	settled := m.alone || m.formed() || now >= m.opened+m.cfg.Settle
	for p := range store.Partition(m.cfg.Partitions) { //nolint:gosec // at most 16,384
		c := m.claims[p]
		c.Partition = p
		if m.phases[p] != 0 || m.stale[p] || !m.free(&c) {
			continue
		}
		switch {
		case m.apart() && !m.moving && !m.cordoned: // it could not be served
		case m.targets[p] != m.self.Name || m.cordoned:
			if c.Session == m.self.Incarnation {
				m.stale[p] = true
				release = append(release, c)
			}
		case !settled:
			later = min(later, m.opened+m.cfg.Settle)
		case m.taken == m.cfg.ClaimMax:
			later = min(later, now+m.cfg.Pace)
		default:
			m.phases[p] = taking
			m.taken++
			take = append(take, c)
		}
	}
	return take, release, later
}

// Expects reports whether another node has, upon the last reading, a partition that it
// is to hand over to this one.
func (m *Machine) Expects() bool {
	if m.lost || m.cordoned || m.apart() {
		return false
	}
	for p, c := range m.claims {
		if int(p) < len(m.targets) && m.targets[p] == m.self.Name && m.phases[p] == 0 && !m.free(&c) {
			return true
		}
	}
	return false
}

// free reports whether a claim may be taken by the node: it is nobody's, or of a
// session that is dead, ended or replaced, or its own.
func (m *Machine) free(c *store.Claim) bool {
	if c.Session == "" || c.Session == m.self.Incarnation {
		return true
	}
	o, ok := m.others[c.Owner]
	return !ok || o.session.Incarnation != c.Session || o.session.Dead
}

// formed reports whether another member holds a claim: the cluster is at work,
// and whoever belongs to it has been seen.
func (m *Machine) formed() bool {
	for _, c := range m.claims {
		if c.Session != m.self.Incarnation && !m.free(&c) {
			return true
		}
	}
	return false
}

// handOver returns the partitions to be handed over now, a bounded number at a
// time until they are taken, unless nobody waits for them: each stands still until
// its next owner serves it, which may take them more slowly than they come. They go to members
// that are seen to renew, so that somebody takes them, and only after the store
// says that the node drains, or is cut, so that somebody feels responsible. All that a
// cut node has stands still already.
func (m *Machine) handOver(now time.Duration) []store.Partition {
	if !m.leave && (m.cordoned && !m.told || m.cut != m.toldCut || !m.moving) {
		return nil
	}
	under := len(m.handed)
	var candidates []store.Partition
	for p, ph := range m.phases {
		switch {
		case ph == leaving:
			under++
		case ph == serving && m.successor(p) != m.self.Name:
			candidates = append(candidates, p)
		}
	}
	slices.Sort(candidates)
	var out []store.Partition
	for _, p := range candidates {
		if !m.leave && !m.cut && under+len(out) >= m.cfg.LeaveMax {
			break
		}
		if to := m.successor(p); m.leave || m.proven(now, to) && m.steady(now, to) {
			m.phases[p] = leaving
			out = append(out, p)
		}
	}
	return out
}

// forget returns sessions that nobody needs to see any more.
func (m *Machine) forget(now time.Duration) []store.Session {
	var old []store.Session
	for _, o := range m.others {
		if o.session.Dead && !o.declared && now-o.since >= m.cfg.Forget {
			old = append(old, o.session)
		}
	}
	if len(old) == 0 {
		return nil
	}
	holds := map[string]bool{}
	for _, c := range m.claims {
		holds[c.Session] = true
	}
	return slices.DeleteFunc(old, func(s store.Session) bool { return holds[s.Incarnation] })
}
