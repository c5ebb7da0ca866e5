package placement_test

import (
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/store"
)

func cut(s store.Session) store.Session {
	s.Cut = true
	return s
}

// cut has a node be cut, or connected again.
func (c *cluster) cut(cut bool, names ...string) {
	for _, name := range names {
		c.members[name].m.Cut(cut)
		c.members[name].renewAt = c.now
	}
}

// TestMachine_Cut: what a cut node has goes to those that are connected, and comes back
// when it is. Nothing moves while nobody is connected, nor when they come back one after
// another.
func TestMachine_Cut(t *testing.T) {
	t.Parallel()
	const partitions = 64
	c := newCluster(t, partitions)
	for _, name := range []string{"a", "b", "c"} {
		c.join(name)
	}
	c.settle(10 * time.Second)
	c.run(10 * time.Second)
	share := len(c.members["a"].serves)

	stay := func(what string, d time.Duration) {
		t.Helper()
		before := c.takes
		c.run(d)
		if c.takes != before {
			t.Errorf("%s: %d partitions were taken", what, c.takes-before)
		}
	}
	c.takes = 0
	c.cut(true, "a")
	stay("a is cut for a moment", 3*time.Second)
	rest := func(bound time.Duration) {
		t.Helper()
		for start := c.now; len(c.members["a"].serves) > 0; c.run(tick) {
			if c.now-start > bound {
				t.Fatalf("a has %d partitions still", len(c.members["a"].serves))
			}
		}
		c.run(2 * time.Second)
		for p, claim := range c.claims {
			if want := placement.Highest([]string{"b", "c"}, store.Partition(p)); claim.Owner != want {
				t.Fatalf("partition %d is %q's, want %q", p, claim.Owner, want)
			}
		}
	}
	rest(10 * time.Second)
	if c.takes != share {
		t.Errorf("%d moved, want the %d of a", c.takes, share)
	}
	stay("a is cut", time.Minute)
	c.cut(true, "b", "c")
	stay("all are cut", time.Minute)
	c.cut(false, "b")
	c.run(2 * time.Second)
	c.cut(false, "c")
	stay("b and c are back one after the other", time.Minute)
	c.cut(false, "a")
	stay("a is back for a moment", 3*time.Second)
	c.settle(20 * time.Second)
	c.cut(true, "a", "b", "c")
	stay("all are cut again", time.Minute)
	c.cut(false, "c")
	for start := c.now; len(c.members["c"].serves) < partitions; c.run(tick) {
		if c.now-start > 20*time.Second {
			t.Fatalf("c has %d partitions", len(c.members["c"].serves))
		}
	}
	stay("c alone is connected", time.Minute)
}

// TestMachine_Cut_HandsOverWhenTold: nothing is handed over before others can read why,
// and to nobody who is cut; one that leaves gives back all the same.
func TestMachine_Cut_HandsOverWhenTold(t *testing.T) {
	t.Parallel()
	const partitions = 4
	s := newScript(t, partitions, true)
	for _, claim := range s.at(0, claimed(partitions, "", "")).Take {
		s.m.Took(claim.Partition)
	}
	mine := claimed(partitions, "me", "me-1")
	s.at(time.Second, mine, cut(peer("a", 1)))
	s.at(2*time.Second, mine, cut(peer("a", 2)))
	s.now = 20 * time.Second
	s.m.Cut(true)
	if plan := s.look(mine, peer("a", 3)); len(plan.HandOver) > 0 || s.m.Told() {
		t.Errorf("handed over untold: %v", plan.HandOver)
	}
	if plan := s.at(21*time.Second, mine, cut(peer("a", 4))); len(plan.HandOver) > 0 || s.m.Peers() {
		t.Errorf("handed over to a cut node: %v", plan.HandOver)
	}
	free := claimed(partitions, "", "")
	if plan := s.at(22*time.Second, free, cut(peer("a", 5))); len(plan.Take) > 0 {
		t.Errorf("a cut node takes %v", plan.Take)
	}
	s.m.Leave()
	if plan := s.at(23*time.Second, mine, cut(peer("a", 6))); len(plan.HandOver) != partitions {
		t.Errorf("leaving, it gives back %v", plan.HandOver)
	}
}

// TestMachine_Cut_OfAnOlderBuild: what is a home of its own for other reasons is left, too.
func TestMachine_Cut_OfAnOlderBuild(t *testing.T) {
	t.Parallel()
	const partitions = 8
	for _, builds := range [][2]string{{"v1.0.0", "v2.0.0"}, {"v2.0.0", "v1.0.0"}} {
		s := newScriptAs(t, partitions, builds[0])
		for _, claim := range s.at(0, claimed(partitions, "", "")).Take {
			s.m.Took(claim.Partition)
		}
		mine := claimed(partitions, "me", "me-1")
		other := func(beat uint64) []store.Session {
			return []store.Session{of(peer("a", beat), builds[1]), of(peer("b", beat), builds[0])}
		}
		s.at(time.Second, mine, other(1)...)
		s.m.Cut(true)
		handed := 0
		for i := range 40 {
			handed += len(s.at(time.Duration(2+i)*time.Second, mine, other(uint64(2+i))...).HandOver)
		}
		if handed != partitions {
			t.Errorf("%v: %d of %d handed over", builds, handed, partitions)
		}
	}
}
