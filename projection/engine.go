package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/turns"
)

// Engine runs projections on a node. Make it with [New].
type Engine struct {
	cfg         Config
	store       Storage
	source      Source
	partitions  actor.Partitions
	supervisors []*supervisor
	work        chan struct{} // a place for each transaction
	rebuilds    chan struct{} // the same for rebuilds: fewer
	turns       turns.Turns   // of cautious slots, without Config.Turn

	mu     sync.Mutex
	stream string // the end of the event stream when it was looked at
	last   uint64
	looked time.Time

	indexed map[Place]bool // with all indexes
}

// New returns an engine that runs the projections over the events of a cluster with
// that number of partitions. The error wraps [ErrConfig] and lists every fault.
func New(cfg Config, s Storage, source Source, partitions actor.Partitions, projections ...*Projection) (*Engine, error) {
	faults := []error{cfg.validate()}
	cfg = cfg.withDefaults()
	if !partitions.Valid() {
		faults = append(faults, fmt.Errorf("%d partitions: %w", partitions, ErrConfig))
	}
	names := map[string]bool{}
	for _, p := range projections {
		if names[p.name] {
			faults = append(faults, fmt.Errorf("two projections %s: %w", p.name, ErrConfig))
		}
		names[p.name] = true
		if p.Router() && cfg.Client == nil {
			faults = append(faults, fmt.Errorf("router %s needs a client: %w", p.name, ErrConfig))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, store: s, source: source, partitions: partitions, work: make(chan struct{}, cfg.Parallel), rebuilds: make(chan struct{}, max(cfg.Parallel/2, 1)), turns: turns.New(), indexed: map[Place]bool{}}
	for _, p := range projections {
		e.supervisors = append(e.supervisors, newSupervisor(e, p))
	}
	return e, nil
}

// Load is what an engine knows of a projection that it runs.
type Load struct {
	Partitions int    `json:"partitions"` // that it runs here
	Lag        uint64 `json:"lag"`        // events of the stream behind the oldest that is not applied
	Waiting    int    `json:"waiting"`    // events read and not applied
	Parked     int    `json:"parked"`     // aggregates whose events wait, since one failed
	Stuck      int    `json:"stuck"`      // those of them that wait for an operator
}

// Load returns how the projections do that run on this node, by name.
func (e *Engine) Load() map[string]Load {
	all := make(map[string]Load, len(e.supervisors))
	for _, s := range e.supervisors {
		if l := s.load(); l.Partitions > 0 {
			all[s.projection.name] = l
		}
	}
	return all
}

// Poke has the engine look at once at what it owns and at what operators want. It
// does not block.
func (e *Engine) Poke() {
	for _, s := range e.supervisors {
		select {
		case s.poked <- struct{}{}:
		default:
		}
	}
}

// Run runs the projections until ctx ends, and returns when everything has stopped.
// It may be called once. Projections that nobody has registered it registers first,
// see [Engine.Register].
func (e *Engine) Run(ctx context.Context) error {
	e.registerAll(ctx)
	var running sync.WaitGroup
	for _, s := range e.supervisors {
		running.Go(func() { s.run(ctx) })
	}
	running.Wait()
	return nil
}

// headFor is how long a look at the end of the event stream is good enough for
// measurements.
const headFor = 900 * time.Millisecond

// head is the end of the event stream, of a moment ago at most.
func (e *Engine) head(ctx context.Context) (stream string, last uint64, err error) {
	e.mu.Lock()
	stream, last = e.stream, e.last
	fresh := !e.looked.IsZero() && time.Since(e.looked) < headFor
	e.mu.Unlock()
	if fresh {
		return stream, last, nil
	}
	if stream, last, err = e.source.EventsHead(ctx); err != nil {
		return "", 0, fmt.Errorf("head of the event stream: %w", err)
	}
	e.mu.Lock()
	e.stream, e.last, e.looked = stream, last, time.Now()
	e.mu.Unlock()
	return stream, last, nil
}

// slots returns in how many parts a projection is run.
func (e *Engine) slots(p *Projection) uint32 {
	if p.singleton {
		return 1
	}
	return uint32(e.partitions)
}

// owned returns the slots that this node is to run, sorted.
func (e *Engine) owned(p *Projection) []slotID {
	serving := e.serving()
	if p.singleton {
		if slices.Contains(serving, 0) {
			return []slotID{0}
		}
		return nil
	}
	ids := make([]slotID, len(serving))
	for i, partition := range serving {
		ids[i] = slotID(partition)
	}
	slices.Sort(ids)
	return ids
}

func (e *Engine) serving() []actor.Partition {
	if e.cfg.Serving != nil {
		return e.cfg.Serving()
	}
	all := make([]actor.Partition, e.partitions)
	for i := range all {
		all[i] = actor.Partition(i) //nolint:gosec // below the number of partitions
	}
	return all
}
