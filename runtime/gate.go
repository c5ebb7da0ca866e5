package runtime

import (
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// gate lets answers out while the lease is valid and keeps them otherwise,
// until a renewal has succeeded. An answer that was kept is still true then:
// had another node taken the partition in between, it would first have declared
// this session dead, the renewal would have failed, and close would have
// dropped what was kept.
//
// With a verifier the lease has no say: each answer waits for the store's word.
type gate struct {
	lease    *lease
	clock    Clock
	listener *EventListener
	verifier *verifier // nil: by lease

	mu     sync.Mutex
	closed bool
	kept   []answer
}

// keptMax bounds the answers that wait for the lease. Callers of those beyond
// it get no answer, and ask again.
const keptMax = 1 << 16

// answer is an outcome on its way to the caller.
type answer struct {
	delivery *delivery
	outcome  actor.Outcome
	recalled bool // the outcome is that of an earlier delivery of the same command
}

func (g *gate) release(a answer) {
	if g.verifier != nil {
		g.verifier.add(a)
		return
	}
	now := g.clock.Elapsed()
	if g.lease.validAt(now) || !g.keep(a) {
		g.send(a, now)
	}
}

// keep takes the answer in, or drops it, unless the lease has been renewed
// since it was found lapsed: reopened may have run in between, and nobody would
// come for what is kept after it until the next renewal.
func (g *gate) keep(a answer) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed && g.lease.valid() {
		return false
	}
	if !g.closed && len(g.kept) < keptMax {
		g.kept = append(g.kept, a)
	}
	return true
}

// send lets an answer out at a time of the clock, which costs as much as a tenth of a read.
func (g *gate) send(a answer, now time.Duration) {
	m := &a.delivery.Message
	if a.delivery.Responder != nil {
		a.delivery.Responder.Respond(a.outcome)
	}
	if g.listener.Decided != nil {
		g.listener.Decided(m, a.outcome.Code, now-time.Duration(a.delivery.arrived))
	}
}

// reopened sends what was kept, after a renewal.
func (g *gate) reopened() {
	g.mu.Lock()
	kept := g.kept
	g.kept = nil
	g.mu.Unlock()
	for _, a := range kept {
		g.release(a)
	}
}

// close drops what is kept and keeps nothing more.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed, g.kept = true, nil
	if g.verifier != nil {
		g.verifier.close()
	}
}
