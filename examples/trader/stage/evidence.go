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
	unknown      map[*record]struct{}
	flying       map[*record]struct{}

	waits  waits
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
}

func newEvidence() *evidence {
	set := func() map[*record]struct{} { return map[*record]struct{}{} }
	return &evidence{
		known: map[identity]*record{}, unseen: set(), lost: set(), doubled: set(), unknown: set(), flying: set(),
		seen: make(chan struct{}, 1),
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
		v.acknowledge(r)
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

func (v *evidence) acknowledge(r *record) {
	if r.acked {
		return // it was sent again
	}
	r.acked, r.command = true, nil
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
	_, lost := v.lost[r]
	return r.places == 1 && !lost
}

// take notes what a commit of the feed holds. A commit that comes again changes nothing.
func (v *evidence) take(c *store.Commit) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if int(c.Partition) < partitionsMost {
		for len(v.counts) <= int(c.Partition) {
			v.counts = append(v.counts, 0)
		}
		v.counts[c.Partition] += int64(len(c.Outcomes))
	}
	for i := range c.Outcomes {
		r := v.known[identity{c.Aggregate, c.Outcomes[i].CommandID}]
		switch {
		case r == nil, r.places > 0 && r.first == c.First && r.index == i:
			continue
		case r.places == 0:
			r.first, r.index = c.First, i
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
