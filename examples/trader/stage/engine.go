package stage

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
	"github.com/ganglion-go/ganglion/store"
)

// Pace.
const (
	tickEvery  = 500 * time.Millisecond // between two snapshots while somebody looks
	watchedFor = 5 * time.Second        // after a look somebody still looks
	staleAfter = 2 * time.Second
	heavyEvery = 2 // ticks between two samples of nodes and partitions
	slowEvery  = 4 // and of servers

	// FaultMax is how long a pause or a cut lasts at most.
	FaultMax = 20 * time.Second
	// LoadMax is how long the load runs at most before somebody has to start it again.
	LoadMax = time.Hour
	// RateMax is the highest rate of the load, in orders a second.
	RateMax = 100
)

// Engine is behind the page. Make it with [New], and have [Engine.Run] run.
type Engine struct {
	cfg      Config
	sampler  *sampler
	set      *replicaSet // nil: the store is JetStream
	evidence *evidence
	journal  *journal
	trading  *trading
	rivals   *comparison
	stopping chan struct{}
	work     sync.WaitGroup // what [Engine.Run] waits for
	acting   sync.Mutex     // one action at a time
	checking sync.Mutex     // one check at a time
	taking   sync.Mutex     // one sample at a time
	ticks    int            // of samples, under taking

	mu       sync.Mutex
	life     context.Context //nolint:containedctx // of Run, for what actions begin; nil: it does not run
	store    store.Store     // nil: not open
	closing  func()
	newest   page.Snapshot
	changed  chan struct{}
	looked   time.Time
	sample   sample
	verdict  page.Verdict
	outcome  *page.Outcome
	tour     tour
	auditing bool
	states   map[string]state
	until    map[string]time.Time // pauses and cuts end
	drains   map[string]int       // PIDs of nodes that drain
	fault    *fault               // whose check has not been made
	follows  bool                 // the feed is followed
}

var _ page.Engine = (*Engine)(nil)

// state is a part's, and since when.
type state struct {
	name  string
	since time.Time
}

// New returns an engine.
func New(cfg Config) *Engine {
	e := &Engine{
		cfg: cfg, sampler: newSampler(), evidence: newEvidence(), journal: &journal{}, stopping: make(chan struct{}),
		changed: make(chan struct{}), states: map[string]state{}, until: map[string]time.Time{}, drains: map[string]int{},
	}
	e.trading = newTrading(e)
	e.rivals = newComparison(e)
	e.tour.begin(time.Now(), 0)
	if cfg.MongoURI != "" {
		set, err := openReplicaSet(cfg.MongoURI)
		if err == nil {
			e.set = set
		} else {
			e.journal.note(kindWrong, "the replica set cannot be asked: %v", err)
		}
	}
	return e
}

// Run measures, and carries out what was begun, until ctx ends. Then it ends the load,
// pauses and cuts, and waits for all that it has begun.
func (e *Engine) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	e.mu.Lock()
	e.life = ctx
	e.mu.Unlock()
	e.begin(ctx)
	e.loop(ctx)
	close(e.stopping)
	e.mu.Lock()
	e.life = nil
	e.mu.Unlock()
	cancel()
	e.trading.stop()
	e.work.Wait()
	for _, p := range e.cfg.Machine.Parts() {
		if p.Paused {
			_ = e.cfg.Machine.Resume(p.Name)
		}
		if p.Cut {
			_ = e.cfg.Machine.Cut(p.Name, false)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing != nil {
		e.closing()
	}
	if e.set != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), mongoMax)
		defer cancel()
		e.set.close(closing)
	}
}

func (e *Engine) begin(ctx context.Context) {
	e.journal.note(kindPlain, "the stage is open, %d parts run", len(e.cfg.Machine.Parts()))
	e.measure(ctx)
}

func (e *Engine) loop(ctx context.Context) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		e.endFaults()
		if e.busy() {
			e.measure(ctx)
		}
	}
}

// busy reports whether somebody looks, or something happens.
func (e *Engine) busy() bool {
	if e.trading.running() || e.rivals.running() {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return time.Since(e.looked) < watchedFor || e.auditing || e.fault != nil
}

// measure takes a sample and publishes a snapshot.
func (e *Engine) measure(ctx context.Context) {
	e.taking.Lock()
	defer e.taking.Unlock()
	s := e.take(ctx, e.ticks)
	e.ticks++
	e.tour.look(e)
	snapshot := e.compose(s)
	e.mu.Lock()
	e.newest = snapshot
	changed := e.changed
	e.changed = make(chan struct{})
	e.mu.Unlock()
	close(changed)
}

// Snapshot implements [page.Engine]. One that nobody has looked at for a while is
// made anew, which takes as long as the slowest part takes to answer, and is bounded.
func (e *Engine) Snapshot() page.Snapshot {
	e.mu.Lock()
	e.looked = time.Now()
	shot, life := e.newest, e.life
	e.mu.Unlock()
	if life == nil || time.Since(shot.Time) < staleAfter {
		return shot
	}
	e.refresh(life)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.newest
}

// refresh makes a snapshot of everything now.
func (e *Engine) refresh(ctx context.Context) {
	e.taking.Lock()
	e.ticks = 0
	e.taking.Unlock()
	e.measure(ctx)
}

// Changed implements [page.Engine].
func (e *Engine) Changed() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.looked = time.Now()
	return e.changed
}

// Stopping implements [page.Engine].
func (e *Engine) Stopping() <-chan struct{} { return e.stopping }

// begun runs something for as long as the engine runs. It returns false when that is over.
func (e *Engine) begun(do func(ctx context.Context)) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.life == nil {
		return false
	}
	ctx := e.life
	e.work.Go(func() { do(ctx) })
	return true
}

// opened returns the store, and opens it the first time.
func (e *Engine) opened(ctx context.Context) (store.Store, error) {
	e.mu.Lock()
	s := e.store
	e.mu.Unlock()
	if s != nil {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(ctx, openMax)
	defer cancel()
	s, closing, err := e.cfg.Machine.OpenStore(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.store != nil { // somebody else was first
		closing()
		return e.store, nil
	}
	e.store, e.closing = s, closing
	return s, nil
}

const openMax = 15 * time.Second

// part returns a part as it is now.
func (e *Engine) part(name string) Part {
	for _, p := range e.cfg.Machine.Parts() {
		if p.Name == name {
			return p
		}
	}
	return Part{Name: name}
}

// endFaults ends pauses and cuts that have lasted long enough.
func (e *Engine) endFaults() {
	now := time.Now()
	for _, p := range e.cfg.Machine.Parts() {
		e.mu.Lock()
		until, ok := e.until[p.Name]
		over := ok && now.After(until)
		if over || ok && !p.Paused && !p.Cut {
			delete(e.until, p.Name)
		}
		e.mu.Unlock()
		if over {
			e.restore(p, "by itself")
		}
	}
}

// restore ends a pause or a cut.
func (e *Engine) restore(p Part, how string) {
	if p.Paused && e.cfg.Machine.Resume(p.Name) == nil {
		e.journal.note(kindPlain, "%s goes on, %s", p.Name, how)
	}
	if p.Cut && e.cfg.Machine.Cut(p.Name, false) == nil {
		e.journal.note(kindPlain, "%s is connected again, %s", p.Name, how)
	}
}
