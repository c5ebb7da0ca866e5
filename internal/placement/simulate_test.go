package placement_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/store"
)

// cluster is machines on one store in virtual time, in which nothing gets lost.
// What can go wrong is explored elsewhere; here it is about where things end up,
// and after how many moves.
type cluster struct {
	t          *testing.T
	cfg        placement.Config
	now        time.Duration
	sessions   map[string]store.Session
	claims     []store.Claim
	members    map[string]*member
	incarnated int
	takes      int
	took       map[store.Partition]int // likewise, by partition

	needs   map[store.Partition][]string // what has been stored in a partition: kinds, or "" for an event
	refused int                          // times that a node found nobody who may know
}

// member is a node: a machine, when it does what next, and what it serves.
type member struct {
	m       *placement.Machine
	session store.Session
	renewAt time.Duration
	lookAt  time.Duration
	serves  map[store.Partition]store.Claim
	drains  map[store.Partition]time.Duration // to be released at
	took    int                               // in the round just made
	reads   bool                              // knows the event
}

// knows reports whether a member knows all that is needed for a partition.
func (n *member) knows(needs []string) bool {
	return !slices.ContainsFunc(needs, func(need string) bool { return !n.knowsOne(need) })
}

func (n *member) knowsOne(need string) bool {
	if need == "" {
		return n.reads
	}
	return slices.Contains(n.session.Kinds, need)
}

const (
	tick      = 10 * time.Millisecond
	drainTime = 30 * time.Millisecond
)

func newCluster(t *testing.T, partitions int) *cluster {
	c := &cluster{
		t: t, cfg: placement.Defaults(3*time.Second, partitions),
		sessions: map[string]store.Session{}, members: map[string]*member{}, claims: make([]store.Claim, partitions),
		took: map[store.Partition]int{}, needs: map[store.Partition][]string{},
	}
	for p := range c.claims {
		c.claims[p].Partition = store.Partition(p)
	}
	return c
}

// join starts a node. One that crashed a moment ago comes back as another
// incarnation: a lock proved its predecessor dead.
func (c *cluster) join(name string) { c.joinAs(name, store.Session{}, true) }

// joinAs starts a node of a build. reads: it knows the event.
func (c *cluster) joinAs(name string, build store.Session, reads bool) {
	c.incarnated++
	s := store.Session{Name: name, Incarnation: fmt.Sprint("i-", c.incarnated), Beat: 1, Build: build.Build, Kinds: build.Kinds}
	c.sessions[name] = s
	n := &member{
		m: placement.New(c.cfg, s, false), session: s, renewAt: c.now + c.cfg.Renew,
		serves: map[store.Partition]store.Claim{}, drains: map[store.Partition]time.Duration{}, reads: reads,
	}
	n.m.Renewed(c.now, c.now, s)
	c.members[name] = n
}

// crash ends a node; its session stays until others find out.
func (c *cluster) crash(name string) { delete(c.members, name) }

// drain has a node hand everything over and end.
func (c *cluster) drain(name string) {
	n := c.members[name]
	n.m.Cordon()
	n.renewAt = c.now
}

// run lets time pass.
func (c *cluster) run(d time.Duration) {
	for end := c.now + d; c.now < end; c.now += tick {
		for _, name := range c.order() {
			c.step(name, c.members[name])
		}
	}
}

func (c *cluster) order() []string {
	names := make([]string, 0, len(c.members))
	for name := range c.members {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (c *cluster) step(name string, n *member) {
	if c.now >= n.renewAt {
		n.renewAt = c.now + c.cfg.Renew
		kept := c.sessions[name]
		if kept.Dead || kept.Incarnation != n.session.Incarnation {
			c.t.Fatalf("%v: %s was declared dead and lives", c.now, name)
		}
		kept.Beat++
		told := len(kept.Lacks)
		kept.Draining, kept.Lacks, kept.Cut = n.m.Draining(), n.m.Lacks(), n.m.CutOff()
		c.sessions[name] = kept
		n.m.Renewed(c.now, c.now, kept)
		if kept.Draining || len(kept.Lacks) > told {
			n.lookAt = c.now
		}
	}
	for p, at := range n.drains {
		if c.now >= at {
			c.release(n, p)
		}
	}
	if c.now >= n.lookAt {
		c.look(n)
	}
	if n.m.Draining() && n.m.Told() && n.m.Idle() {
		delete(c.members, name)
		delete(c.sessions, name)
		c.announce()
	}
}

// announce has everybody look.
func (c *cluster) announce() {
	for _, n := range c.members {
		n.lookAt = min(n.lookAt, c.now+tick)
	}
}

func (c *cluster) release(n *member, p store.Partition) {
	delete(n.drains, p)
	delete(n.serves, p)
	c.claims[p].Owner, c.claims[p].Session = "", ""
	n.m.Left(c.now, p)
	c.announce()
}

func (c *cluster) look(n *member) {
	var sessions []store.Session
	for _, s := range c.sessions {
		sessions = append(sessions, s)
	}
	n.m.Looked(c.now, placement.Look{Began: c.now, Claims: c.claims, Sessions: sessions})
	c.meet(n)
	n.took = 0
	for again := true; again; {
		plan := n.m.Plan(c.now)
		n.lookAt = plan.Next
		again = len(plan.Declare) > 0
		for _, s := range plan.Declare {
			kept := c.sessions[s.Name]
			if kept.Incarnation == s.Incarnation && kept.Beat == s.Beat && !kept.Dead {
				kept.Dead = true
				c.sessions[s.Name] = kept
				n.m.Declared(c.now, s)
			}
		}
		for _, s := range plan.Forget {
			if c.sessions[s.Name].Incarnation == s.Incarnation {
				delete(c.sessions, s.Name)
			}
		}
		for _, p := range plan.HandOver {
			n.drains[p] = c.now + drainTime
		}
		if len(n.drains) > c.cfg.LeaveMax && !n.m.CutOff() {
			c.t.Fatalf("%d partitions are handed over at once", len(n.drains))
		}
		c.take(n, plan.Take)
	}
}

// meet has a node meet in its partitions what it does not know.
func (c *cluster) meet(n *member) {
	for p, needs := range c.needs {
		if _, serves := n.serves[p]; !serves {
			continue
		}
		for _, need := range needs {
			if n.knowsOne(need) {
				continue
			}
			if !n.m.Lack(p, need) {
				c.refused++
			}
		}
	}
	if !n.m.Told() {
		n.renewAt = c.now // soon
	}
}

func (c *cluster) take(n *member, want []store.Claim) {
	if n.took += len(want); n.took > c.cfg.ClaimMax {
		c.t.Fatalf("%d claims in one round", n.took)
	}
	if len(want) > 0 {
		c.announce()
	}
	for _, w := range want {
		kept := &c.claims[w.Partition]
		if kept.Session != w.Session || kept.Epoch != w.Epoch {
			n.m.Left(c.now, w.Partition)
			continue
		}
		kept.Owner, kept.Session, kept.Epoch = n.session.Name, n.session.Incarnation, kept.Epoch+1
		n.serves[w.Partition] = *kept
		n.m.Took(w.Partition)
		c.takes++
		c.took[w.Partition]++
	}
}

// settled reports whether each partition is served by the one it belongs to, and
// by nobody else.
func (c *cluster) settled() bool {
	served := 0
	for _, n := range c.members {
		served += len(n.serves)
	}
	names := c.active()
	for p, claim := range c.claims {
		name := placement.Highest(names, store.Partition(p))
		if claim.Owner != name || c.members[name].serves[claim.Partition].Epoch != claim.Epoch {
			return false
		}
	}
	return served == len(c.claims) && len(names) == len(c.members)
}

// active returns the nodes that are there to stay.
func (c *cluster) active() []string {
	return slices.DeleteFunc(c.order(), func(name string) bool { return c.members[name].m.Draining() || c.members[name].m.CutOff() })
}

// settle waits until that is so.
func (c *cluster) settle(bound time.Duration) time.Duration {
	c.t.Helper()
	start := c.now
	for !c.settled() {
		if c.now-start > bound {
			c.t.Fatalf("not settled within %v, with %v", bound, c.active())
		}
		c.run(tick)
	}
	return c.now - start
}

// moves returns how many partitions belong to another after a change.
func moves(before, after []string, partitions int) int {
	n := 0
	for p := range store.Partition(partitions) {
		if placement.Highest(before, p) != placement.Highest(after, p) {
			n++
		}
	}
	return n
}

// TestMachine_ManyJoinsAndLeaves lets nodes come, go and crash a thousand times, two hundred
// with the race detector.
// In the end of each change every partition has one owner, the one it belongs to,
// nobody goes without, and hardly more was moved than must be.
func TestMachine_ManyJoinsAndLeaves(t *testing.T) {
	t.Parallel()
	const partitions, most = 256, 10
	changes := 1000
	if placement.RaceDetector { // which takes ten times as long, and finds nothing in one goroutine
		changes = 200
	}
	rnd := testenv.Rand(t)
	c := newCluster(t, partitions)
	c.join("n-0")
	c.settle(10 * time.Second)
	least, longest := 0, time.Duration(0)
	c.takes = 0
	fewest, largest := 1.0, 1.0
	for change := range changes {
		before := c.active()
		switch k := rnd.IntN(4); {
		case len(before) == 1 || k < 2 && len(before) < most:
			c.join(fmt.Sprint("n-", change+1))
		case k == 2:
			c.crash(before[rnd.IntN(len(before))])
		default:
			c.drain(before[rnd.IntN(len(before))])
		}
		if rnd.IntN(10) == 0 {
			c.run(time.Duration(rnd.IntN(2000)) * time.Millisecond) // the next change finds this one unfinished
			least += moves(before, c.active(), partitions)
			continue
		}
		longest = max(longest, c.settle(15*time.Second))
		least += moves(before, c.active(), partitions)
		fair := float64(partitions) / float64(len(c.members))
		for name, n := range c.members {
			share := float64(len(n.serves)) / fair
			fewest, largest = min(fewest, share), max(largest, share)
			if len(n.serves) == 0 || share > 2.5 {
				t.Fatalf("%s serves %d of %d partitions, with %d nodes", name, len(n.serves), partitions, len(c.members))
			}
		}
	}
	c.settle(15 * time.Second)
	t.Logf("%d moves, %d are necessary; shares of %.2f to %.2f of a fair one; settled within %v", c.takes, least, fewest, largest, longest)
	if float64(c.takes) > 1.1*float64(least) {
		t.Errorf("%d moves, more than 10 %% above the %d that are necessary", c.takes, least)
	}
}
