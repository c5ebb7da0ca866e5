package projection

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ganglion-go/ganglion/actor"
)

// Engine runs projections on a node. Make it with [New].
type Engine struct {
	cfg         Config
	store       Storage
	source      Source
	partitions  actor.Partitions
	projections []*Projection
	work        chan struct{} // a slot for each transaction
	poked       chan struct{} // capacity 1

	mu    sync.Mutex
	loads map[string]Load
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
	return &Engine{
		cfg: cfg, store: s, source: source, partitions: partitions, projections: projections,
		work: make(chan struct{}, cfg.Parallel), poked: make(chan struct{}, 1), loads: map[string]Load{},
	}, nil
}

// Load is what an engine knows of a projection that it runs.
type Load struct {
	Partitions int    // that it runs here
	Lag        uint64 // events of the stream behind the oldest that is not applied
	Waiting    int    // events read and not applied
}

// Load returns how the projections do that run on this node, by name.
func (e *Engine) Load() map[string]Load {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make(map[string]Load, len(e.loads))
	for name, l := range e.loads {
		all[name] = l
	}
	return all
}

// Poke has the engine look at once at what it owns. It does not block.
func (e *Engine) Poke() {
	select {
	case e.poked <- struct{}{}:
	default:
	}
}

// Run runs the projections until ctx ends, and returns when everything has stopped.
// It may be called once.
func (e *Engine) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, p := range e.projections {
		running.Go(func() { (&supervisor{engine: e, projection: p}).run(ctx) })
	}
	running.Wait()
	return nil
}
