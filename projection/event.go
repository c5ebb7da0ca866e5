package projection

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"runtime/debug"

	"github.com/ganglion-go/ganglion/actor"
)

// Event is an event as a handler gets it: decoded, and upcast to its present form
// by the aggregate's own definition. The stored bytes are in EventRecord.Data.
type Event[E any] struct {
	actor.EventRecord
	Data E
	// Replayed: the event is history: the view is being rebuilt, or the event is
	// older than the projection.
	Replayed bool
}

// Source is the stream of all events. All methods are safe for concurrent use.
type Source interface {
	// Events yields the events that the filter selects above the position after, in
	// order, and waits for more until ctx ends. An error ends it, among others when
	// the stream is not the filter's any more, or lacks events above the position.
	Events(ctx context.Context, filter actor.EventFilter, after uint64) iter.Seq2[actor.EventRecord, error]
	// EventsHead returns which stream there is and its last position. Positions of
	// two incarnations cannot be compared.
	EventsHead(ctx context.Context) (incarnation string, last uint64, err error)
}

// record is an event on its way through the engine.
type record struct {
	actor.EventRecord
	replayed bool
}

// bytes is what an event takes in memory, about: with the headers that it came with.
func (r *record) bytes() int { return 800 + len(r.Data) + len(r.Source.ID) + len(r.CommandID) }

// handler is an erased handler of one event.
type handler struct {
	behavior *actor.Behavior
	liveOnly bool
	run      func(ctx context.Context, tx *Tx, e any, r *record) error
}

// panicError is a panic of a handler.
type panicError struct {
	value any
	stack string
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// call runs the handlers of an event.
func (p *Projection) call(ctx context.Context, tx *Tx, r *record) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: v, stack: string(debug.Stack())}
		}
	}()
	if p.route != nil {
		return p.routeEvent(tx, r)
	}
	from := p.behaviors[r.Source.Kind]
	if from == nil || actor.Reserved(r.Name) {
		return nil
	}
	name, known := from.becomes[r.Name]
	if !known {
		return fmt.Errorf("%s does not know event %q: %w", r.Source.Kind, r.Name, actor.ErrUndecodable)
	}
	handlers := p.handlers[eventKey{r.Source.Kind, name}]
	if len(handlers) == 0 {
		return nil
	}
	e, err := from.behavior.Decode(actor.Event{Name: r.Name, Data: r.Data})
	if err != nil {
		return err //nolint:wrapcheck // it names the event
	}
	for _, h := range handlers {
		if h.liveOnly && r.replayed {
			continue
		}
		if h.liveOnly {
			if err := tx.confirm(ctx); err != nil {
				return err
			}
		}
		if err := h.run(ctx, tx, e, r); err != nil {
			return err
		}
	}
	return nil
}

type eventKey struct {
	kind actor.Kind
	name string // of the present form
}

// followed is a kind that a projection reads.
type followed struct {
	behavior *actor.Behavior
	becomes  map[string]string // stored name to the name of the present form
	names    map[reflect.Type]string
}

func follow(b *actor.Behavior) *followed {
	f := &followed{behavior: b, becomes: map[string]string{}, names: map[reflect.Type]string{}}
	for info := range b.Events() {
		f.becomes[info.Name] = info.Becomes
		if info.Name == info.Becomes {
			f.names[info.Stored] = info.Name
		}
	}
	return f
}
