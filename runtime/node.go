package runtime

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/turns"
	"github.com/ganglion-go/ganglion/store"
)

// Node serves aggregates. Make it with [New], run it with [Node.Run].
type Node struct {
	cfg        Config
	store      store.Store
	bus        Bus
	behaviors  map[actor.Kind]*actor.Behavior
	hybrid     *hybridClock
	contact    *contact
	performers *performers

	stop    context.CancelCauseFunc
	ctx     context.Context //nolint:containedctx // the life of the node, which outlives every call
	stopped chan struct{}   // closed when Run has returned
	turns   turns.Turns     // of what is done that may kill the process

	mu       sync.Mutex
	running  bool
	cordoned bool // incarnations take no partitions any more
	draining bool // no incarnation is started any more
	current  *incarnation
	process  string // of all incarnations
	lives    int    // incarnations that were begun
}

// New returns a node that serves the given definitions from a store and a bus,
// which stay the caller's to close, after the node. The error wraps [ErrConfig]
// and lists every fault.
func New(cfg Config, s store.Store, bus Bus, definitions ...actor.Registrable) (*Node, error) {
	faults := []error{cfg.validate()}
	n := &Node{cfg: cfg.withDefaults(), store: s, bus: bus, behaviors: map[actor.Kind]*actor.Behavior{}, stopped: make(chan struct{}), turns: turns.New(), process: rand.Text()}
	for _, d := range definitions {
		b := d.Behavior()
		if n.behaviors[b.Kind()] != nil {
			faults = append(faults, fmt.Errorf("two definitions of %s: %w", b.Kind(), ErrConfig))
		}
		n.behaviors[b.Kind()] = b
	}
	if len(definitions) == 0 {
		faults = append(faults, fmt.Errorf("no definition: %w", ErrConfig))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	n.contact = &contact{node: n}
	n.hybrid = &hybridClock{wall: n.cfg.Clock}
	n.ctx, n.stop = context.WithCancelCause(context.Background()) //nolint:forbidigo // ends with Close
	var err error
	if n.performers, err = newPerformers(n.ctx, &n.cfg); err != nil {
		n.stop(ErrClosed)
		return nil, err
	}
	return n, nil
}

func (n *Node) kinds() []string {
	kinds := make([]string, 0, len(n.behaviors))
	for k := range n.behaviors {
		kinds = append(kinds, string(k))
	}
	slices.Sort(kinds)
	return kinds
}

// Run serves until Shutdown, Close or the end of ctx, which cuts as Close does.
// It returns nil after those, and otherwise why the node cannot go on:
// [ErrNameInUse] or [ErrKindsDiffer]. It may be called once.
func (n *Node) Run(ctx context.Context) error {
	n.mu.Lock()
	if n.running {
		n.mu.Unlock()
		return ErrClosed
	}
	n.running = true
	n.mu.Unlock()
	defer close(n.stopped)
	defer n.performers.close()
	defer context.AfterFunc(ctx, func() { n.stop(ErrClosed) })()
	n.logUnkept(ctx)
	n.logUnhandled(ctx)
	defer n.keepContact()()
	defer n.keepEffects()()
	for n.ctx.Err() == nil {
		in := n.begin()
		if in == nil {
			return nil
		}
		err := in.live()
		switch {
		case n.ctx.Err() != nil:
			return nil
		case !errors.Is(err, errSessionLost):
			return err
		}
		n.cfg.Logger.WarnContext(ctx, "session lost, starting as a new incarnation", "node", n.cfg.Name)
	}
	return nil
}

// keepContact begins to ask messaging for answers. The function that it returns ends that.
func (n *Node) keepContact() (end func()) {
	if n.cfg.Reach == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(n.ctx)
	var asking sync.WaitGroup
	asking.Go(func() { n.contact.run(ctx) })
	return func() {
		cancel()
		asking.Wait()
	}
}

// keepEffects begins to look which effects are paused, and which have lost their owner. The function that it returns ends that.
func (n *Node) keepEffects() (end func()) {
	ctx, cancel := context.WithCancel(n.ctx)
	var looking sync.WaitGroup
	looking.Go(func() { n.performers.watchPauses(ctx, n.store) })
	looking.Go(func() { n.performers.callOrphans(ctx, n.bus.Partitions()) })
	return func() {
		cancel()
		looking.Wait()
	}
}

// logUnkept names the kinds whose aggregates are replayed from their beginning for ever.
func (n *Node) logUnkept(ctx context.Context) {
	for _, kind := range n.kinds() {
		if err := n.behaviors[actor.Kind(kind)].WithoutSnapshots(); err != nil {
			n.cfg.Logger.WarnContext(ctx, "no snapshots: JSON cannot hold the state, every load replays the whole history",
				"kind", kind, "error", err)
		}
	}
}

// begin makes the next incarnation, unless the node is being drained: a session
// that is lost meanwhile must not bring the node back to life.
func (n *Node) begin() *incarnation {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.draining {
		return nil
	}
	var lacks []store.Lack
	if n.current != nil {
		_, _, lacks = n.current.placer.toTell()
	}
	n.current = newIncarnation(n.ctx, n, lacks)
	if n.cordoned {
		n.current.cordonSoon()
	}
	if n.contact.cut.Load() {
		n.current.setCut(true)
	}
	return n.current
}

// HandOver takes no more partitions, and returns when other nodes have been
// handed those that the node has, as long as there are other nodes. It goes on
// with whatever it has kept until Shutdown or Close, which come next. When ctx
// ends first the error says so, and the hand-over goes on.
func (n *Node) HandOver(ctx context.Context) error {
	n.mu.Lock()
	n.cordoned = true
	in := n.current
	n.mu.Unlock()
	if in == nil {
		return nil
	}
	return in.cordon(ctx)
}

// Shutdown drains the node and returns when it has stopped: nothing new is taken
// in, what was taken in is finished, partitions and session are given back.
// When ctx ends first, the rest is cut as by Close, and the error says so. A
// second call waits for the first one.
func (n *Node) Shutdown(ctx context.Context) error {
	n.mu.Lock()
	again := n.draining
	n.draining = true
	in := n.current
	n.mu.Unlock()
	if in == nil {
		return n.Close()
	}
	if again {
		select {
		case <-n.stopped:
			return nil
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), n.Close())
		}
	}
	drained := in.drain(ctx)
	return errors.Join(drained, n.Close(), in.end(ctx))
}

// Close stops the node at once and returns when it has stopped. Whatever was not
// answered is left to callers' retries. It is idempotent.
func (n *Node) Close() error {
	n.stop(ErrClosed)
	n.mu.Lock()
	running := n.running
	n.mu.Unlock()
	if running {
		<-n.stopped
	}
	return nil
}

func (n *Node) incarnation() *incarnation {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.current
}

// Turn waits for the turn of something that may end the process, and that was named first.
// With alone, as processes have died under its name, nothing else that may do so runs until
// release is called, which is to happen soon; otherwise others that are not alone may. It
// ends with the cause of ctx.
func (n *Node) Turn(ctx context.Context, alone bool) (release func(), err error) {
	return n.turns.Take(ctx, alone)
}

// Acquit returns those of the deaths that were none, as far as can be told now: the process
// was seen again. While as many as condemns are left and the nodes of some were not seen yet,
// it waits until the node has had the partition for 10 s. It ends with the cause of ctx, or
// with an error of the store.
func (n *Node) Acquit(ctx context.Context, id actor.Partition, deaths []Death, condemns int) (lived []Death, err error) {
	until := n.cfg.Clock.Elapsed()
	if in := n.incarnation(); in != nil {
		if p := in.partition(id); p != nil {
			until = p.taken + alibiWithin
		}
	}
	return alibis(ctx, n.cfg.Clock, until, deaths, condemns, func() ([]store.Session, error) {
		ctx, cancel := context.WithTimeout(ctx, n.cfg.WriteTimeout)
		defer cancel()
		return n.store.Sessions(ctx)
	})
}

// Status is what a node knows of itself.
type Status struct {
	Name        string
	Incarnation string
	LeaseValid  bool
	Draining    bool // takes no more partitions
	Cut         bool // no messages reach it: connected nodes get its partitions
	Partitions  []PartitionStatus
	Activations int64
	MemoryBytes int64 // estimate
	MemoryMax   int64 // its budget: Config.MaxBytes

	Struggling       int // aggregates here that stand still: the store has failed 8 or more of their loads or writes in a row
	SnapshotsFailing int // aggregates here whose newest snapshot could not be taken or saved

	Skews map[string]time.Duration // by how much the clocks of other nodes are ahead of this one's, at the least, by name; less than 0: behind

	Relaying    bool          // this node brings out what is committed
	RelayBehind time.Duration // age of the oldest commit that it knows of and has not brought out

	RelayStanding      bool // it brings out nothing: RelayStatus.Standing
	RelayHeldTargets   int  // aggregates that nothing is sent to: RelayStatus.HeldTargets
	RelayHeldHistories int  // aggregates whose events wait: RelayStatus.HeldHistories
}

// PartitionStatus is one partition that the node serves.
type PartitionStatus struct {
	Partition  actor.Partition
	Epoch      uint64
	Orphan     bool   // its owner before has not released it, and its process was not seen since
	Watermark  uint64 // sequence up to which all durable commands are finished
	Unfinished int    // messages of both lanes in the node
	Durable    int    // those of the durable lane

	AwaitingParking int // commands that stand still, as no more can be parked: Config.ParkedMax
}

// Holds reports whether the node holds a partition at this moment.
func (n *Node) Holds(p actor.Partition) bool {
	in := n.incarnation()
	if in == nil {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.partitions[p] != nil
}

// Status returns the node's state at this moment.
func (n *Node) Status() Status {
	s := Status{Name: n.cfg.Name}
	in := n.incarnation()
	if in == nil {
		return s
	}
	s.Incarnation, s.LeaseValid, s.Draining = in.session.Incarnation, in.lease.valid(), in.placer.draining()
	s.Cut, s.Skews = n.contact.cut.Load(), in.skews.known()
	s.Activations, s.MemoryBytes = in.memory.count.Load(), in.memory.bytes.Load()
	s.Struggling = int(in.memory.struggles.count.Load())
	s.MemoryMax, s.SnapshotsFailing = n.cfg.MaxBytes, in.snapshots.count()
	for _, p := range in.served() {
		p.mu.Lock()
		s.Partitions = append(s.Partitions, PartitionStatus{
			Partition: p.id, Epoch: p.claim.Epoch, Orphan: p.orphan, Watermark: p.tracker.watermark, Unfinished: p.unfinished, Durable: p.tracker.open(),
			AwaitingParking: p.awaitingRoom,
		})
		if p.relayed != nil {
			s.relay(p.relayed.Status())
		}
		p.mu.Unlock()
	}
	return s
}

// relay notes what the relay, which is beside the last partition of the list, says of itself.
func (s *Status) relay(r RelayStatus) {
	s.Relaying, s.RelayBehind, s.RelayStanding = true, r.Behind, r.Standing
	s.RelayHeldTargets, s.RelayHeldHistories = r.HeldTargets, r.HeldHistories
	if r.AwaitingRoom {
		s.Partitions[len(s.Partitions)-1].AwaitingParking++
	}
}

// AwaitServing waits until the node holds a valid lease and serves at least the
// given number of partitions, or ctx ends.
func (n *Node) AwaitServing(ctx context.Context, partitions int) error {
	for {
		if s := n.Status(); s.LeaseValid && len(s.Partitions) >= partitions {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("await %d partitions: %w", partitions, context.Cause(ctx))
		case <-n.stopped:
			return ErrClosed
		case <-n.ctx.Done():
			return ErrClosed
		case <-time.After(5 * time.Millisecond):
		}
	}
}
