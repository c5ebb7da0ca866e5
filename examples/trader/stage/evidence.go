package stage

import (
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/load"
	"github.com/ganglion-go/ganglion/store"
)

// keptMax bounds the commands that are kept one by one. Of older ones that were stored once
// the number alone stays.
const keptMax = 300_000

// evidence is what users were told, beside what the feed of commits shows. It is safe for
// concurrent use.
type evidence struct {
	mu    sync.Mutex
	known map[identity]*record
	acked []*record // oldest first

	acknowledged int64 // all, those that are no longer kept included
	fresh        int   // of acked: since the check before
	unseen       map[*record]struct{}
	lost         map[*record]struct{}
	doubled      map[*record]struct{}
	changed      map[*record]struct{}
	unreadable   map[*record]struct{} // whose own commit cannot be understood
	broken       map[damage]string    // where histories cannot be read on, and why
	unknown      map[*record]struct{}
	flying       map[*record]struct{}

	waits    waits
	patience time.Duration // for the feed to show what was acknowledged

	seen   chan struct{} // of capacity 1: the feed has shown something
	counts []int64       // outcomes of each partition that the feed has shown
}

// identity names a command: an id may be used once at each aggregate.
type identity struct {
	aggregate store.Aggregate
	id        string
}

// record is a command of the load.
type record struct {
	identity
	to      actor.Address
	name    string
	command any // until its outcome is known
	began   time.Time
	acked   bool
	places  int           // in which the feed has shown it
	first   store.Version // of the commit in the first of them
	index   int           // in its outcomes
	told    digest        // what its sender was told
	shown   digest        // what the feed has shown of it
}

// damage is a place in a history behind which the next commit cannot be read.
type damage struct {
	aggregate store.Aggregate
	after     store.Version // the last one before it
}

// damagedMax bounds the damages that are kept. More than that say no more.
const damagedMax = 1_000

func newEvidence() *evidence {
	set := func() map[*record]struct{} { return map[*record]struct{}{} }
	return &evidence{
		known: map[identity]*record{}, unseen: set(), lost: set(), doubled: set(), changed: set(), unreadable: set(), broken: map[damage]string{}, unknown: set(), flying: set(),
		seen: make(chan struct{}, 1), patience: feedPatience,
	}
}

// watch returns what has the evidence know of each command of a load. How long users wait is
// measured of those that trade.
func (v *evidence) watch(trades bool) load.Watch {
	return load.Watch{
		Begins: func(to actor.Address, key actor.CommandID) { v.begins(to, key, trades) },
		Ended:  func(e load.Ended) { v.ended(e, trades) },
	}
}

// begins notes a command before it is sent: the feed may show it before its sender has the
// answer.
func (v *evidence) begins(to actor.Address, key actor.CommandID, trades bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	name := identity{store.Aggregate(to.String()), string(key)}
	r := v.known[name]
	if r == nil {
		r = &record{identity: name, to: to}
		v.known[name] = r
	}
	r.began = time.Now()
	if trades {
		v.flying[r] = struct{}{}
	}
}

// ended notes an answer, or that there was none.
func (v *evidence) ended(e load.Ended, trades bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.known[identity{store.Aggregate(e.To.String()), string(e.Key)}]
	if r == nil {
		return
	}
	delete(v.flying, r)
	if trades && (e.Err == nil || load.Refused(e.Err)) {
		v.waits.ended(r.to, e.Began, e.Took)
	}
	switch {
	case e.Err == nil:
		delete(v.unknown, r)
		v.acknowledge(r, digestOf(&store.Outcome{Reply: e.Reply}))
	case load.Refused(e.Err):
		delete(v.unknown, r)
		if !r.acked {
			delete(v.known, r.identity)
		}
	default:
		r.name, r.command = e.Name, e.Command
		v.unknown[r] = struct{}{}
	}
}

func (v *evidence) acknowledge(r *record, told digest) {
	if r.acked { // it was sent again, and the first answer is the one that counts
		if told != r.told {
			v.changed[r], r.told = struct{}{}, 0 // no answer is right any more
		}
		return
	}
	r.acked, r.command, r.told = true, nil, told
	if r.places > 0 && r.shown != told {
		v.changed[r] = struct{}{}
	}
	v.acknowledged++
	v.fresh++
	v.acked = append(v.acked, r)
	if r.places == 0 {
		v.unseen[r] = struct{}{}
	}
	for len(v.acked) > keptMax && v.settled(v.acked[0]) {
		delete(v.known, v.acked[0].identity)
		v.acked[0] = nil
		v.acked = v.acked[1:]
	}
}

// settled reports whether there is nothing to say of a record but that it is stored once.
func (v *evidence) settled(r *record) bool {
	for _, wrong := range []map[*record]struct{}{v.lost, v.changed, v.unreadable} {
		if _, is := wrong[r]; is {
			return false
		}
	}
	return r.places == 1
}

// take notes what a commit of the feed holds. A commit that comes again changes nothing.
func (v *evidence) take(c *store.Commit) {
	v.count(c)
	v.see(c)
}

// count counts the outcomes of a commit for its partition.
func (v *evidence) count(c *store.Commit) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if int(c.Partition) < partitionsMost {
		for len(v.counts) <= int(c.Partition) {
			v.counts = append(v.counts, 0)
		}
		v.counts[c.Partition] += int64(len(c.Outcomes))
	}
}

// see notes where commands are stored: the feed may have missed what an audit reads.
func (v *evidence) see(c *store.Commit) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range c.Outcomes {
		r := v.known[identity{c.Aggregate, c.Outcomes[i].CommandID}]
		switch {
		case r == nil, r.places > 0 && r.first == c.First && r.index == i:
			continue
		case r.places == 0:
			r.first, r.index, r.shown = c.First, i, digestOf(&c.Outcomes[i])
			if r.acked && r.shown != r.told {
				v.changed[r] = struct{}{}
			}
			delete(v.unseen, r)
		default:
			v.doubled[r] = struct{}{}
		}
		r.places++
	}
	select {
	case v.seen <- struct{}{}:
	default:
	}
}

// takeUnreadable notes that the feed has shown a commit that cannot be understood.
func (v *evidence) takeUnreadable(c *store.Commit, why error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.breakLocked(damage{c.Aggregate, max(c.First, 1) - 1}, why)
}

func (v *evidence) breakLocked(at damage, why error) {
	if _, known := v.broken[at]; known || len(v.broken) < damagedMax {
		v.broken[at] = why.Error()
	}
}

// partitionsMost bounds what is counted of a commit that says nonsense.
const partitionsMost = 1 << 12

// live returns how many commands were acknowledged up to now.
func (v *evidence) live() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.acknowledged
}

// traffic returns the outcomes of each partition up to now.
func (v *evidence) traffic() []int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]int64(nil), v.counts...)
}

// open returns commands whose outcome is not known, at most so many.
func (v *evidence) open(most int) (some []record) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for r := range v.unknown {
		if len(some) == most {
			break
		}
		some = append(some, *r)
	}
	return some
}
