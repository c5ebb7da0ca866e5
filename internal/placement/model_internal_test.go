package placement

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// This file is a model of a cluster around machines: a store that is an atomic
// map with compare-and-set, requests that take effect at any time after they
// were sent or never, replies that come at any time after that or never, and
// clocks that run at different rates. explore_internal_test.go walks through what
// can happen in it.

// rules are the ways in which the model can be made wrong, to see that the
// exploration finds it.
type rules struct {
	fromReply     bool // a renewal counts from its reply instead of its sending
	ignoreLapses  bool // others are declared dead although the own lease lapsed
	sessionsFirst bool // sessions are read before claims
	margin        time.Duration
	trustTellings bool // a claim that somebody says to have taken counts, whoever that is
	underWay      int  // requests at a time, those that nobody waits for included
	exclusive     bool // also: no claim is another's while its former owner may answer
	ownLease      bool // others are judged by the observer's lease
}

// The model's unit of time is such that a lease lasts 7 steps of a slow clock, and
// the silence before a death 7 of a fast one: with any less margin, the fast one
// is too early.
const (
	slow, fast   time.Duration = 6, 7
	modelLease                 = 42
	modelMargin                = 7
	modelShort                 = 30 // 5 steps of a slow clock, and with its margin 5 of a fast one
	modelForever               = time.Duration(1 << 40)
)

func modelConfig(partitions int, lease, margin time.Duration) *Config {
	return &Config{
		Partitions: partitions, Lease: lease, Margin: time.Duration(int64(margin) * int64(lease) / modelLease), Renew: 7, Look: 7,
		ClaimMax: 32, Pace: 1, LeaveMax: 8, Settle: 7, Forget: modelForever,
	}
}

type kind uint8

const (
	opOpen kind = iota
	opRenew
	opReview
	opClaims
	opSessions
	opDeclare
	opTake
	opRelease
)

// request is one call of the store.
type request struct {
	kind     kind
	from     int
	session  store.Session // as the caller knows it
	claims   []store.Claim // wanted, or released
	sent     time.Duration // by the caller's clock
	applied  bool
	orphan   bool // nobody waits for its reply
	ok       bool
	sessions []store.Session // read
	found    []store.Claim   // read, or taken
}

// modelNode is a node: a machine with a thin shell, as package runtime has one.
type modelNode struct {
	name    string
	cfg     *Config
	rate    time.Duration
	clock   time.Duration
	inc     int
	m       *Machine // nil: down
	session store.Session
	build   string
	kinds   []string
	reads   bool // knows the event that is in every partition
	serving []bool
	leaving []bool

	renewal *request // under way
	round   *request // under way
	todo    []*request
	look    Look
	died    bool

	// The ledger, for checks: until when, and since when without a gap, replies
	// that came have let the node answer.
	until, gap time.Duration
}

type world struct {
	rules    *rules
	sessions []store.Session // by node; no name: none
	claims   []store.Claim
	nodes    []*modelNode
	requests []*request
	told     []telling // by those who released or took claims; heard at any time, in any order, and again
	fault    string
}

// telling is what a node says of a claim.
type telling struct {
	by    string
	claim store.Claim
}

// tellings are as many as the model keeps: the last ones.
const tellings = 2

// newWorld has nodes with leases of modelLease, unless leases says otherwise.
func newWorld(r *rules, names []string, rates []time.Duration, partitions int, leases ...time.Duration) *world {
	w := &world{rules: r, sessions: make([]store.Session, len(names)), claims: make([]store.Claim, partitions)}
	for p := range w.claims {
		w.claims[p].Partition = store.Partition(p)
	}
	for i, name := range names {
		lease := time.Duration(modelLease)
		if i < len(leases) {
			lease = leases[i]
		}
		w.nodes = append(w.nodes, &modelNode{
			name: name, cfg: modelConfig(partitions, lease, r.margin), rate: rates[i], kinds: []string{inUse}, reads: true, serving: make([]bool, partitions), leaving: make([]bool, partitions), until: never, gap: never,
		})
	}
	return w
}

func (w *world) clone() *world {
	c := &world{rules: w.rules, sessions: slices.Clone(w.sessions), claims: slices.Clone(w.claims), told: slices.Clone(w.told)}
	twins := make(map[*request]*request, len(w.requests))
	for _, r := range w.requests {
		twin := *r
		twins[r] = &twin
		c.requests = append(c.requests, &twin)
	}
	for _, n := range w.nodes {
		t := *n
		t.serving, t.leaving = slices.Clone(n.serving), slices.Clone(n.leaving)
		t.renewal, t.round = twins[n.renewal], twins[n.round]
		t.todo = slices.Clone(n.todo)
		if n.m != nil {
			m := *n.m
			m.others, m.phases, m.handed = maps.Clone(n.m.others), maps.Clone(n.m.phases), maps.Clone(n.m.handed)
			m.claims, m.stale, m.left = maps.Clone(n.m.claims), maps.Clone(n.m.stale), maps.Clone(n.m.left)
			m.heard = maps.Clone(n.m.heard)
			t.m = &m
		}
		c.nodes = append(c.nodes, &t)
	}
	return c
}

// send puts a request on its way.
func (w *world) send(r *request) *request {
	w.requests = append(w.requests, r)
	return r
}

// apply lets a request take effect in the store.
func (w *world) apply(r *request) {
	r.applied = true
	kept := w.kept(r.session.Name)
	same := kept != nil && kept.Name != "" && kept.Incarnation == r.session.Incarnation && kept.Beat == r.session.Beat && !kept.Dead
	switch r.kind {
	case opOpen:
		if r.ok = kept.Name == "" || kept.Dead; r.ok {
			*kept = r.session
		}
	case opRenew:
		if r.ok = same; same {
			kept.Beat++
			kept.Draining, kept.Lacks, kept.Cut = r.session.Draining, r.session.Lacks, r.session.Cut
		}
	case opDeclare:
		if r.ok = same; same {
			kept.Dead = true
		}
	case opReview, opSessions:
		for _, s := range w.sessions {
			if s.Name != "" {
				r.sessions = append(r.sessions, s)
			}
		}
	case opClaims:
		for _, c := range w.claims {
			if c.Epoch > 0 {
				r.found = append(r.found, c)
			}
		}
	case opTake, opRelease:
		w.applyClaims(r)
	}
}

func (w *world) kept(name string) *store.Session {
	for i, n := range w.nodes {
		if n.name == name {
			return &w.sessions[i]
		}
	}
	return nil
}

func (w *world) applyClaims(r *request) {
	for _, want := range r.claims {
		c := &w.claims[want.Partition]
		if c.Session != want.Session || c.Epoch != want.Epoch {
			continue
		}
		if r.kind == opRelease {
			c.Owner, c.Session = "", ""
			w.tell(w.nodes[r.from].name, *c)
			continue
		}
		c.Owner, c.Session, c.Epoch = r.session.Name, r.session.Incarnation, c.Epoch+1
		r.found = append(r.found, *c)
		w.tell(r.session.Name, *c)
	}
}

// tell lets others hear of a claim what its writer knows once the write is answered:
// nothing is lost with hearing it sooner.
func (w *world) tell(by string, c store.Claim) {
	if len(w.told) == tellings {
		w.told = w.told[1:]
	}
	w.told = append(w.told, telling{by, c})
}

// hear has a node hear what another has told, and act upon it.
func (w *world) hear(i int, t telling) {
	n := w.nodes[i]
	if w.rules.trustTellings {
		n.m.claims[t.claim.Partition] = t.claim
	} else {
		n.m.Heard(n.clock, t.by, []store.Claim{t.claim})
	}
	if n.round == nil {
		w.plan(i)
	}
}

// drop forgets a request whose story is over.
func (w *world) drop(r *request) {
	w.requests = slices.DeleteFunc(w.requests, func(x *request) bool { return x == r })
}

// deliver brings the reply of a request to its sender.
func (w *world) deliver(r *request) {
	w.drop(r)
	n := w.nodes[r.from]
	switch r.kind {
	case opOpen:
		n.renewal = nil
		if r.ok {
			n.m = New(*n.cfg, r.session, true)
			w.renewed(n, r)
		}
	case opRenew:
		n.renewal = nil
		if r.ok {
			n.session.Beat++
			w.renewed(n, r)
		} else {
			n.renewal = w.send(&request{kind: opReview, from: r.from})
		}
	case opReview:
		n.renewal = nil
		w.reviewed(r)
	case opClaims:
		n.look.Claims = r.found
		w.read(r.from, opSessions)
	case opSessions:
		n.look.Sessions = r.sessions
		w.read(r.from, opClaims)
	case opDeclare:
		if r.ok {
			n.died = true
			n.m.Declared(n.clock, r.session)
		}
		w.next(r.from)
	case opRelease: // nobody waits for its reply
	case opTake:
		for _, c := range r.found {
			n.serving[c.Partition] = true
			n.m.Took(c.Partition)
		}
		w.untaken(n, r)
		w.next(r.from)
	}
}

func (w *world) untaken(n *modelNode, r *request) {
	for _, c := range r.claims {
		if !n.serving[c.Partition] {
			n.m.Left(n.clock, c.Partition)
		}
	}
}

func (w *world) renewed(n *modelNode, r *request) {
	sent := r.sent
	if w.rules.fromReply {
		sent = n.clock
	}
	n.m.Renewed(n.clock, sent, r.session)
	if w.rules.ignoreLapses {
		n.m.lease.whole = never
	}
	if n.clock >= n.until {
		n.gap = n.clock
	}
	n.until = max(n.until, r.sent+n.cfg.Lease)
}

// reviewed is after a renewal that was refused: the beat may have been moved by
// one whose reply was lost.
func (w *world) reviewed(r *request) {
	n := w.nodes[r.from]
	for _, s := range r.sessions {
		if s.Name != n.name || s.Incarnation != n.session.Incarnation || s.Dead {
			continue
		}
		if s.Beat != n.session.Beat {
			n.session.Beat = s.Beat
			w.sendRenewal(r.from)
		}
		return
	}
	w.stop(r.from)
}

// stop ends a node's incarnation. Its requests live on.
func (w *world) stop(i int) {
	n := w.nodes[i]
	n.m, n.renewal, n.round, n.todo, n.look, n.died = nil, nil, nil, nil, Look{}, false
	clear(n.serving)
	clear(n.leaving)
	n.until, n.gap = never, never
	for _, r := range w.requests {
		if r.from == i {
			r.orphan = true
		}
	}
	w.requests = slices.DeleteFunc(w.requests, func(r *request) bool { return r.orphan && r.applied })
}

func (w *world) open(i int) {
	n := w.nodes[i]
	n.inc++
	n.session = store.Session{Name: n.name, Incarnation: fmt.Sprint(n.name, n.inc), Beat: 1, Build: n.build, Kinds: n.kinds}
	if !w.rules.ownLease {
		n.session.Lease = n.cfg.Lease
	}
	n.renewal = w.send(&request{kind: opOpen, from: i, session: n.session, sent: n.clock})
}

func (w *world) sendRenewal(i int) {
	n := w.nodes[i]
	n.session.Draining, n.session.Lacks, n.session.Cut = n.m.Draining(), n.m.Lacks(), n.m.CutOff()
	n.renewal = w.send(&request{kind: opRenew, from: i, session: n.session, sent: n.clock})
}

// beginRound starts to read.
func (w *world) beginRound(i int) {
	n := w.nodes[i]
	n.look, n.died = Look{Began: n.clock}, false
	first := opClaims
	if w.rules.sessionsFirst {
		first = opSessions
	}
	n.round = w.send(&request{kind: first, from: i})
}

// read goes on with the second reading, or with what the machine makes of both.
func (w *world) read(i int, second kind) {
	n := w.nodes[i]
	if w.rules.sessionsFirst == (second == opClaims) {
		n.round = w.send(&request{kind: second, from: i})
		return
	}
	n.m.Looked(n.clock, n.look)
	n.look = Look{}
	w.plan(i)
}

func (w *world) plan(i int) {
	n := w.nodes[i]
	plan := n.m.Plan(n.clock)
	n.died = false
	for _, s := range plan.Declare {
		if lapsed := n.clock >= n.until || n.clock-n.gap < n.cfg.DeadAfter(&s); lapsed && !w.rules.fromReply {
			w.fault = fmt.Sprintf("%s declares %s dead at %d, its own lease is without a gap since %d, until %d", n.name, s.Name, n.clock, n.gap, n.until)
		}
		n.todo = append(n.todo, &request{kind: opDeclare, from: i, session: s})
	}
	for _, p := range plan.HandOver {
		n.leaving[p] = true
	}
	for _, c := range plan.Take {
		if better := w.better(n, c.Partition); better != "" {
			w.fault = fmt.Sprintf("%s takes partition %d back, although it lacks something in it and has seen %s", n.name, c.Partition, better)
		}
	}
	for _, c := range plan.Release {
		if n.serving[c.Partition] {
			w.fault = fmt.Sprintf("%s releases partition %d, which it serves", n.name, c.Partition)
		}
		w.send(&request{kind: opRelease, from: i, claims: []store.Claim{c}, orphan: true})
	}
	if len(plan.Take) > 0 {
		n.todo = append(n.todo, &request{kind: opTake, from: i, session: n.session, claims: plan.Take})
	}
	w.next(i)
}

// inUse is a kind that has aggregates in every partition of the model.
const inUse = "k"

// meet has a node meet in a partition that it serves what its build does not know.
func (w *world) meet(i, p int) {
	n := w.nodes[i]
	if !slices.Contains(n.kinds, inUse) {
		n.m.Lack(store.Partition(p), inUse) //nolint:gosec // small
	}
	if !n.reads {
		n.m.Lack(store.Partition(p), "") //nolint:gosec // small
	}
}

// better names a live member that lacks nothing in a partition and lists the kind in
// use, if the store has of the node that it lacks that kind there. One whose code is
// the same as that of a node which lacks an event there is no better.
func (w *world) better(n *modelNode, p store.Partition) string {
	if !slices.Contains(n.m.lacks[:n.m.toldLacks], store.Lack{Partition: p, Kind: inUse}) {
		return ""
	}
	for _, o := range n.m.others {
		s := &o.session
		lacks := slices.ContainsFunc(s.Lacks, func(l store.Lack) bool { return l.Partition == p })
		if !s.Dead && !s.Draining && !s.Cut && !lacks && slices.Contains(s.Kinds, inUse) && !SameCode(s.Build, n.build) && !n.seenUnread(p, s.Build) {
			return s.Name
		}
	}
	return ""
}

// seenUnread reports whether a live session of a build is seen to lack an event.
func (n *modelNode) seenUnread(p store.Partition, build string) bool {
	for _, o := range n.m.others {
		if s := &o.session; !s.Dead && SameCode(s.Build, build) && slices.Contains(s.Lacks, store.Lack{Partition: p}) {
			return true
		}
	}
	return false
}

// next sends what the round has to do next.
func (w *world) next(i int) {
	n := w.nodes[i]
	n.round = nil
	if len(n.todo) > 0 {
		n.round = w.send(n.todo[0])
		n.todo = n.todo[1:]
	} else if n.died {
		w.plan(i)
	}
}

// giveUp has a node wait no longer for a reply.
func (w *world) giveUp(r *request) {
	r.orphan = true
	if r.applied {
		w.drop(r)
	}
	n := w.nodes[r.from]
	switch {
	case n.renewal == r:
		n.renewal = nil
	case r.kind == opTake:
		w.untaken(n, r)
		w.next(r.from)
	case r.kind == opDeclare:
		w.next(r.from)
	default:
		n.round = nil
	}
}

// drained ends the serving of a partition that is handed over.
func (w *world) drained(i, p int) {
	n := w.nodes[i]
	n.serving[p], n.leaving[p] = false, false
	for _, c := range w.claims {
		if int(c.Partition) == p && c.Session == n.session.Incarnation {
			w.send(&request{kind: opRelease, from: i, claims: []store.Claim{c}, orphan: true})
		}
	}
	n.m.Left(n.clock, store.Partition(p))
}

// check returns what must never be.
func (w *world) check() string {
	if w.fault != "" {
		return w.fault
	}
	for p, c := range w.claims {
		var may []string
		for _, n := range w.nodes {
			if n.m != nil && n.serving[p] && n.m.Answers(n.clock) {
				may = append(may, n.name)
				if w.rules.exclusive && c.Session != n.session.Incarnation {
					return fmt.Sprintf("%s may answer for partition %d, whose claim is %+v", n.name, p, c)
				}
			}
		}
		if len(may) > 1 {
			return fmt.Sprintf("%v may answer for partition %d", may, p)
		}
	}
	return ""
}

// state is what tells two worlds apart, times relative to the clocks.
func (w *world) state(b []byte) []byte {
	num := func(n int64) { b = binary.AppendVarint(b, n) }
	flag := func(v bool) {
		if v {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	str := func(s string) { b = append(append(b, s...), 0) }
	// What is longer ago than a death takes makes no difference, and how long ago
	// a lease has lapsed neither.
	ago := func(t, now time.Duration) { num(int64(max(t-now, -modelLease-modelMargin))) }
	until := func(t, now time.Duration) { num(int64(max(t-now, 0))) }
	session := func(s *store.Session) {
		str(s.Incarnation)
		num(int64(s.Beat)) //nolint:gosec // small
		flag(s.Dead)
		flag(s.Draining)
		flag(s.Cut)
		num(int64(len(s.Lacks)))
		for _, l := range s.Lacks {
			num(int64(l.Partition))
			str(l.Kind)
		}
	}
	claim := func(c *store.Claim) {
		num(int64(c.Partition))
		str(c.Session)
		num(int64(c.Epoch)) //nolint:gosec // small
	}
	claims := func(cs []store.Claim) {
		num(int64(len(cs)))
		for i := range cs {
			claim(&cs[i])
		}
	}
	sessions := func(ss []store.Session) {
		num(int64(len(ss)))
		for i := range ss {
			session(&ss[i])
		}
	}
	request := func(r *request) {
		if r == nil {
			b = append(b, 255)
			return
		}
		b = append(b, byte(r.kind), byte(r.from)) //nolint:gosec // small
		session(&r.session)
		claims(r.claims)
		if r.kind <= opRenew && !r.orphan {
			until(r.sent+w.nodes[r.from].cfg.Lease, w.nodes[r.from].clock)
		}
		flag(r.applied)
		flag(r.orphan)
		flag(r.ok)
		sessions(r.sessions)
		claims(r.found)
	}
	sessions(w.sessions)
	claims(w.claims)
	for _, t := range w.told {
		str(t.by)
		claim(&t.claim)
	}
	for _, n := range w.nodes {
		num(int64(n.inc))
		request(n.renewal)
		request(n.round)
		flag(n.m == nil)
		if n.m == nil {
			continue
		}
		session(&n.session)
		for p := range n.serving {
			flag(n.serving[p])
			flag(n.leaving[p])
		}
		for _, r := range n.todo {
			request(r)
		}
		claims(n.look.Claims)
		sessions(n.look.Sessions)
		flag(n.died)
		until(n.until, n.clock)
		ago(n.gap, n.clock)
		m := n.m
		until(m.lease.until, n.clock)
		ago(m.lease.whole, n.clock)
		flag(m.cordoned)
		flag(m.told)
		num(int64(m.toldLacks))
		num(int64(len(m.lacks)))
		for _, l := range m.lacks {
			num(int64(l.Partition))
			str(l.Kind)
		}
		flag(m.looked)
		flag(m.present)
		for _, peer := range w.nodes {
			o, ok := m.others[peer.name]
			flag(ok)
			session(&o.session)
			ago(o.since, n.clock)
			num(int64(min(o.moves, 1)))
			flag(o.declared)
		}
		for p := range store.Partition(len(w.claims)) { //nolint:gosec // small
			c := m.claims[p]
			claim(&c)
			b = append(b, byte(m.phases[p]))
			flag(m.stale[p])
			at, ok := m.left[p]
			flag(ok && at >= n.look.Began)
			at, ok = m.handed[p]
			flag(ok)
			ago(at, n.clock)
			h, ok := m.heard[p]
			flag(ok && h.at >= n.look.Began)
			claim(&h.claim)
		}
	}
	var rest [][]byte
	for _, r := range w.requests {
		if r.orphan {
			mark := len(b)
			request(r)
			rest = append(rest, slices.Clone(b[mark:]))
			b = b[:mark]
		}
	}
	slices.SortFunc(rest, slices.Compare)
	for _, r := range rest {
		b = append(b, r...)
	}
	return b
}
