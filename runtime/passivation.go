package runtime

import (
	"container/heap"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// recency is a partition's activations, most recently used first.
type recency struct{ newest, oldest *activation }

// touch makes a the most recently used. The caller holds partition.mu.
func (r *recency) touch(a *activation, now int64) {
	a.used = now
	if r.newest == a {
		return
	}
	r.remove(a)
	a.older = r.newest
	if r.newest != nil {
		r.newest.newer = a
	}
	r.newest = a
	if r.oldest == nil {
		r.oldest = a
	}
}

func (r *recency) remove(a *activation) {
	if a.newer != nil {
		a.newer.older = a.older
	} else if r.newest == a {
		r.newest = a.older
	}
	if a.older != nil {
		a.older.newer = a.newer
	} else if r.oldest == a {
		r.oldest = a.newer
	}
	a.newer, a.older = nil, nil
}

// memory counts the activations of a node and keeps them within its budget.
type memory struct {
	cfg   *Config
	count atomic.Int64
	bytes atomic.Int64                 // estimate
	kinds map[actor.Kind]*atomic.Int64 // count, by kind; the map is not changed

	shapes     shapes // of the states' types
	struggles  struggles
	turnedAway atomic.Int64 // Clock.Elapsed of the last line about a message that was refused as it came from outside; 0: none
	unheard    atomic.Int64 // Clock.Elapsed of the last line about a command that nobody hears of; 0: none

	sweep     sync.Mutex    // one sweep at a time
	notBefore time.Duration // Clock.Elapsed of the next sweep, after one in vain; under sweep
}

func newMemory(cfg *Config, behaviors map[actor.Kind]*actor.Behavior) *memory {
	m := &memory{cfg: cfg, kinds: make(map[actor.Kind]*atomic.Int64, len(behaviors))}
	for kind := range behaviors {
		m.kinds[kind] = &atomic.Int64{}
	}
	return m
}

// counts notes that there are so many more activations of a kind.
func (m *memory) counts(kind actor.Kind, more int64) {
	if c := m.kinds[kind]; c != nil {
		c.Add(more)
	}
}

// ActivationsByKind returns how many aggregates of each of the node's kinds are in memory.
func (n *Node) ActivationsByKind() map[actor.Kind]int64 {
	in := n.incarnation()
	if in == nil {
		return nil
	}
	all := make(map[actor.Kind]int64, len(in.memory.kinds))
	for kind, count := range in.memory.kinds {
		all[kind] = count.Load()
	}
	return all
}

// admit counts another activation if the budget has room for it.
func (m *memory) admit() bool {
	if m.bytes.Load() >= m.cfg.MaxBytes {
		return false
	}
	if m.count.Add(1) > int64(m.cfg.MaxActivations) {
		m.count.Add(-1)
		return false
	}
	return true
}

// evictShare is the part of a full budget that one sweep gives back, so that
// the next sweep is a while off.
const evictShare = 64

// futileShare is the pause after a sweep that found every activation busy, in
// times of what it took: each looks at all of them, and a node that is full
// refuses a message per sweep.
const futileShare = 10

// makeRoom gives up the least recently used activations of all partitions until
// the budget has room. Those with work pending stay.
func (m *memory) makeRoom(in *incarnation) {
	m.sweep.Lock()
	defer m.sweep.Unlock()
	count := int64(m.cfg.MaxActivations) - max(1, int64(m.cfg.MaxActivations)/evictShare)
	bytes := m.cfg.MaxBytes - max(1, m.cfg.MaxBytes/evictShare)
	now := m.cfg.Clock.Elapsed()
	if m.count.Load() <= count && m.bytes.Load() <= bytes || now < m.notBefore {
		return // another sweep was faster, or found nothing just now
	}
	before := m.count.Load()
	defer func() {
		if m.count.Load() >= before {
			ended := m.cfg.Clock.Elapsed()
			m.notBefore = ended + futileShare*(ended-now)
		}
	}()
	queue := in.byAge()
	for len(queue) > 0 && (m.count.Load() > count || m.bytes.Load() > bytes) {
		p := queue[0].partition
		next, ok := p.passivateOldest(PassivatedBudget)
		if !ok {
			heap.Pop(&queue)
			continue
		}
		queue[0].used = next
		heap.Fix(&queue, 0)
	}
}

// awaitRoom waits a short while for activations to become idle. It returns
// false when a context has ended.
func (m *memory) awaitRoom(ctx, partition context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-partition.Done():
		return false
	case <-time.After(50 * time.Millisecond):
	}
	return true
}

// forget uncounts all activations of a partition that has stopped.
func (m *memory) forget(p *partition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.activations {
		a.mu.Lock()
		m.bytes.Add(-a.weight)
		m.counts(a.behavior.Kind(), -1)
		if a.struggling {
			m.struggles.count.Add(-1)
		}
		a.mu.Unlock()
	}
	m.count.Add(-int64(len(p.activations)))
	p.activations, p.recency = map[actor.Address]*activation{}, recency{}
}

// agedPartition is a partition with the time at which its oldest activation was
// last used.
type agedPartition struct {
	partition *partition
	used      int64
}

// ageHeap has the partition with the least recently used activation on top
// (container/heap).
type ageHeap []agedPartition

func (h ageHeap) Len() int           { return len(h) }
func (h ageHeap) Less(i, j int) bool { return h[i].used < h[j].used }
func (h ageHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *ageHeap) Push(x any) { *h = append(*h, x.(agedPartition)) }

// Pop implements heap.Interface.
func (h *ageHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func (in *incarnation) byAge() ageHeap {
	var h ageHeap
	for _, p := range in.served() {
		p.mu.Lock()
		if p.recency.oldest != nil {
			h = append(h, agedPartition{p, p.recency.oldest.used})
		}
		p.mu.Unlock()
	}
	heap.Init(&h)
	return h
}

// passivateOldest gives up the partition's least recently used idle activation
// and returns when the next one was used. ok is false when there is none left.
func (p *partition) passivateOldest(why PassivationReason) (next int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for a := p.recency.oldest; a != nil; {
		newer := a.newer
		if p.passivateLocked(a, why) {
			if newer == nil {
				return 0, false
			}
			return newer.used, true
		}
		a = newer
	}
	return 0, false
}

// passivateLocked gives an activation up if it is idle.
func (p *partition) passivateLocked(a *activation, why PassivationReason) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.idleLocked() {
		return false
	}
	p.recency.remove(a)
	delete(p.activations, a.address)
	p.memory.count.Add(-1)
	p.memory.bytes.Add(-a.weight)
	p.memory.counts(a.behavior.Kind(), -1)
	if a.struggling {
		p.memory.struggles.count.Add(-1)
	}
	if f := p.cfg.Listener.Passivated; f != nil {
		f(a.behavior.Kind(), why)
	}
	return true
}

// restingAfter is the idle time after which an activation gives back memory
// that only a busy one needs, and ringAtRest the outcomes that it then keeps.
const (
	restingAfter = 10 * time.Second
	ringAtRest   = 16
)

// passivateIdle gives up what has been idle for its kind's time, and puts to
// rest what has been idle for a while.
func (p *partition) passivateIdle(now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for a := p.recency.oldest; a != nil; {
		newer := a.newer
		idle := now - time.Duration(a.used)
		if idle < p.shortestIdle {
			return // all that follow were used later
		}
		after := a.behavior.PassivateAfter()
		if after == 0 {
			after = p.cfg.PassivateAfter
		}
		if idle >= after {
			p.passivateLocked(a, PassivatedIdle)
		} else if idle >= restingAfter {
			a.rest()
		}
		a = newer
	}
}

// rest shrinks an idle activation.
func (a *activation) rest() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.idleLocked() || a.resting {
		return
	}
	a.resting = true
	a.mailbox = mailbox{}
	a.ring.shrink(ringAtRest)
	a.reweighLocked()
}

// passivate sweeps all partitions until ctx ends.
func (in *incarnation) passivate(ctx context.Context) {
	ticker := time.NewTicker(max(in.shortestIdle/4, 50*time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, p := range in.served() {
			p.passivateIdle(in.cfg.Clock.Elapsed())
		}
		if in.memory.bytes.Load() > in.cfg.MaxBytes {
			in.memory.makeRoom(in)
		}
	}
}
