package placement

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// Look is a reading of the store. The claims must have been read before the
// sessions. The other way round, a node that opens its session after the one
// reading, and takes a claim before the other, would look like one without a
// session, and its claim would be taken from it while its lease is valid. A
// claim's session is older than the claim, so one that is missing from a later
// reading has ended.
type Look struct {
	Began    time.Duration // the reading of claims was sent
	Claims   []store.Claim
	Sessions []store.Session
}

// phase is what the node does with a partition.
type phase uint8

const (
	taking  phase = iota + 1 // its claim is being taken, or it is about to be served
	serving                  // it is served
	leaving                  // it is being handed over
)

// Machine decides for one incarnation of a node. Make it with [New].
type Machine struct {
	cfg   Config
	self  store.Session
	alone bool
	lost  bool
	lease lease

	opened   time.Duration
	cordoned bool // takes nothing more, hands over to others
	leave    bool // gives everything back, whether somebody is there to take it or not
	told     bool // the store says that the node is draining
	cut      bool // no messages reach the node
	toldCut  bool // the store says so
	cutSince time.Duration

	lacks     []store.Lack // grows at its end only
	toldLacks int          // of them the store has

	others map[string]observed
	phases map[store.Partition]phase
	handed map[store.Partition]time.Duration // released for another, which has not been seen to take it; when

	// Of the last reading.
	looked  bool
	began   time.Duration
	taken   int                             // claims planned to be taken upon it
	present bool                            // the node's own session is there, alive
	claims  map[store.Partition]store.Claim // that exist, or as heard since
	heard   map[store.Partition]heard       // newer than the reading that has ended last, maybe
	stale   map[store.Partition]bool        // changed since, or about to be: not to be decided upon
	left    map[store.Partition]time.Duration
	members []member // that take partitions, in the order of their names
	moving  bool     // there are any that are connected: otherwise nothing moves
	lacking map[store.Partition][]lack
	homes   []string                 // by partition, for members and lacking: where it belongs
	targets []string                 // likewise: who takes it when it is free
	unfit   map[store.Partition]bool // the node itself is, and another is not
}

// New returns a machine for a session that is about to be opened. alone: no
// other node can ever join, so that there is nobody to wait for.
func New(cfg Config, self store.Session, alone bool) *Machine {
	return &Machine{
		cfg: cfg, self: self, alone: alone,
		lacks:  self.Lacks,
		lease:  lease{until: never},
		opened: never,
		others: map[string]observed{},
		phases: map[store.Partition]phase{},
		handed: map[store.Partition]time.Duration{},
		claims: map[store.Partition]store.Claim{},
		heard:  map[store.Partition]heard{},
		stale:  map[store.Partition]bool{},
		left:   map[store.Partition]time.Duration{},
	}
}

// Renewed takes in that the opening of the session or a renewal has succeeded.
// sent is when it was sent, and wrote what it has written.
func (m *Machine) Renewed(now, sent time.Duration, wrote store.Session) {
	if m.lost {
		return
	}
	if m.opened == never {
		m.opened = now
	}
	if wrote.Cut && !m.toldCut {
		m.cutSince = now
	}
	m.told, m.toldLacks, m.toldCut = wrote.Draining, len(wrote.Lacks), wrote.Cut
	if m.cfg.Sole {
		m.lease.sole(now)
		return
	}
	m.lease.renewed(now, sent, m.cfg.Lease)
}

// Lost takes in that the session is dead or gone. The machine decides nothing
// more.
func (m *Machine) Lost() { m.lost, m.lease.until = true, never }

// AnswersUntil returns the time from which the node may not answer any more
// unless it renews its session.
func (m *Machine) AnswersUntil() time.Duration { return m.lease.until }

// Answers reports whether the node may answer now.
func (m *Machine) Answers(now time.Duration) bool { return m.lease.valid(now) }

// Cordon ends the taking of claims. Once the store says that the node is
// draining, its partitions are handed over, as long as there is somebody who
// takes them.
func (m *Machine) Cordon() { m.cordoned = true }

// Leave is Cordon, and everything is given back even if nobody is there to take
// it.
func (m *Machine) Leave() { m.cordoned, m.leave = true, true }

// Draining is what the next renewal is to write.
func (m *Machine) Draining() bool { return m.cordoned }

// Told reports whether the store says what Draining, Lacks and CutOff do.
func (m *Machine) Told() bool {
	return m.told == m.cordoned && m.toldLacks == len(m.lacks) && m.toldCut == m.cut
}

// Peers reports whether the last reading has shown another member that takes
// partitions.
func (m *Machine) Peers() bool {
	return m.moving && slices.ContainsFunc(m.members, func(w member) bool { return w.name != m.self.Name })
}

// Idle reports whether the node has no partition in any phase, and what it has
// handed over is taken.
func (m *Machine) Idle() bool { return len(m.phases) == 0 && len(m.handed) == 0 }

// Looked takes in a reading that was complete at now.
func (m *Machine) Looked(now time.Duration, l Look) {
	m.looked, m.began, m.present, m.taken = true, l.Began, false, 0
	m.observe(now, l.Sessions)
	clear(m.claims)
	for _, c := range l.Claims {
		m.claims[c.Partition] = c
	}
	m.remember(l.Began)
	clear(m.stale)
	for p, at := range m.left {
		if at >= l.Began {
			m.stale[p] = true
		} else {
			delete(m.left, p)
		}
	}
	for _, s := range l.Sessions {
		if s.Name == m.self.Name {
			m.present = s.Incarnation == m.self.Incarnation && !s.Dead
		}
	}
	for p, at := range m.handed {
		if at < l.Began && m.claims[p].Session != "" {
			delete(m.handed, p)
		}
	}
	m.retarget()
}

// Declared takes in that a session was declared dead, so that what it held can
// be taken at once.
func (m *Machine) Declared(now time.Duration, s store.Session) {
	o, ok := m.others[s.Name]
	if !ok || o.session.Incarnation != s.Incarnation {
		return
	}
	o.session.Dead, o.since = true, now
	m.others[s.Name] = o
	m.retarget()
}

// Took takes in that a partition of the plan is served.
func (m *Machine) Took(p store.Partition) {
	if m.phases[p] == taking {
		m.phases[p] = serving
	}
}

// Left takes in that a partition is not served any more, or was not taken. What
// became of its claim the next reading tells.
func (m *Machine) Left(now time.Duration, p store.Partition) {
	if m.phases[p] == leaving && m.Peers() {
		m.handed[p] = now
	}
	delete(m.phases, p)
	delete(m.heard, p)
	m.stale[p], m.left[p] = true, now
}

// retarget finds out who should have what, if the members or what they lack have
// changed.
func (m *Machine) retarget() {
	members, apart := m.connected()
	m.moving = len(members) > 0
	if !m.moving {
		members = apart
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	lacking := m.lacked()
	same := slices.EqualFunc(members, m.members, func(a, b member) bool { return a.incarnation == b.incarnation })
	if m.targets == nil || !same || !maps.EqualFunc(lacking, m.lacking, slices.Equal) {
		m.members, m.lacking = members, lacking
		m.assign(lacking)
	}
}
