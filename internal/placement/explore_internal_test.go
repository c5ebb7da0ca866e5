package placement

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/store"
)

// action is one thing that can happen.
type action struct {
	do     func(w *world)
	format string
	args   []any
}

func (a action) String() string { return fmt.Sprintf(a.format, a.args...) }

// actions returns all that can happen next. Those with a star are several steps
// of one node that nothing comes between: they reach nothing that single steps do
// not, but with less of the bounded depth.
func (w *world) actions(steps []int) []action {
	var all []action
	add := func(do func(w *world), format string, args ...any) {
		all = append(all, action{do, format, args})
	}
	for _, k := range steps {
		add(func(w *world) { w.advance(k) }, "time +%d", k)
	}
	for i, n := range w.nodes {
		w.nodeActions(add, i, n)
	}
	for k, r := range w.requests {
		if !r.applied {
			add(func(w *world) {
				w.apply(w.requests[k])
				if w.requests[k].orphan {
					w.drop(w.requests[k])
				}
			}, "%s of %s takes effect", r.kind, w.nodes[r.from].name)
		} else if !r.orphan {
			add(func(w *world) { w.deliver(w.requests[k]) }, "%s of %s is answered", r.kind, w.nodes[r.from].name)
		}
	}
	return all
}

func (w *world) advance(steps int) {
	for _, n := range w.nodes {
		n.clock += n.rate * time.Duration(steps)
	}
}

func (w *world) nodeActions(add func(do func(w *world), format string, args ...any), i int, n *modelNode) {
	free := len(w.requests) < w.rules.underWay
	if n.m == nil {
		if n.renewal == nil && (w.sessions[i].Name == "" || w.sessions[i].Dead) {
			if free {
				add(func(w *world) { w.open(i) }, "%s opens", n.name)
			}
			add(func(w *world) { w.open(i); w.finish(i, true) }, "%s opens*", n.name)
		}
		return
	}
	if n.renewal == nil {
		if free {
			add(func(w *world) { w.sendRenewal(i) }, "%s renews", n.name)
		}
		add(func(w *world) { w.sendRenewal(i); w.finish(i, true) }, "%s renews*", n.name)
	} else {
		add(func(w *world) { w.giveUp(w.nodes[i].renewal) }, "%s waits no longer for its renewal", n.name)
	}
	if n.round == nil {
		if free {
			add(func(w *world) { w.beginRound(i) }, "%s looks", n.name)
		}
		add(func(w *world) { w.beginRound(i); w.finish(i, false) }, "%s looks*", n.name)
	} else {
		add(func(w *world) { w.finish(i, false) }, "%s finishes its round*", n.name)
		add(func(w *world) { w.giveUp(w.nodes[i].round) }, "%s waits no longer for its %s", n.name, n.round.kind)
	}
	for _, t := range w.told {
		if t.by != n.name && n.m.looked {
			add(func(w *world) { w.hear(i, t) }, "%s hears that %d is %q's in epoch %d", n.name, t.claim.Partition, t.claim.Session, t.claim.Epoch)
		}
	}
	for p := range n.serving {
		told := len(n.m.lacks)
		if knows := slices.Contains(n.kinds, inUse) && n.reads; n.serving[p] && !knows && told < 2*len(n.serving) {
			add(func(w *world) { w.meet(i, p) }, "%s meets in %d what it does not know", n.name, p)
		}
	}
	for p := range n.leaving {
		if n.leaving[p] {
			add(func(w *world) { w.drained(i, p) }, "%s has drained %d", n.name, p)
		}
	}
}

// finish brings a node's renewal, or its round, to its end at once.
func (w *world) finish(i int, renewal bool) {
	for {
		r := w.nodes[i].round
		if renewal {
			r = w.nodes[i].renewal
		}
		if r == nil {
			return
		}
		if !r.applied {
			w.apply(r)
		}
		w.deliver(r)
	}
}

func (k kind) String() string {
	return []string{"opening", "renewal", "review", "reading of claims", "reading of sessions", "declaration", "take", "release"}[k]
}

// explored is what an exploration has come to.
type explored struct {
	states int
	fault  string
	path   []string // to the fault
}

// explore walks through everything that can happen within a number of actions,
// breadth first, every state once.
func explore(start *world, depth int, steps []int) explored {
	type place struct {
		w    *world
		from int // in trail
	}
	type crumb struct{ action, from int }
	seed := maphash.MakeSeed()
	seen := map[uint64]bool{}
	var buffer []byte
	trail := []crumb{{-1, -1}}
	layer := []place{{start, 0}}
	for range depth {
		var next []place
		for _, at := range layer {
			for k, a := range at.w.actions(steps) {
				w := at.w.clone()
				a.do(w)
				buffer = w.state(buffer[:0])
				if h := maphash.Bytes(seed, buffer); seen[h] {
					continue
				} else {
					seen[h] = true
				}
				trail = append(trail, crumb{k, at.from})
				if fault := w.check(); fault != "" {
					var chosen []int
					for k := len(trail) - 1; k > 0; k = trail[k].from {
						chosen = append(chosen, trail[k].action)
					}
					slices.Reverse(chosen)
					return explored{len(seen), fault, retrace(start, chosen, steps)}
				}
				next = append(next, place{w, len(trail) - 1})
			}
		}
		layer = next
	}
	return explored{states: len(seen)}
}

// retrace names the actions of a way.
func retrace(start *world, chosen, steps []int) (path []string) {
	w := start.clone()
	for _, k := range chosen {
		a := w.actions(steps)[k]
		path = append(path, a.String())
		a.do(w)
	}
	return path
}

// scene is a world to begin with.
type scene struct {
	name string
	make func(r *rules) *world
}

// modelNames returns two names, the first one of which has partition 0 by rendezvous
// hashing.
func modelNames() (owner, other string) {
	if Highest([]string{"a", "b"}, 0) == "a" {
		return "a", "b"
	}
	return "b", "a"
}

// scenes: the owner that should have the partition has it, with a clock that is
// slower or faster than the other's; one that should not has it; nobody has it and
// one is not there yet.
func scenes(nodes, partitions int) []scene {
	owner, other := modelNames()
	serving := func(names []string, rates []time.Duration, leases ...time.Duration) func(r *rules) *world {
		return func(r *rules) *world {
			if nodes == 3 {
				names, rates = append(slices.Clone(names), "c"), append(slices.Clone(rates), fast)
			}
			w := newWorld(r, names, rates, partitions, leases...)
			for i := range names {
				w.open(i)
				w.finish(i, true)
				w.beginRound(i)
				w.finish(i, false)
			}
			return w
		}
	}
	return []scene{
		{"the owner's clock is slow", serving([]string{owner, other}, []time.Duration{slow, fast})},
		{"the owner's clock is fast", serving([]string{owner, other}, []time.Duration{fast, slow})},
		{"the owner is not the target", serving([]string{other, owner}, []time.Duration{slow, fast})},
		{"the target is not there yet", func(r *rules) *world {
			w := newWorld(r, []string{owner, other}, []time.Duration{fast, slow}, partitions)
			w.open(1)
			w.finish(1, true)
			return w
		}},
		{"the owner's lease is longer", serving([]string{owner, other}, []time.Duration{slow, fast}, modelLease, modelShort)},
		{"the owner's lease is shorter", serving([]string{owner, other}, []time.Duration{slow, fast}, modelShort, modelLease)},
		{"the owner does not know what others know", upgraded(serving([]string{owner, other}, []time.Duration{slow, fast}))},
	}
}

// upgraded has all nodes but the first one be of a newer build.
func upgraded(scene func(r *rules) *world) func(r *rules) *world {
	return func(r *rules) *world {
		w := scene(r)
		for i, n := range w.nodes {
			n.build = "v1.1.0"
			if i == 0 {
				n.build, n.reads, n.kinds = "v1.0.0", false, nil
			}
			for _, s := range []*store.Session{&n.session, &n.m.self, &w.sessions[i]} {
				s.Build, s.Kinds = n.build, n.kinds
			}
		}
		return w
	}
}

// deeper returns how far to explore: GANGLION_DEPTH more actions than usual.
func deeper(t *testing.T) int {
	t.Helper()
	s := os.Getenv("GANGLION_DEPTH")
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		t.Fatalf("GANGLION_DEPTH=%q is not a number from 0", s)
	}
	return n
}

// TestExplore walks through everything that nodes can do within a number of
// actions, and finds no state in which two may answer for one partition. Where
// fewer requests may be under way at a time, it goes further.
func TestExplore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		nodes, partitions, underWay, depth int
		steps                              []int // by which time goes on
	}{
		{2, 1, 1, 7, []int{3, 4}}, {2, 1, 2, 6, []int{1, 3}}, {2, 2, 2, 5, []int{1, 3}}, {3, 1, 1, 5, []int{3, 4}},
	} {
		depth := c.depth + deeper(t)
		if RaceDetector {
			depth -= 2 // one goroutine has no races, and this takes ten times as long
		}
		for _, s := range scenes(c.nodes, c.partitions) {
			t.Run(fmt.Sprintf("%d nodes, %d partitions, %d requests, steps %v, %s", c.nodes, c.partitions, c.underWay, c.steps, s.name), func(t *testing.T) {
				t.Parallel()
				start := time.Now()
				e := explore(s.make(&rules{margin: modelMargin, underWay: c.underWay, exclusive: true}), depth, c.steps)
				if e.fault != "" {
					t.Fatalf("%s, after:\n%s", e.fault, strings.Join(e.path, "\n"))
				}
				t.Logf("%d states within %d actions, %v", e.states, depth, time.Since(start))
			})
		}
	}
}

// broken are the rules that safety rests on, each broken. It takes many actions from the scene to
// find out what is far. The way at random of that number is the first one of seed 1 that does.
func broken() []struct {
	name  string
	rules rules
	scene int
	fault string
	far   bool
	way   int
} {
	return []struct {
		name  string
		rules rules
		scene int
		fault string
		far   bool
		way   int
	}{
		{"no margin", rules{margin: 0}, 0, "may answer", false, 3238},
		{"a renewal counts from its reply", rules{margin: modelMargin, fromReply: true}, 0, "may answer", true, 2027},
		{"death is declared while own renewals fail", rules{margin: modelMargin, ignoreLapses: true}, 0, "declares", false, 0},
		{"sessions are read before claims", rules{margin: modelMargin, sessionsFirst: true}, 3, "may answer", false, 1123},
		{"others are judged by one's own lease", rules{margin: modelMargin, ownLease: true}, 4, "may answer", false, 37},
		{"what is told of claims is believed", rules{margin: modelMargin, trustTellings: true}, 3, "may answer", true, 146},
	}
}

// TestExplore_FindsBrokenRules breaks each of the rules that safety rests on, and
// wants the exploration to find out.
func TestExplore_FindsBrokenRules(t *testing.T) {
	t.Parallel()
	for _, c := range broken() {
		if RaceDetector && c.far {
			continue // minutes, in one goroutine; the walk at random finds it below
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			c.rules.underWay = 1
			e := explore(scenes(2, 1)[c.scene].make(&c.rules), 9, []int{3, 4})
			if !strings.Contains(e.fault, c.fault) {
				t.Fatalf("found %q in %d states, want one where they %q", e.fault, e.states, c.fault)
			}
			t.Logf("%s, in %d states and %v, after:\n%s", e.fault, e.states, time.Since(start), strings.Join(e.path, "\n"))
		})
	}
}

// wander lets nodes do anything at random for a while, crashes and drains
// included, and returns the first fault and the way there.
func wander(rnd *rand.Rand, w *world, actions int) (fault string, path []string) {
	for range actions {
		steps := []int{1}
		switch rnd.IntN(40) {
		case 0: // a pause that outlasts a lease
			steps[0] = 9
		case 1, 2, 3, 4:
			steps[0] = 3
		}
		all := w.actions(steps)
		for i, n := range w.nodes {
			if n.m == nil || rnd.IntN(30) > 0 {
				continue
			}
			all = append(all,
				action{func(w *world) { w.stop(i) }, "%s crashes", []any{n.name}},
				action{func(w *world) { w.nodes[i].m.Cordon() }, "%s is cordoned", []any{n.name}},
				action{func(w *world) { w.nodes[i].m.Leave() }, "%s leaves", []any{n.name}},
				action{func(w *world) { w.nodes[i].m.Cut(!w.nodes[i].m.CutOff()) }, "%s is cut, or back", []any{n.name}})
		}
		a := all[rnd.IntN(len(all))]
		path = append(path, a.String())
		a.do(w)
		if fault := w.check(); fault != "" {
			return fault, path
		}
	}
	return "", path
}

// randomWorld has two or three nodes with clocks of any rates and leases of two
// lengths, and one or two partitions.
func randomWorld(rnd *rand.Rand, r rules) *world {
	names := []string{"a", "b", "c"}[:2+rnd.IntN(2)]
	var rates, leases []time.Duration
	for range names {
		leases = append(leases, []time.Duration{modelLease, modelShort}[rnd.IntN(2)])
		rates = append(rates, slow+time.Duration(rnd.IntN(int(fast-slow)+1)))
	}
	r.underWay = 1 + rnd.IntN(4)
	w := newWorld(&r, names, rates, 1+rnd.IntN(2), leases...)
	builds := []string{"", "v1.0.0", "v1.1.0"}
	reads := []bool{rnd.IntN(2) == 0, rnd.IntN(2) == 0, rnd.IntN(2) == 0} // by build: it is the code that knows an event
	for _, n := range w.nodes {
		build := rnd.IntN(len(builds))
		n.build, n.reads = builds[build], reads[build]
		if rnd.IntN(2) == 0 {
			n.kinds = nil
		}
	}
	return w
}

// TestWander is the exploration at random: shorter than complete, but far longer
// ways. GANGLION_WANDERS sets how many, GANGLION_SEED the first one's seed.
func TestWander(t *testing.T) {
	t.Parallel()
	seed := testenv.Seed(t)
	answered := 0
	few := 2000
	if RaceDetector {
		few = 200
	}
	for n := range testenv.Times(t, "GANGLION_WANDERS", few) {
		rnd := rand.New(rand.NewPCG(seed, uint64(n))) //nolint:gosec // not a secret
		w := randomWorld(rnd, rules{margin: modelMargin, exclusive: true})
		if fault, path := wander(rnd, w, 300); fault != "" {
			t.Fatalf("seed %d, way %d: %s, after %d actions:\n%s", seed, n, fault, len(path), strings.Join(path, "\n"))
		}
		for _, n := range w.nodes {
			if n.m != nil && slices.Contains(n.serving, true) && n.m.Answers(n.clock) {
				answered++
				break
			}
		}
	}
	if answered == 0 {
		t.Error("nobody served anything in the end: nothing was tested")
	}
	t.Logf("somebody may answer at the end of %d ways", answered)
}

// TestWander_FindsBrokenRules: the same for the walk at random, which would find each from any
// seed, some after thousands of ways.
func TestWander_FindsBrokenRules(t *testing.T) {
	t.Parallel()
	for _, c := range broken() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for n := c.way; n < 200_000; n++ {
				rnd := rand.New(rand.NewPCG(1, uint64(n))) //nolint:gosec // not a secret
				if fault, path := wander(rnd, randomWorld(rnd, c.rules), 300); strings.Contains(fault, c.fault) {
					t.Logf("way %d: %s, after %d actions", n, fault, len(path))
					return
				}
			}
			t.Fatal("not found")
		})
	}
}
