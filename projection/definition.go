package projection

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/ganglion-go/ganglion/actor"
)

// DefaultBatchMax is how many events are applied in one transaction at most,
// where the definition does not say otherwise.
const DefaultBatchMax = 1000

// maxBatch bounds [Definition.BatchMax].
const maxBatch = 10_000

// Projection is a read model: which events it takes in, and what it makes of them.
// It is immutable and may be shared.
type Projection struct {
	name      string
	singleton bool
	start     Start
	batchMax  int
	behaviors map[actor.Kind]*followed
	handlers  map[eventKey][]*handler
	route     func(actor.EventRecord) ([]actor.Message, error) // of a router
	wants     map[actor.Kind]map[string]bool                   // of a router; nil names: all
	liveOnly  bool                                             // a handler has effects outside
	indexes   map[string][]Index                               // by collection

	collections map[string]Declared // by name
	internal    bool                // no collection is for callers outside
	hidden      map[string]bool     // collections that are not
	foreign     bool                // defined elsewhere, see FindView
}

// Start says where a projection begins that has never run.
type Start uint8

// The beginnings.
const (
	FromBeginning Start = iota // with the first event there is
	FromNow                    // with the first event after the projection became known
)

// Definition collects the parts of a projection while [Define] runs.
type Definition struct{ projection *Projection }

// Define returns a projection. The name is 1 to 64 bytes of a to z, A to Z, 0 to 9,
// '-' and '_', starting with a letter; checkpoint and view are kept under it. It
// panics when the definition contradicts itself.
func Define(name string, build func(*Definition)) *Projection {
	p := newProjection(name)
	build(&Definition{projection: p})
	if len(p.handlers) == 0 {
		panic(fmt.Sprintf("projection: %s handles no event", name))
	}
	return p
}

func newProjection(name string) *Projection {
	if !validName(name) {
		panic(fmt.Sprintf("projection: invalid name %q", name))
	}
	return &Projection{
		name: name, batchMax: DefaultBatchMax,
		behaviors: map[actor.Kind]*followed{}, handlers: map[eventKey][]*handler{}, collections: map[string]Declared{},
	}
}

// Name returns the projection's name.
func (p *Projection) Name() string { return p.name }

// Singleton reports whether the projection reads all events in one order.
func (p *Projection) Singleton() bool { return p.singleton }

// Kinds returns the kinds whose events the projection reads, sorted.
func (p *Projection) Kinds() []actor.Kind {
	kinds := make([]actor.Kind, 0, len(p.behaviors))
	for k := range p.behaviors {
		kinds = append(kinds, k)
	}
	for k := range p.wants {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// Sources returns the definitions whose events the projection handles, by kind; a router
// has none.
func (p *Projection) Sources() []*actor.Behavior {
	var all []*actor.Behavior
	for _, k := range slices.Sorted(maps.Keys(p.behaviors)) {
		all = append(all, p.behaviors[k].behavior)
	}
	return all
}

func (p *Projection) follows(k actor.Kind) bool {
	if p.foreign {
		return true // whoever runs it knows
	}
	_, wanted := p.wants[k]
	return p.behaviors[k] != nil || wanted
}

// Singleton has the projection read all events in their one order, in one place,
// instead of partition by partition. It is slower.
func (d *Definition) Singleton() { d.projection.singleton = true }

// StartAt sets where the projection begins when it runs for the first time, and at
// a rebuild again. The default is [FromBeginning].
func (d *Definition) StartAt(s Start) { d.projection.start = s }

// BatchMax sets how many events are applied in one transaction at most, 1 to
// 10,000. The default is [DefaultBatchMax].
func (d *Definition) BatchMax(events int) {
	if events < 1 || events > maxBatch {
		panic(fmt.Sprintf("projection: %s: BatchMax(%d)", d.projection.name, events))
	}
	d.projection.batchMax = events
}

// HandlerOption tunes one handler.
type HandlerOption func(*handler)

// LiveOnly keeps a handler with effects outside the view (a mail, a call) from
// history: it is not run in a rebuild, nor for events that are older than the
// projection. For every other event it is run at least once, and again when the
// transaction that it ran in did not succeed.
func LiveOnly() HandlerOption { return func(h *handler) { h.liveOnly = true } }

// On declares what the projection does with event E of an aggregate, in any form
// in which it was ever stored. Handlers of one event run in the order of their
// declaration. The handler changes the view through tx alone, unless it is
// [LiveOnly], and may be run again for the same event with nothing left of what it
// did before. An error or a panic has the engine try again later, while the events
// of other aggregates go on.
func On[E any](d *Definition, from actor.Registrable, h func(context.Context, *Tx, Event[E]) error, opts ...HandlerOption) {
	p, b := d.projection, from.Behavior()
	f := p.behaviors[b.Kind()]
	if f == nil {
		f = follow(b)
		p.behaviors[b.Kind()] = f
	}
	if f.behavior != b {
		panic(fmt.Sprintf("projection: %s reads two definitions of %s", p.name, b.Kind()))
	}
	name, ok := f.names[reflect.TypeFor[E]()]
	if !ok {
		panic(fmt.Sprintf("projection: %s: %s applies no %v", p.name, b.Kind(), reflect.TypeFor[E]()))
	}
	erased := &handler{behavior: b, run: func(ctx context.Context, tx *Tx, e any, r *record) error {
		return h(ctx, tx, Event[E]{EventRecord: r.EventRecord, Data: e.(E), Replayed: r.replayed})
	}}
	for _, opt := range opts {
		opt(erased)
	}
	p.liveOnly = p.liveOnly || erased.liveOnly
	key := eventKey{b.Kind(), name}
	p.handlers[key] = append(p.handlers[key], erased)
}

func validName(s string) bool {
	if s == "" || len(s) > MaxNameBytes || !isLetter(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
