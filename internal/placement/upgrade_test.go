package placement_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/store"
)

// of gives a session a build and kinds.
func of(s store.Session, build string, kinds ...string) store.Session {
	s.Build, s.Kinds = build, kinds
	return s
}

func lacking(s store.Session, p store.Partition, kind string) store.Session {
	s.Lacks = append(slices.Clone(s.Lacks), store.Lack{Partition: p, Kind: kind})
	return s
}

// newScriptAs is newScript for a node of a build.
func newScriptAs(t *testing.T, partitions int, build string, kinds ...string) *script {
	t.Helper()
	s := &script{t: t, cfg: placement.Defaults(ttl, partitions)}
	s.m = placement.New(s.cfg, of(self(), build, kinds...), true)
	s.m.Renewed(0, 0, self())
	return s
}

// TestMachine_Free_GoesToTheNewest: what nobody has goes to the newest build, unless
// its nodes are fewer than half.
func TestMachine_Free_GoesToTheNewest(t *testing.T) {
	t.Parallel()
	const partitions = 48
	for _, c := range []struct {
		what, own string
		others    []store.Session
		want      []string // among whom the partitions are shared
	}{
		{"one of two, new", "v2.0.0", []store.Session{of(peer("a", 1), "v1.0.0")}, []string{"me"}},
		{"one of two, old", "v1.0.0", []store.Session{of(peer("a", 1), "v2.0.0")}, nil},
		{"one of three is new", "v1.0.0", []store.Session{of(peer("a", 1), "v2.0.0"), of(peer("b", 1), "v1.0.0")}, []string{"a", "b", "me"}},
		{"two of three are new", "v2.0.0", []store.Session{of(peer("a", 1), "v2.0.0"), of(peer("b", 1), "v1.0.0")}, []string{"a", "me"}},
		{"those who leave do not count", "v1.0.0", []store.Session{draining(of(peer("a", 1), "v2.0.0")), dead(of(peer("b", 1), "v2.0.0"))}, []string{"me"}},
		{"no order among builds", "nightly-1", []store.Session{of(peer("a", 1), "nightly-2")}, []string{"a", "me"}},
		{"one without an order is as new as any", "v2.0.0", []store.Session{of(peer("a", 1), "(devel)"), of(peer("b", 1), "v1.0.0")}, []string{"a", "me"}},
	} {
		s := newScriptAs(t, partitions, c.own)
		same(t, c.what, partitionsOf(s.at(0, nil, c.others...).Take), belonging("me", c.want, partitions))
	}
}

// TestMachine_Keeps_WhatABuildIsNoReasonToMove: an owner hands over what belongs to
// another, but not because that one is newer, nor to one that is older than half.
func TestMachine_Keeps_WhatABuildIsNoReasonToMove(t *testing.T) {
	t.Parallel()
	const partitions = 8
	all := []string{"a", "b", "me"}
	for _, c := range []struct {
		what, own, a, b string
		want            []string // to whom it hands over what is theirs by hashing
	}{
		{"an old one keeps its share", "v1.0.0", "v2.0.0", "v2.0.0", []string{"a", "b"}},
		{"to the newer, not to the old", "v1.0.0", "v1.0.0", "v2.0.0", []string{"a", "b"}}, // the newer are too few to be preferred
		{"a new one keeps what is an old one's", "v2.0.0", "v2.0.0", "v1.0.0", []string{"a"}},
		{"unless the new are few", "v2.0.0", "v1.0.0", "v1.0.0", []string{"a", "b"}},
	} {
		s := newScriptAs(t, partitions, c.own)
		for _, claim := range s.at(0, claimed(partitions, "", "")).Take {
			s.m.Took(claim.Partition)
		}
		mine := claimed(partitions, "me", "me-1")
		s.at(time.Second, mine, of(peer("a", 1), c.a), of(peer("b", 1), c.b))
		var want []store.Partition
		for _, name := range c.want {
			want = append(want, belonging(name, all, partitions)...)
		}
		slices.Sort(want)
		plan := s.at(2*time.Second, mine, of(peer("a", 2), c.a), of(peer("b", 2), c.b))
		same(t, c.what, s.handsOver(plan), want)
	}
}

// TestMachine_Lack_HandsOverToOneWhoKnows, once the store says why, and never to one
// who is known not to.
func TestMachine_Lack_HandsOverToOneWhoKnows(t *testing.T) {
	t.Parallel()
	const partitions = 6
	s := newScriptAs(t, partitions, "v1.0.0", "account")
	for _, claim := range s.at(0, claimed(partitions, "", "")).Take {
		s.m.Took(claim.Partition)
	}
	mine := claimed(partitions, "me", "me-1")
	p := belonging("me", []string{"a", "b", "me"}, partitions)[0]
	step := uint64(0)
	look := func(change func(a, b store.Session) (store.Session, store.Session)) placement.Plan {
		step++
		a, b := of(peer("a", step), "v1.0.0", "account"), of(peer("b", step), "v1.0.0", "account", "ledger")
		if change != nil {
			a, b = change(a, b)
		}
		s.now = time.Duration(step) * time.Second
		s.m.Renewed(s.now, s.now, store.Session{Lacks: s.m.Lacks()})
		for _, q := range s.look(mine, a, b).HandOver {
			if q != p {
				s.m.Left(s.now, q)
			}
		}
		s.now += 10 * time.Millisecond
		return s.look(mine, a, b)
	}
	if s.m.Lack(p, "ledger") {
		t.Error("alone, there is somebody who knows")
	}
	look(nil)
	look(nil)
	for _, c := range []struct {
		what, kind string
		want       bool
	}{{"a kind of b", "ledger", true}, {"a kind of nobody", "leger", false}, {"an event, of the same code", "", false}, {"again", "ledger", true}} {
		if got := s.m.Lack(p, c.kind); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
	same(t, "lacks", s.m.Lacks(), []store.Lack{{Partition: p, Kind: "ledger"}})
	if s.m.Told() {
		t.Error("the store does not have it yet")
	}
	if plan := s.m.Plan(s.now); slices.Contains(plan.HandOver, p) {
		t.Error("it is handed over before the store has why")
	}
	look(func(a, b store.Session) (store.Session, store.Session) { return a, lacking(b, p, "") })
	if s.m.Lack(p, "ledger") {
		t.Error("b lacks something else, and is believed to know all")
	}
	s.now = time.Duration(step+1) * time.Second
	s.m.Renewed(s.now, s.now, store.Session{Lacks: s.m.Lacks()})
	handed := s.look(mine, of(peer("a", 9), "v1.0.0", "account"), of(peer("b", 9), "v1.0.0", "account", "ledger")).HandOver
	if !slices.Contains(handed, p) {
		t.Errorf("hands over %v, without %d", handed, p)
	}
	// Seen by b: it is the one to take it, and a is not.
	for name, want := range map[string]bool{"a": false, "b": true} {
		kinds := map[string][]string{"a": {"account"}, "b": {"account", "ledger"}}
		m := placement.New(s.cfg, of(peer(name, 1), "v1.0.0", kinds[name]...), true)
		m.Renewed(0, 0, peer(name, 1))
		other := map[string]string{"a": "b", "b": "a"}[name]
		m.Looked(0, placement.Look{Sessions: []store.Session{
			peer(name, 1), of(peer(other, 1), "v1.0.0", kinds[other]...), lacking(of(self(), "v1.0.0", "account"), p, "ledger"),
		}})
		if got := slices.Contains(partitionsOf(m.Plan(0).Take), p); got != want {
			t.Errorf("%s takes it: %v", name, got)
		}
	}
}

// TestMachine_Lack_GoesToTheNewestWhoKnows, although it belongs to another who knows.
func TestMachine_Lack_GoesToTheNewestWhoKnows(t *testing.T) {
	t.Parallel()
	const partitions = 6
	s := newScriptAs(t, partitions, "v1.0.0", "account")
	for _, claim := range s.at(0, nil).Take {
		s.m.Took(claim.Partition)
	}
	p := belonging("c", []string{"b", "c"}, partitions)[0]
	mine := claimed(partitions, "me", "me-1")
	at := func(step uint64) []store.Partition {
		b, c := of(peer("b", step), "v1.2.0", "account", "ledger"), of(peer("c", step), "v1.1.0", "account", "ledger")
		return s.at(time.Duration(step)*time.Second, mine, b, c).HandOver
	}
	at(1)
	if !s.m.Lack(p, "ledger") {
		t.Fatal("nobody knows")
	}
	if handed := at(2); !slices.Contains(handed, p) {
		t.Errorf("hands over %v, without %d", handed, p)
	}
	for name, want := range map[string]bool{"b": true, "c": false} {
		build := map[string]string{"b": "v1.2.0", "c": "v1.1.0"}
		other := map[string]string{"b": "c", "c": "b"}[name]
		m := placement.New(s.cfg, of(peer(name, 1), build[name], "account", "ledger"), true)
		m.Renewed(0, 0, peer(name, 1))
		m.Looked(0, placement.Look{Sessions: []store.Session{
			peer(name, 1), of(peer(other, 1), build[other], "account", "ledger"), lacking(of(self(), "v1.0.0", "account"), p, "ledger"),
		}})
		if got := slices.Contains(partitionsOf(m.Plan(0).Take), p); got != want {
			t.Errorf("%s takes it: %v", name, got)
		}
	}
}

// rolled is how one rolling upgrade went.
type rolled struct{ takes, most, refused int }

// upgrade replaces all nodes of a cluster one after the other, with things stored
// meanwhile that the old build does not know, and now and then a crash.
func upgrade(t *testing.T, rnd *rand.Rand, c *cluster, from, to store.Session, uses bool) (r rolled) {
	t.Helper()
	kinds := slices.DeleteFunc(slices.Clone(to.Kinds), func(k string) bool { return slices.Contains(from.Kinds, k) })
	before := c.takes
	for i, name := range c.order() {
		clear(c.took)
		if rnd.IntN(4) == 0 {
			c.crash(name)
		} else {
			c.drain(name)
		}
		c.run(time.Duration(rnd.IntN(6000)) * time.Millisecond)
		if _, there := c.members[name]; there {
			c.crash(name)
		}
		c.joinAs(name, to, true)
		if i > 0 && rnd.IntN(2) == 0 {
			c.run(time.Duration(rnd.IntN(3000)) * time.Millisecond) // the rest finds it unfinished
		} else {
			c.rest(20 * time.Second)
		}
		for range len(c.claims) / 4 {
			if p := store.Partition(rnd.IntN(len(c.claims))); uses { //nolint:gosec // small
				if need := append(kinds, "")[rnd.IntN(len(kinds)+1)]; !slices.Contains(c.needs[p], need) {
					c.needs[p] = append(c.needs[p], need)
				}
			}
		}
		c.rest(20 * time.Second)
		for p, n := range c.took {
			if r.most = max(r.most, n); n > 2*(len(c.members)+2) {
				t.Fatalf("partition %d changed hands %d times, with %d nodes", p, n, len(c.members))
			}
		}
		fair := float64(len(c.claims)) / float64(len(c.members))
		for name, n := range c.members {
			if share := float64(len(n.serves)) / fair; !uses && share > 2*1.8 {
				t.Fatalf("%s has %.1f times its fair share", name, share)
			}
		}
	}
	r.takes, r.refused = c.takes-before, c.refused
	return r
}

// rest waits until every partition is where it should be, and wants nothing to move
// after that.
func (c *cluster) rest(bound time.Duration) {
	c.t.Helper()
	for start := c.now; ; c.run(tick) {
		fault := c.unserved()
		if fault == "" {
			break
		}
		if c.now-start > bound {
			c.t.Fatalf("not within %v: %s", bound, fault)
		}
	}
	for start, before := c.now, -1; before != c.takes; {
		if c.now-start > bound {
			c.t.Fatalf("no rest within %v", bound)
		}
		before = c.takes
		c.run(4 * time.Second)
	}
	if fault := c.unserved(); fault != "" {
		c.t.Fatalf("at rest: %s", fault)
	}
}

// unserved names a partition without an owner, or with one that does not know what
// it needs while another knows.
func (c *cluster) unserved() string {
	for p := range c.claims {
		claim := c.claims[p]
		owner := c.members[claim.Owner]
		if owner == nil || owner.serves[claim.Partition].Epoch != claim.Epoch || claim.Session != owner.session.Incarnation {
			return fmt.Sprintf("nobody serves partition %d", p)
		}
		needs := c.needs[claim.Partition]
		if owner.knows(needs) {
			continue
		}
		for name, n := range c.members {
			if !n.m.Draining() && n.knows(needs) {
				return fmt.Sprintf("%s has partition %d, %s knows %q", claim.Owner, p, name, needs)
			}
		}
	}
	return ""
}

// TestMachine_RollingUpgrades: while nodes of an old build are replaced by those of
// a new one, each partition ends with a node that knows what is in it if there is
// one, whether or not the builds can be told apart; it comes to rest each time; and
// in the end shares are as they were.
func TestMachine_RollingUpgrades(t *testing.T) {
	t.Parallel()
	rnd := testenv.Rand(t)
	old := store.Session{Build: "v1.0.0", Kinds: []string{"account"}}
	next := store.Session{Build: "v1.1.0", Kinds: []string{"account", "ledger", "note"}}
	most, takes, refused := 0, 0, 0
	for range testenv.Times(t, "GANGLION_UPGRADES", 20) {
		from, to := old, next
		if rnd.IntN(2) == 0 {
			from.Build, to.Build = "", ""
		}
		c := newCluster(t, 64)
		for i := range 2 + rnd.IntN(4) {
			c.joinAs(fmt.Sprint("n-", i), from, false)
		}
		c.rest(20 * time.Second)
		r := upgrade(t, rnd, c, from, to, rnd.IntN(4) > 0)
		most, takes, refused = max(most, r.most), takes+r.takes, refused+r.refused
		c.settle(20 * time.Second)
	}
	t.Logf("%d claims taken, at most %d of one partition while a node was replaced; %d times nobody knew", takes, most, refused)
}

// TestMachine_Rollback: going back to an older build, nodes that are new and few do
// not get everything, and in the end shares are as they were.
func TestMachine_Rollback(t *testing.T) {
	t.Parallel()
	rnd := testenv.Rand(t)
	for range 10 {
		c := newCluster(t, 256)
		for i := range 3 + rnd.IntN(4) {
			c.joinAs(fmt.Sprint("n-", i), store.Session{Build: "v1.1.0"}, true)
		}
		c.rest(20 * time.Second)
		upgrade(t, rnd, c, store.Session{Build: "v1.1.0"}, store.Session{Build: "v1.0.0"}, false)
		c.settle(20 * time.Second)
	}
}

// TestMachine_Lack_NobodyKnows: an event that nobody can read takes its partition
// past every node once, and not again.
func TestMachine_Lack_NobodyKnows(t *testing.T) {
	t.Parallel()
	for _, build := range []string{"", "v1.0.0"} {
		c := newCluster(t, 16)
		for i := range 5 {
			c.joinAs(fmt.Sprint("n-", i), store.Session{Build: build}, false)
		}
		c.rest(20 * time.Second)
		clear(c.took)
		c.needs[3] = []string{""}
		c.rest(20 * time.Second)
		c.run(time.Minute)
		limit := 4
		if build != "" {
			limit = 0
		}
		if c.took[3] > limit || c.refused == 0 {
			t.Errorf("build %q: partition 3 was taken %d times, %d are allowed; nobody knew %d times", build, c.took[3], limit, c.refused)
		}
	}
}

// TestOlder: which of two builds is the newer one.
func TestOlder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"v1.4.0", "v1.5.0", true},
		{"v1.5.0", "v1.4.0", false},
		{"v1.9.0", "v1.10.0", true},
		{"1.9.0", "v1.10.0", true},
		{"v1.5.0-rc.1", "v1.5.0", true},
		{"v1.5.0+a", "v1.5.0+b", false},
		{"", "v1.0.0", false},
		{"v1.0.0", "(devel)", false},
		{"v0.0.0-20261120101112-aaaaaaaaaaaa", "v0.0.0-20261121101112-000000000000", true},
		{"v0.0.0-20261120101112-aaaaaaaaaaaa+dirty+aaaa", "v0.0.0-20261121101112-000000000000", true},
		{"nightly-7", "nightly-8", false},
	} {
		if got := placement.Older(c.a, c.b); got != c.want {
			t.Errorf("%q is older than %q: %v", c.a, c.b, got)
		}
	}
}
