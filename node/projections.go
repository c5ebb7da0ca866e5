package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/projection"
	projectionjetstream "github.com/ganglion-go/ganglion/projection/jetstream"
	projectionmongo "github.com/ganglion-go/ganglion/projection/mongo"
	"github.com/ganglion-go/ganglion/runtime"
)

// projections runs the node's read models, and the routers of its sagas and policies.
// They are kept where the commits are.
type projections struct {
	storage projection.Storage
	all     []*projection.Projection // routers included
	engine  *projection.Engine
	control *projection.Control
	views   *views
}

// openProjections does nothing for a node that has none.
func (n *Node) openProjections(ctx context.Context, definitions []actor.Registrable) error {
	all := slices.Clone(n.cfg.Projections)
	for _, d := range definitions {
		start := projection.FromBeginning
		if slices.Contains(n.cfg.FromNow, d.Behavior().Kind()) {
			start = projection.FromNow
		}
		if reactor, ok := projection.NewReactor(d, start); ok {
			all = append(all, reactor)
		}
	}
	if len(all) == 0 {
		return nil
	}
	storage, err := n.projectionStorage(ctx)
	if err != nil {
		return err
	}
	limits := n.cfg.ProjectionLimits
	limits.Serving, limits.Claims, limits.Client = n.serving, n.claims, n.internal
	limits.Turn, limits.Acquit = n.runtime.Turn, n.acquit
	limits.Logger, limits.Listener, limits.Now = n.cfg.Logger, n.figures.projectionListener(n.metrics.projectionListener()), nil
	engine, err := projection.New(limits, storage, n.bus, n.bus.Partitions(), all...)
	if err != nil {
		return errors.Join(err, ErrConfig)
	}
	if err := engine.Register(ctx); err != nil { // what is new to them begins before anybody is answered
		return fmt.Errorf("register projections: %w", err)
	}
	p := &projections{
		storage: storage, all: all, engine: engine, control: projection.NewControl(storage, n.bus, all...),
		views: newViews(storage, n.cfg.Projections),
	}
	n.projections = p
	return nil
}

func (n *Node) projectionStorage(ctx context.Context) (projection.Storage, error) {
	if n.cfg.embeddedStore() {
		cfg := projectionjetstream.Config{Namespace: n.cfg.Namespace, Replicas: n.cfg.Replicas}
		if n.cfg.Replicas > 1 {
			cfg.Timeout = replicatedTimeout
		}
		s, err := projectionjetstream.Open(ctx, n.conn, cfg)
		if err != nil {
			return nil, fmt.Errorf("open JetStream storage of projections: %w", err)
		}
		return s, nil
	}
	s, err := projectionmongo.Open(n.cfg.MongoURI, projectionmongo.Config{
		Database: n.cfg.MongoDatabase, Dial: n.cfg.Dial,
		AllowDirect: true, // the store has seen that there is one member only
	})
	if err != nil {
		return nil, fmt.Errorf("open MongoDB storage of projections: %w", err)
	}
	n.onClose(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = s.Close(ctx)
	})
	return s, nil
}

// serving returns the partitions that the node owns at this moment.
func (n *Node) serving() []actor.Partition {
	status := n.runtime.Status()
	if !status.LeaseValid {
		return nil
	}
	owned := make([]actor.Partition, len(status.Partitions))
	for i := range status.Partitions {
		owned[i] = status.Partitions[i].Partition
	}
	return owned
}

// claims returns how the node came to own its partitions.
func (n *Node) claims() map[actor.Partition]projection.Claim {
	status := n.runtime.Status()
	all := make(map[actor.Partition]projection.Claim, len(status.Partitions))
	by := projection.Death{Node: status.Name, Session: status.Incarnation}
	for i := range status.Partitions {
		p := &status.Partitions[i]
		all[p.Partition] = projection.Claim{Epoch: p.Epoch, Orphan: p.Orphan, By: by}
	}
	return all
}

// acquit returns those of the deaths under an event's name that were none.
func (n *Node) acquit(ctx context.Context, p actor.Partition, deaths []projection.Death, condemns int) (lived []projection.Death, err error) {
	asked := make([]runtime.Death, len(deaths))
	for i, d := range deaths {
		asked[i] = runtime.Death(d)
	}
	found, err := n.runtime.Acquit(ctx, p, asked, condemns)
	for _, d := range found {
		lived = append(lived, projection.Death(d))
	}
	return lived, err
}

// pokeProjections has the engine look at what the node owns now.
func (n *Node) pokeProjections() {
	if n.projections != nil {
		n.projections.engine.Poke()
	}
}

func (p *projections) run(ctx context.Context) {
	var parts sync.WaitGroup
	parts.Go(func() { _ = p.engine.Run(ctx) })
	parts.Go(func() { p.views.hubs.run(ctx) })
	parts.Wait()
}

// View returns the view of one of the node's projections, which reads what any node
// of the cluster has applied. It panics for another one.
func (n *Node) View(p *projection.Projection) *projection.View {
	n.mustRun(p)
	return projection.NewView(n.projections.storage, p)
}

// Subscribe tells of changes of the view of one of the node's projections while the
// node runs, see [projection.Hub.Subscribe]. It panics for another one.
func (n *Node) Subscribe(p *projection.Projection, i projection.Interest) (notices <-chan projection.Notice, stop func(), err error) {
	n.mustRun(p)
	return n.projections.views.hubs.of(n.View(p)).Subscribe(i) //nolint:wrapcheck // it names what failed
}

// Projections returns the control of the node's projections; nil: it has none.
func (n *Node) Projections() *projection.Control {
	if n.projections == nil {
		return nil
	}
	return n.projections.control
}

func (n *Node) mustRun(p *projection.Projection) {
	if n.projections == nil || n.projections.views.own[p.Name()] != p {
		panic(fmt.Sprintf("node: projection %s is not among Config.Projections", p.Name()))
	}
}
