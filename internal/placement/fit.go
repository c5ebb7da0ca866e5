package placement

import (
	"maps"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// A node that meets an aggregate of a kind, or a stored event, that its build does
// not know says so in its session: it lacks that in the partition. All who read
// the session then agree on who is fit for the partition. A lack lasts as long as
// the session and is never taken back, and each move that follows from one goes to
// a member that has no reason yet to be unfit. So a partition moves at most once
// for each member and each thing that is lacked, and then stays, until members
// come or go.

// lack is what a live session lacks in a partition.
type lack struct {
	by   string // name of the member
	code string // its build
	kind string // empty: a stored event
}

// member is a node that takes partitions.
type member struct {
	name, build string
	kinds       []string // sorted or not; never changed
	incarnation string
}

func memberOf(s *store.Session) member {
	return member{name: s.Name, build: s.Build, kinds: s.Kinds, incarnation: s.Incarnation}
}

// fits reports whether a member may know all that is lacked. Nobody who has the
// same code knows an event that one lacks.
func (w *member) fits(lacks []lack) bool {
	return !slices.ContainsFunc(lacks, func(l lack) bool {
		switch {
		case l.by == w.name:
			return true
		case l.kind != "":
			return !slices.Contains(w.kinds, l.kind)
		default:
			return SameCode(l.code, w.build)
		}
	})
}

// newest returns those than whose build no other's is newer.
func newest(members []member) []member {
	var all []member
	for _, w := range members {
		if !slices.ContainsFunc(members, func(o member) bool { return Older(w.build, o.build) }) {
			all = append(all, w)
		}
	}
	return all
}

// preferred returns the members to which what is free goes: those of the newest
// build, unless they are fewer than half. With this bound nobody gets more than
// twice its fair share because it is new.
func preferred(members []member) []member {
	if first := newest(members); 2*len(first) >= len(members) {
		return first
	}
	return members
}

func names(members []member) []string {
	all := make([]string, len(members))
	for i, w := range members {
		all[i] = w.name
	}
	return all
}

// assign finds out whose each partition is: its home, by rendezvous hashing among
// all who are fit for it, and who takes it when it is free, among the newest of
// those.
func (m *Machine) assign(lacked map[store.Partition][]lack) {
	m.homes = targets(names(m.members), m.cfg.Partitions)
	m.targets = targets(names(preferred(m.members)), m.cfg.Partitions)
	m.unfit = map[store.Partition]bool{}
	for p, lacks := range lacked {
		fit := slices.DeleteFunc(slices.Clone(m.members), func(w member) bool { return !w.fits(lacks) })
		if len(fit) == 0 || int(p) >= len(m.homes) {
			continue // nobody is better than another
		}
		m.homes[p], m.targets[p] = Highest(names(fit), p), Highest(names(newest(fit)), p)
		m.unfit[p] = !slices.Contains(names(fit), m.self.Name)
	}
}

// lacked returns what live sessions lack, by partition, always in one order. The
// node's own lacks count once the store has them: what is handed over before others
// see why would come back.
func (m *Machine) lacked() map[store.Partition][]lack {
	all := map[store.Partition][]lack{}
	add := func(s *store.Session, lacks []store.Lack) {
		for _, l := range lacks {
			all[l.Partition] = append(all[l.Partition], lack{by: s.Name, code: s.Build, kind: l.Kind})
		}
	}
	add(&m.self, m.lacks[:m.toldLacks])
	for _, name := range slices.Sorted(maps.Keys(m.others)) {
		if s := m.others[name].session; !s.Dead {
			add(&s, s.Lacks)
		}
	}
	return all
}

// successor returns who should have a partition that the node has. It keeps what
// it may, unless the partition belongs at home, and home is among the preferred:
// nothing moves to an older build, or to a newer one, for no other reason than
// that.
func (m *Machine) successor(p store.Partition) string {
	if m.homes[p] != m.targets[p] && !m.cordoned && !m.apart() && !m.unfit[p] {
		return m.self.Name
	}
	return m.targets[p]
}

// lacksMax bounds what a session lacks in one partition. Beyond it the session only
// says that it is not fit.
const lacksMax = 8

// Lack takes in that the node has met in a partition what its build does not know:
// an aggregate of a kind, or with an empty kind a stored event. It reports whether
// there is a member, in the last reading, that may know it. The partition is handed
// over to one then, once a renewal has written [Machine.Lacks].
func (m *Machine) Lack(p store.Partition, kind string) bool {
	if m.lost || m.phases[p] == leaving {
		return true // whoever comes next finds out
	}
	all := m.lacked()[p]
	for _, l := range m.lacks[m.toldLacks:] {
		if l.Partition == p {
			all = append(all, lack{by: m.self.Name, code: m.self.Build, kind: l.Kind})
		}
	}
	all = append(all, lack{by: m.self.Name, code: m.self.Build, kind: kind})
	if !slices.ContainsFunc(m.members, func(w member) bool { return w.fits(all) }) {
		return kind != "" && m.leavingKnows(kind) // not the last word yet
	}
	own := 0
	for _, l := range m.lacks {
		if l.Partition == p {
			own++
		}
	}
	if own >= lacksMax {
		kind = ""
	}
	if l := (store.Lack{Partition: p, Kind: kind}); !slices.Contains(m.lacks, l) {
		m.lacks = append(m.lacks[:len(m.lacks):len(m.lacks)], l)
	}
	return true
}

// Lacks is what the next renewal is to write. It is not changed afterwards.
func (m *Machine) Lacks() []store.Lack { return m.lacks }

// Known reports whether the last reading has shown another live session that
// lists a kind.
func (m *Machine) Known(kind string) bool {
	for _, o := range m.others {
		if !o.session.Dead && slices.Contains(o.session.Kinds, kind) {
			return true
		}
	}
	return false
}

// leavingKnows reports whether a session that drains lists a kind.
func (m *Machine) leavingKnows(kind string) bool {
	for _, o := range m.others {
		if !o.session.Dead && o.session.Draining && slices.Contains(o.session.Kinds, kind) {
			return true
		}
	}
	return false
}

// SeenSince reports whether the last reading began after a time.
func (m *Machine) SeenSince(t time.Duration) bool { return m.looked && m.began > t }

// LookedAt returns when the last reading began, or a time that has always passed.
func (m *Machine) LookedAt() time.Duration {
	if !m.looked {
		return never
	}
	return m.began
}
