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
	cfg    placement.Config
	clock  Clock
	lease  *lease
	wake   chan struct{}  // capacity 1: look at the store now
	news   chan struct{}  // capacity 1: plan now, upon what was heard
	moving sync.WaitGroup // takings, hand-overs and releases under way

	mu      sync.Mutex
	machine *placement.Machine
	changed chan struct{} // closed and replaced when something was told
}

func newPlacer(in *incarnation) *placer {
	cfg := placement.Defaults(in.cfg.Lease, int(in.bus.Partitions()))
	cfg.Sole = in.cfg.SoleStore
	if in.cfg.Alone {
		cfg.ClaimMax = cfg.Partitions // nobody is there to leave something to
	}
	return &placer{
		cfg: cfg, clock: in.cfg.Clock, lease: in.lease,
		wake:    make(chan struct{}, 1),
		news:    make(chan struct{}, 1),
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

func (p *placer) renewed(sent time.Duration, wrote store.Session) {
	news := false
	p.tell(func(m *placement.Machine, now time.Duration) {
		before := m.Told()
		m.Renewed(now, sent, wrote)
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

func (p *placer) plan() placement.Plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	plan := p.machine.Plan(p.clock.Elapsed())
	p.wakeLocked() // time has passed for the machine
	return plan
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

// toTell returns what the next renewal is to write.
func (p *placer) toTell() (draining, cut bool, lacks []store.Lack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.machine.Draining(), p.machine.CutOff(), p.machine.Lacks()
}

// known reports whether another live node lists a kind.
func (p *placer) known(kind string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.machine.Known(kind)
}

// askedLooks bounds how often the store is read because somebody asks for it, in
// readings within the time in which it is read once anyhow.
const askedLooks = 8

// awaitLook waits for a reading of the store that began after a time. soon:
// it is asked for, otherwise it comes as it comes.
func (p *placer) awaitLook(ctx context.Context, since time.Duration, soon bool) error {
	pace := p.cfg.Look / askedLooks
	next := since
	for {
		p.mu.Lock()
		seen, last, changed := p.machine.SeenSince(since), p.machine.LookedAt(), p.changed
		p.mu.Unlock()
		if seen {
			return nil
		}
		var due <-chan time.Time
		if soon {
			now := p.clock.Elapsed()
			if next = max(next, last+pace); now >= next {
				p.lookNow()
				next = now + pace
			}
			due = time.After(next - now)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		case <-due:
		}
	}
}

// lookNow has the rounds begin the next one at once.
func (p *placer) lookNow() { wakeUp(p.wake) }

// planNow has them begin one without reading the store.
func (p *placer) planNow() { wakeUp(p.news) }

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
