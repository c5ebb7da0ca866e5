package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/store"
)

func modelCases() []testCase {
	return []testCase{
		{"Model/commits", func(t *testing.T, s *setup) {
			m := newCommitModel(t, s)
			for range 120 {
				m.step(t)
			}
			m.finish(t)
		}},
		{"Model/leases", func(t *testing.T, s *setup) {
			m := newLeaseModel(t, s)
			for range 200 {
				m.step(t)
			}
		}},
	}
}

// commitModel runs random operations on commits and snapshots against a store
// and against plain slices.
type commitModel struct {
	*setup
	rng       *rand.Rand
	histories []*history
	snapshots map[store.Aggregate]store.Snapshot
	total     int
	marks     map[store.Token]int // what Now said, and how many commits there were
}

func newCommitModel(t *testing.T, s *setup) *commitModel {
	t.Helper()
	m := &commitModel{setup: s, rng: newRand(t), snapshots: map[store.Aggregate]store.Snapshot{}, marks: map[store.Token]int{}}
	odd := oddAggregates()
	for range 12 {
		at := m.rng.IntN(len(odd))
		m.histories = append(m.histories, newHistory(odd[at]))
		odd = append(odd[:at:at], odd[at+1:]...)
	}
	return m
}

func (m *commitModel) client() store.Store { return m.clients()[m.rng.IntN(2)] }

func (m *commitModel) step(t *testing.T) {
	t.Helper()
	h := m.histories[m.rng.IntN(len(m.histories))]
	switch m.rng.IntN(8) {
	case 0, 1, 2:
		m.appendSome(t)
	case 3:
		m.loadSome(t, h)
	case 4:
		m.findSome(t, h)
	case 5:
		m.saveSnapshot(t, h)
	case 6:
		want, ok := m.snapshots[h.aggregate]
		if ok {
			m.checkSnapshot(t, want)
		} else {
			m.wantNoSnapshot(t, h.aggregate, "v1")
		}
	case 7:
		token, err := m.client().Now(m.ctx)
		must(t, "now", err)
		m.marks[token] = m.total
	}
}

func (m *commitModel) appendSome(t *testing.T) {
	t.Helper()
	var commits []store.Commit
	var want []error
	for _, at := range m.rng.Perm(len(m.histories))[:1+m.rng.IntN(len(m.histories))] {
		h := m.histories[at]
		switch {
		case len(h.made) > 0 && m.rng.IntN(4) == 0:
			stale := h.made[m.rng.IntN(len(h.made))].First
			commits, want = append(commits, sampleCommit(h.aggregate, stale, 1+m.rng.IntN(3), "stale")), append(want, store.ErrConflict)
		case m.rng.IntN(40) == 0:
			commits, want = append(commits, bigCommit(h.aggregate, h.last+1, m.cfg.TooLarge)), append(want, store.ErrTooLarge)
		default:
			commits, want = append(commits, h.next(1+m.rng.IntN(5))), append(want, nil)
			m.total++
		}
	}
	for i, err := range m.client().Append(m.ctx, commits) {
		if !errors.Is(err, want[i]) {
			t.Fatalf("append %q version %d: got error %v, want %v", commits[i].Aggregate, commits[i].First, err, want[i])
		}
	}
}

func (m *commitModel) loadSome(t *testing.T, h *history) {
	t.Helper()
	at := m.rng.IntN(len(h.made) + 1)
	after := store.Version(0)
	if at > 0 {
		after = h.made[at-1].Last()
	}
	diffCommits(t, m.load(t, m.client(), h.aggregate, after), h.made[at:])
}

func (m *commitModel) findSome(t *testing.T, h *history) {
	t.Helper()
	if len(h.made) == 0 {
		_, found, err := m.client().FindOutcome(m.ctx, h.aggregate, "w-done-1", m.rng.IntN(2) == 0)
		if err != nil || found {
			t.Fatalf("outcome without a history: found %v, error %v", found, err)
		}
		return
	}
	c := h.made[m.rng.IntN(len(h.made))]
	c.OutcomeVersions(func(o *store.Outcome, v store.Version) {
		got, found, err := m.client().FindOutcome(m.ctx, h.aggregate, o.CommandID, o.Keyed)
		if err != nil || !found {
			t.Fatalf("outcome %q of %q: found %v, error %v", o.CommandID, h.aggregate, found, err)
		}
		diffRecord(t, got, store.Recorded{Outcome: *o, Version: v})
	})
}

func (m *commitModel) saveSnapshot(t *testing.T, h *history) {
	t.Helper()
	snapshot := sampleSnapshot(h.aggregate, store.Version(m.rng.IntN(50)+1), "v1") //nolint:gosec // small
	must(t, "save snapshot", m.client().SaveSnapshot(m.ctx, snapshot))
	if old, ok := m.snapshots[h.aggregate]; !ok || old.Version < snapshot.Version {
		m.snapshots[h.aggregate] = snapshot
	}
}

// finish compares the histories and the feed, whole and from every place that
// Now named.
func (m *commitModel) finish(t *testing.T) {
	t.Helper()
	want := map[store.Aggregate][]store.Commit{}
	for _, h := range m.histories {
		m.check(t, h.aggregate, h.made)
		want[h.aggregate] = h.made
	}
	items := m.take(t, m.Store, "", m.total)
	checkOrder(t, items, want)
	for token, n := range m.marks {
		rest := m.take(t, m.peer, token, m.total-n)
		got := map[store.Aggregate][]store.Commit{}
		for _, item := range rest {
			got[item.Commit.Aggregate] = append(got[item.Commit.Aggregate], item.Commit)
		}
		for a, commits := range got {
			diffCommits(t, commits, want[a][len(want[a])-len(commits):])
		}
	}
}

// leaseModel runs random operations on sessions and claims against a store and
// against two maps. Expectations are often stale on purpose.
type leaseModel struct {
	*setup
	rng      *rand.Rand
	next     int
	sessions map[string]store.Session
	known    []store.Session // every state of a session that ever was
	claims   map[store.Partition]store.Claim
	held     []store.Claim // every state of a claim that ever was
}

func newLeaseModel(t *testing.T, s *setup) *leaseModel {
	t.Helper()
	return &leaseModel{
		setup: s, rng: newRand(t),
		sessions: map[string]store.Session{}, claims: map[store.Partition]store.Claim{},
		known: []store.Session{sampleSession("node-0", "never")}, held: []store.Claim{{Partition: 0}, {Partition: 1}, {Partition: 2}},
	}
}

func (m *leaseModel) client() store.Store { return m.clients()[m.rng.IntN(2)] }

// session picks a state that a session had, a recent one more often.
func (m *leaseModel) pick(n int) int { return max(m.rng.IntN(n), m.rng.IntN(n), m.rng.IntN(n)) }

func (m *leaseModel) step(t *testing.T) {
	t.Helper()
	expected := m.known[m.pick(len(m.known))]
	kept, ok := m.sessions[expected.Name]
	alive := ok && !kept.Dead && kept.Incarnation == expected.Incarnation && kept.Beat == expected.Beat
	switch m.rng.IntN(8) {
	case 0:
		m.open(t, expected)
	case 1, 2:
		kept.Beat++
		expected.Draining, expected.Lacks = m.rng.IntN(2) == 0, nil
		for range m.rng.IntN(3) {
			expected.Lacks = append(expected.Lacks, store.Lack{Partition: store.Partition(m.rng.IntN(9)), Kind: []string{"", "ledger"}[m.rng.IntN(2)]}) //nolint:gosec // small
		}
		kept.Draining, kept.Lacks = expected.Draining, expected.Lacks
		m.change(t, "renew", m.client().Renew(m.ctx, expected), alive, kept)
	case 3:
		kept.Dead = true
		m.change(t, "declare dead", m.client().DeclareDead(m.ctx, expected), alive, kept)
	case 4:
		must(t, "end session", m.client().EndSession(m.ctx, expected))
		if ok && kept.Incarnation == expected.Incarnation {
			delete(m.sessions, expected.Name)
		}
	case 5:
		m.take(t, expected)
	case 6:
		m.write(t, "save watermarks", m.client().SaveWatermarks, func(*store.Claim) {})
	case 7:
		m.write(t, "release claims", m.client().ReleaseClaims, func(c *store.Claim) { c.Owner, c.Session = "", "" })
	}
	m.compare(t)
}

func (m *leaseModel) change(t *testing.T, what string, err error, want bool, to store.Session) {
	t.Helper()
	if want {
		must(t, what, err)
		m.sessions[to.Name] = to
		m.known = append(m.known, to)
		return
	}
	wantError(t, what, err, store.ErrLost)
}

func (m *leaseModel) open(t *testing.T, expected store.Session) {
	t.Helper()
	m.next++
	session := sampleSession(fmt.Sprintf("node-%d", m.rng.IntN(3)), fmt.Sprintf("i-%d", m.next))
	_, taken := m.sessions[session.Name]
	var replaces *store.Session
	want := !taken
	if m.rng.IntN(3) > 0 {
		session.Name = expected.Name
		kept, ok := m.sessions[session.Name]
		replaces = &expected
		want = ok && kept.Dead && expected.Dead && kept.Incarnation == expected.Incarnation && kept.Beat == expected.Beat
	}
	err := m.client().OpenSession(m.ctx, session, replaces)
	session.Beat = 1
	m.change(t, "open session", err, want, session)
}

func (m *leaseModel) current(expected store.Claim) (store.Claim, bool) {
	kept := m.claims[expected.Partition]
	kept.Partition = expected.Partition
	return kept, kept.Session == expected.Session && kept.Epoch == expected.Epoch
}

// some picks states of claims, at most one of each partition.
func (m *leaseModel) some() []store.Claim {
	seen := map[store.Partition]bool{}
	var want []store.Claim
	for range 1 + m.rng.IntN(4) {
		if c := m.held[m.pick(len(m.held))]; !seen[c.Partition] {
			seen[c.Partition] = true
			want = append(want, c)
		}
	}
	return want
}

func (m *leaseModel) take(t *testing.T, by store.Session) {
	t.Helper()
	want := m.some()
	var expected []store.Claim
	for _, w := range want {
		if kept, ok := m.current(w); ok {
			if kept.Session != "" && kept.Session != by.Incarnation {
				kept.Deaths++
			}
			kept.Owner, kept.Session, kept.Epoch, kept.Revision = by.Name, by.Incarnation, kept.Epoch+1, 0
			expected = append(expected, kept)
			m.claims[kept.Partition] = kept
		}
	}
	got, err := m.client().TakeClaims(m.ctx, by, want)
	must(t, "take claims", err)
	diffRecord(t, got, expected)
	m.held = append(m.held, got...)
}

func (m *leaseModel) write(t *testing.T, what string, write func(ctx context.Context, held []store.Claim) error, change func(*store.Claim)) {
	t.Helper()
	held := m.some()
	lost := 0
	for i := range held {
		m.next++
		held[i].Watermark = place(uint64(m.next)) //nolint:gosec // small
		held[i].Carry = strings.Repeat("carried ", m.next%3) + `"é\u0000`
		held[i].Deaths, held[i].Suspect = m.next%5, strings.Repeat("suspected ", m.next%2)
		held[i].Revision = uint64(max(0, m.next-m.rng.IntN(20))) //nolint:gosec // small
		kept, ok := m.current(held[i])
		if _, taken := m.claims[kept.Partition]; !ok || !taken || kept.Revision > held[i].Revision {
			lost++
			continue
		}
		kept.Watermark, kept.Carry, kept.Revision = held[i].Watermark, held[i].Carry, held[i].Revision
		kept.Deaths, kept.Suspect = held[i].Deaths, held[i].Suspect
		change(&kept)
		m.claims[kept.Partition] = kept
		m.held = append(m.held, kept)
	}
	err := write(m.ctx, held)
	if lost > 0 {
		wantError(t, what, err, store.ErrLost)
		return
	}
	must(t, what, err)
}

func (m *leaseModel) compare(t *testing.T) {
	t.Helper()
	client := m.client()
	for name := range m.sessions {
		got, _ := m.session(t, client, name)
		diffRecord(t, got, m.sessions[name])
	}
	all := m.setup.claims(t, client)
	if len(all) != len(m.claims) {
		t.Fatalf("%d claims, want %d", len(all), len(m.claims))
	}
	for _, c := range all {
		diffRecord(t, c, withoutCarry(m.claims[c.Partition]))
	}
}
