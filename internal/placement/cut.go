package placement

import "time"

// A node that no messages reach is cut: it cannot serve its partitions to anybody, while
// its session goes on, as the store is another system. It says so in its session. Nodes
// that are not cut are connected, and they alone are members then: what a cut node has,
// it hands over to them as ever, so that it has stopped before another one begins.
//
// If nobody is connected, messaging itself is gone, and nothing moves: no partition is
// better off elsewhere. When it goes, and when it comes back, one node notices it first:
//
//	a                                       b
//	is cut: renews as such
//	waits for Steady: otherwise it would
//	  hand everything over to b
//	                                        is cut: renews as such
//	sees that b is cut: nothing moves
//	                                        is connected again: renews as such
//	waits for Steady, likewise
//	is connected again: renews as such
//	                                        sees that a is connected: nothing moves
//
// So a cut node hands over only when it has been cut for a while, and to a node that has
// been connected for as long; and one that was cut gets nothing back before that.

// Cut takes in whether messages reach the node, which its next renewal is to say.
func (m *Machine) Cut(cut bool) { m.cut = cut }

// CutOff is what the next renewal is to write.
func (m *Machine) CutOff() bool { return m.cut }

// apart reports whether the node is cut, or others still read so.
func (m *Machine) apart() bool { return m.cut || m.toldCut }

// connected returns those that would take partitions, if any are connected, and those
// that would if they were.
func (m *Machine) connected() (members, apart []member) {
	add := func(w member, cut bool) {
		if cut {
			apart = append(apart, w)
		} else {
			members = append(members, w)
		}
	}
	if !m.cordoned {
		add(memberOf(&m.self), m.apart())
	}
	for _, o := range m.others {
		if !o.session.Dead && !o.session.Draining {
			add(memberOf(&o.session), o.session.Cut)
		}
	}
	return members, apart
}

// steady reports whether a member is connected for long enough to be handed partitions.
func (m *Machine) steady(now time.Duration, name string) bool {
	o := m.others[name]
	since := never
	if o.wasCut {
		since = o.joined
	}
	if m.apart() {
		since = max(since, m.cutSince)
	}
	return since == never || now-since >= m.cfg.Steady
}
