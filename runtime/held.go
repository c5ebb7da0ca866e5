package runtime

import (
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Reads of state that wait for a change ([actor.Wait]) are held by the partition, not by
// the activation: one that has nothing else to do can be passivated. Nothing changes an
// aggregate but its activation, which looks after each message whether what is held is due.
// Then the read begins anew as one that does not wait, and its answer stands on what is
// under way, like any other.
//
//	activation                           partition
//	takes the read in, at version 7
//	holds it: beyond 7                   keeps it, and the message is finished here
//	...
//	decides a command: version 8
//	takes what waits beyond 7            counts the read as unfinished again
//	shows version 8; the answer waits
//	  until 8 is durable
//
// If the write of 8 fails, the read is decided again with the command, and shows what there
// is then: perhaps 7. Its caller asks again.

const (
	// heldMax bounds what a partition holds. Reads beyond it are answered at once.
	heldMax = 1024
	// heldTick is how exactly the end of a wait is met.
	heldTick = 100 * time.Millisecond
)

// heldReads are the reads that a partition holds. It is guarded by partition.mu.
type heldReads struct {
	byAddress map[actor.Address][]heldRead
	count     int
	ticking   bool // a goroutine looks after their ends
	ended     bool // the partition hands over
}

type heldRead struct {
	delivery actor.Delivery
	until    time.Duration // Clock.Elapsed
}

func (h *heldReads) of(a actor.Address) bool { return len(h.byAddress[a]) > 0 }

// take removes those of an aggregate that are due.
func (h *heldReads) take(a actor.Address, due func(heldRead) bool) (taken []actor.Delivery) {
	var kept []heldRead
	for _, r := range h.byAddress[a] {
		if due(r) {
			taken = append(taken, r.delivery)
		} else {
			kept = append(kept, r)
		}
	}
	h.count -= len(taken)
	if len(kept) == 0 {
		delete(h.byAddress, a)
	} else {
		h.byAddress[a] = kept
	}
	return taken
}

// takeAll removes those of all aggregates that are due.
func (h *heldReads) takeAll(due func(heldRead) bool) (taken []actor.Delivery) {
	for a := range h.byAddress {
		taken = append(taken, h.take(a, due)...)
	}
	return taken
}

// holds reports whether a read waits for what the state does not show yet. Then it has
// been put away.
func (a *activation) holds(d *delivery) bool {
	w := d.Message.Wait
	if d.Message.Type != actor.TypeState || w.For <= 0 || a.shows(w) {
		return false
	}
	if !a.partition.hold(d) {
		return false
	}
	a.watched = true
	a.partition.finish(d)
	return true
}

func (a *activation) shows(w actor.Wait) bool {
	return a.instance.Told() > w.Beyond || a.instance.Ended()
}

// releaseChanged answers the reads that now are shown what they wait for, all of them with
// one look at the state.
func (a *activation) releaseChanged() {
	if !a.watched || a.instance == nil {
		return
	}
	p := a.partition
	p.mu.Lock()
	taken := p.held.take(a.address, func(r heldRead) bool { return a.shows(r.delivery.Message.Wait) })
	a.watched = p.held.of(a.address)
	if p.stopped {
		taken = nil
	}
	p.unfinished += len(taken)
	p.mu.Unlock()
	if len(taken) == 0 {
		return
	}
	arrived := int64(p.cfg.Clock.Elapsed())
	shown := a.instance.Decide(&taken[0].Message)
	for _, d := range taken {
		d.Message.Wait = actor.Wait{}
		a.accept(&delivery{Delivery: d, arrived: arrived}, shown)
	}
}

// hold keeps a read. It returns false when there is no room, or the partition hands over.
func (p *partition) hold(d *delivery) bool {
	now := p.cfg.Clock.Elapsed()
	until := now + d.Message.Wait.For
	if d.Left > 0 {
		until = min(until, time.Duration(d.arrived)+d.Left)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.held.count >= heldMax || p.held.ended || until <= now {
		return false
	}
	if p.held.byAddress == nil {
		p.held.byAddress = map[actor.Address][]heldRead{}
	}
	kept, to := d.Delivery, d.Message.Target
	kept.Message.Data = nil // of which a read has no use
	p.held.byAddress[to] = append(p.held.byAddress[to], heldRead{delivery: kept, until: until})
	p.held.count++
	if !p.held.ticking {
		p.held.ticking = true
		p.running.Go(p.watchHeld)
	}
	return true
}

// watchHeld releases reads whose wait is over, for as long as there are any.
func (p *partition) watchHeld() {
	ticker := time.NewTicker(heldTick)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-p.ctx.Done():
			return
		}
		now := p.cfg.Clock.Elapsed()
		p.mu.Lock()
		taken := p.held.takeAll(func(r heldRead) bool { return now >= r.until })
		p.held.ticking = p.held.count > 0
		ticking := p.held.ticking
		p.mu.Unlock()
		p.takeInAgain(taken)
		if !ticking {
			return
		}
	}
}

// releaseAll releases everything, and has nothing held any more: the partition hands over.
func (p *partition) releaseAll() {
	p.mu.Lock()
	p.held.ended = true
	taken := p.held.takeAll(func(heldRead) bool { return true })
	p.mu.Unlock()
	p.takeInAgain(taken)
}

// takeInAgain takes reads in that were held, as if they came now and did not wait.
func (p *partition) takeInAgain(reads []actor.Delivery) {
	for _, d := range reads {
		d.Message.Wait = actor.Wait{}
		p.Direct(d)
	}
}
