package runtime

import (
	"context"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/store"
)

// placer is the machine that decides who should have what, for those who run at
// the same time: the renewals, the rounds of placement, and what is handed over.
type placer struct {
	cfg     placement.Config
	clock   Clock
	lease   *lease
	wake    chan struct{}  // capacity 1: look at the store now
	leaving sync.WaitGroup // hand-overs under way; grows in rounds only

	mu      sync.Mutex
	machine *placement.Machine
	changed chan struct{} // closed and replaced when something was told
}

func newPlacer(in *incarnation) *placer {
	cfg := placement.Defaults(in.cfg.Lease, int(in.bus.Partitions()))
	if in.cfg.Alone {
		cfg.ClaimMax = cfg.Partitions // nobody is there to leave something to
	}
	return &placer{
		cfg: cfg, clock: in.cfg.Clock, lease: in.lease,
		wake:    make(chan struct{}, 1),
		machine: placement.New(cfg, in.session, in.cfg.Alone),
		changed: make(chan struct{}),
	}
}

// tell brings something to the machine.
func (p *placer) tell(what func(m *placement.Machine, now time.Duration)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	what(p.machine, p.clock.Elapsed())
	p.lease.set(p.machine.AnswersUntil())
	p.wakeLocked()
}

func (p *placer) renewed(sent time.Duration, draining bool) {
	news := false
	p.tell(func(m *placement.Machine, now time.Duration) {
		before := m.Told()
		m.Renewed(now, sent, draining)
		news = m.Told() != before
	})
	if news {
		p.lookNow()
	}
}

func (p *placer) lost() { p.tell(func(m *placement.Machine, _ time.Duration) { m.Lost() }) }

func (p *placer) left(id store.Partition) {
	p.tell(func(m *placement.Machine, now time.Duration) { m.Left(now, id) })
}

func (p *placer) took(id store.Partition) {
	p.tell(func(m *placement.Machine, _ time.Duration) { m.Took(id) })
}

func (p *placer) plan() (plan placement.Plan, now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now = p.clock.Elapsed()
	plan = p.machine.Plan(now)
	p.wakeLocked() // time has passed for the machine
	return plan, now
}

// wakeLocked has those look again who wait for a state of the machine.
func (p *placer) wakeLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *placer) draining() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.machine.Draining()
}

// lookNow has the rounds begin the next one at once.
func (p *placer) lookNow() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// await waits until the machine is in a state.
func (p *placer) await(ctx, life context.Context, holds func(m *placement.Machine) bool) error {
	for {
		p.mu.Lock()
		ok, changed := holds(p.machine), p.changed
		p.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-life.Done():
			return context.Cause(life)
		case <-changed:
		}
	}
}
