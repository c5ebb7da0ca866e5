package node

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	goruntime "runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node/internal/dashboard"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/runtime"
)

const (
	// figuresFresh is for how long an answer is given again: any number of dashboards may ask.
	figuresFresh = 500 * time.Millisecond
	// figuresPing bounds the question to the store in it. Whoever asks waits for askTimeout.
	figuresPing = 250 * time.Millisecond

	// Bounds of an answer. NATS carries 1 MiB if nobody changes that; of less, half.
	commandsTold    = 1200
	kindsTold       = 500
	projectionsTold = 300
	effectsTold     = 300
	figuresBytes    = 700 << 10
)

// figures are what this node says of itself to dashboards, its own among them. It is safe for
// concurrent use.
type figures struct {
	node     *Node
	messages *messageFigures
	kinds    []actor.Kind
	of       map[actor.Kind]*kindCounts // not changed
	process  string
	begin    time.Time

	projections sync.Map // name to *projectionNotes

	mu   sync.Mutex
	at   time.Time
	last *dashboard.Figures
	json json.RawMessage
}

// kindCounts count what became of a kind's aggregates.
type kindCounts struct{ loaded, passivated, parked atomic.Uint64 }

// projectionNotes are what the engine reports of a projection.
type projectionNotes struct {
	applied, failures atomic.Uint64
	age               atomic.Int64 // a time.Duration
	failed            atomic.Pointer[failureNote]
}

type failureNote struct {
	text string
	at   time.Time
}

func newFigures(n *Node, definitions []actor.Registrable) *figures {
	f := &figures{
		node: n, messages: n.metrics.messageFigures(definitions), of: map[actor.Kind]*kindCounts{},
		process: rand.Text(), begin: n.start.begin,
	}
	for kind := range behaviorsOf(definitions) {
		f.of[kind] = &kindCounts{}
		f.kinds = append(f.kinds, kind)
	}
	slices.Sort(f.kinds)
	return f
}

// listen has a listener of the runtime feed the figures, too.
func (f *figures) listen(l *runtime.EventListener) {
	decided, loaded, passivated, parked := l.Decided, l.Loaded, l.Passivated, l.Parked
	l.Decided = func(m *actor.Message, code actor.Code, latency time.Duration) {
		decided(m, code, latency)
		f.messages.decided(m, code, latency)
	}
	l.Loaded = func(kind actor.Kind, events int, took time.Duration) {
		loaded(kind, events, took)
		if c := f.of[kind]; c != nil {
			c.loaded.Add(1)
		}
	}
	l.Passivated = func(kind actor.Kind, reason runtime.PassivationReason) {
		passivated(kind, reason)
		if c := f.of[kind]; c != nil {
			c.passivated.Add(1)
		}
	}
	l.Parked = func(kind actor.Kind) {
		parked(kind)
		if c := f.of[kind]; c != nil {
			c.parked.Add(1)
		}
	}
}

// notes are those of a projection.
func (f *figures) notes(name string) *projectionNotes {
	v, ok := f.projections.Load(name)
	if !ok {
		v, _ = f.projections.LoadOrStore(name, &projectionNotes{})
	}
	n, _ := v.(*projectionNotes)
	return n
}

// projectionListener has a listener of the engine feed the figures, too.
func (f *figures) projectionListener(l projection.EventListener) projection.EventListener {
	applied, failed, parked, lagging := l.Applied, l.Failed, l.Parked, l.Lagging
	fails := func(name, text string) {
		f.notes(name).failed.Store(&failureNote{bounded(text), time.Now()})
	}
	l.Applied = func(name string, events int, took time.Duration, rebuild bool) {
		applied(name, events, took, rebuild)
		f.notes(name).applied.Add(uint64(max(events, 0)))
	}
	l.Failed = func(name string, err error) {
		failed(name, err)
		f.notes(name).failures.Add(1)
		fails(name, err.Error())
	}
	l.Parked = func(name, source, reason string) {
		parked(name, source, reason)
		fails(name, source+" is parked: "+reason)
	}
	l.Lagging = func(name string, events uint64, age time.Duration) {
		lagging(name, events, age)
		f.notes(name).age.Store(int64(age))
	}
	return l
}

// now returns the figures, and as they are sent.
func (f *figures) now() (*dashboard.Figures, json.RawMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last != nil && time.Since(f.at) < figuresFresh {
		return f.last, f.json
	}
	taken := f.take()
	data, err := json.Marshal(taken)
	if err != nil || int64(len(data)) > min(figuresBytes, f.node.conn.MaxPayload()/2) { // what fits is better than nothing
		taken.Left += len(taken.Commands) + len(taken.Effects) + len(taken.Projections) + len(taken.Actions)
		taken.Commands, taken.Effects, taken.Projections, taken.Actions = nil, nil, nil, nil
		data, _ = json.Marshal(taken)
	}
	f.last, f.json, f.at = taken, data, time.Now()
	return f.last, f.json
}

// encoded answers another node.
func (f *figures) encoded() json.RawMessage {
	_, data := f.now()
	return data
}

func (f *figures) take() *dashboard.Figures {
	n := f.node
	status := n.runtime.Status()
	out := &dashboard.Figures{
		Process: f.process, Uptime: time.Since(f.begin), Faults: n.faults(&status), Warnings: append(f.warnings(&status), f.askStore()...),
		Activations: status.Activations, MemoryBytes: status.MemoryBytes, MemoryMax: status.MemoryMax,
		Goroutines: goruntime.NumGoroutine(), Relaying: status.Relaying, RelayBehind: status.RelayBehind,
		Actions: n.acted.newest(),
	}
	for _, p := range status.Partitions {
		out.Partitions = append(out.Partitions, dashboard.PartitionFigures{
			Partition: int(p.Partition), Orphan: p.Orphan, Unfinished: p.Unfinished, AwaitingParking: p.AwaitingParking,
		})
	}
	out.Commands, out.Left = f.messages.figures(commandsTold)
	active := n.runtime.ActivationsByKind()
	for _, kind := range f.kinds[:min(len(f.kinds), kindsTold)] {
		c := f.of[kind]
		out.Kinds = append(out.Kinds, dashboard.KindFigures{
			Kind: string(kind), Activations: active[kind], Loaded: c.loaded.Load(), Passivated: c.passivated.Load(), Parked: c.parked.Load(),
		})
	}
	f.takeProjections(out)
	f.takeEffects(out)
	return out
}

func (f *figures) takeProjections(out *dashboard.Figures) {
	if f.node.projections == nil {
		return
	}
	load := f.node.projections.engine.Load()
	for i, p := range f.node.projections.all {
		if i == projectionsTold {
			out.Left += len(f.node.projections.all) - i
			return
		}
		here, notes := load[p.Name()], f.notes(p.Name())
		one := dashboard.ProjectionFigures{
			Name: p.Name(), Partitions: here.Partitions, Lag: here.Lag, Waiting: here.Waiting, Parked: here.Parked, Stuck: here.Stuck,
			Age: time.Duration(notes.age.Load()), Applied: notes.applied.Load(), Failures: notes.failures.Load(),
		}
		if failed := notes.failed.Load(); failed != nil {
			one.Error, one.ErrorAt = failed.text, failed.at
		}
		out.Projections = append(out.Projections, one)
	}
}

func (f *figures) takeEffects(out *dashboard.Figures) {
	for i, s := range f.node.runtime.EffectStatus() {
		if i == effectsTold {
			out.Left++
			return
		}
		one := dashboard.EffectFigures{
			Effect: s.Effect, Handled: s.Handled, Paused: s.Paused, Slots: s.Slots, Busy: s.Busy, Stuck: s.Stuck, Overdue: s.Overdue, Oldest: s.Oldest,
			States: map[string]int{},
		}
		for state, count := range s.States {
			one.States[string(state)] = count
		}
		out.Effects = append(out.Effects, one)
	}
}

// warnings are what somebody should look at although the node is ready.
func (f *figures) warnings(status *runtime.Status) []string {
	all := f.node.replicas.warnings()
	add := func(when bool, text string) {
		if when {
			all = append(all, text)
		}
	}
	add(status.RelayStanding, "its relay brings out nothing although there is something, or cannot find out")
	add(status.RelayHeldTargets > 0, "the relay holds back what goes to some aggregates: something before it could not be sent, and is parked")
	add(status.RelayHeldHistories > 0, "the events of some aggregates wait, as one of their commits cannot be read")
	add(status.Struggling > 0, "some aggregates stand still, as the store has failed their loads or writes again and again")
	add(status.SnapshotsFailing > 0, "the newest snapshots of some aggregates could not be taken or saved: they take longer and longer to load")
	return all
}

// askStore says what the store's silence means; nothing: it answers. Whoever asks for figures
// does not wait as long as a probe.
func (f *figures) askStore() []string {
	ctx, cancel := context.WithTimeout(context.Background(), figuresPing) //nolint:forbidigo // of no request: the answer is shared
	defer cancel()
	if err := f.node.store.Ping(ctx); err != nil {
		return []string{fmt.Sprintf("its store did not answer within %v", figuresPing)}
	}
	return nil
}
