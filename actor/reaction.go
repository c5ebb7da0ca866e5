package actor

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"time"
)

// Reaction is one stored form of one event that a saga or a policy reacts to: what a
// router of events needs to know. It is immutable and safe for concurrent use.
type Reaction struct {
	Reactor Kind   // of the saga, or the policy's name
	Kind    Kind   // of the aggregates whose event it is
	Event   string // under which it is stored; older forms have a Reaction of their own

	// Route returns the commands that the event causes, complete, in the order in
	// which they are to be sent; none when it does not concern the reactor. It is a
	// pure function of the event: the ids are the same whenever it is called, so
	// that a command which was sent twice takes effect once. The error is one that
	// another call would give again: the event cannot be decoded, it is mapped to an
	// impossible saga id, or the user's function panicked (a [*Panic]).
	Route func(EventRecord) ([]Message, error)
}

// Reactions returns what a saga or policy reacts to, in the order of its
// definition; none for any other aggregate. Every event is to be routed once for
// each of them, in the order of the events.
func (b *Behavior) Reactions() []Reaction { return slices.Clone(b.reactions) }

// addReactions adds one for each stored form of event E of the source.
func addReactions[E any](b *Behavior, source *Behavior, route func(EventRecord, E) ([]Message, error)) {
	present := eventOf[E](b, source)
	for _, name := range source.EventNames() {
		if source.forms[name].becomes != present {
			continue
		}
		if slices.ContainsFunc(b.reactions, func(r Reaction) bool { return r.Kind == source.kind && r.Event == name }) {
			panic(fmt.Sprintf("actor: %s reacts to %s of %s twice", b.kind, name, source.kind))
		}
		b.reactions = append(b.reactions, Reaction{
			Reactor: b.kind, Kind: source.kind, Event: name,
			Route: func(r EventRecord) (_ []Message, err error) {
				defer func() {
					if v := recover(); v != nil {
						err = fmt.Errorf("%s routes %s of %s: %w", b.kind, r.Name, r.Source, &Panic{Value: v, Stack: debug.Stack()})
					}
				}()
				if r.Source.Kind != source.kind || r.Name != name {
					return nil, nil
				}
				value, err := source.Decode(Event{Name: r.Name, Data: r.Data})
				if err != nil {
					return nil, err
				}
				r.Name = present
				return route(r, value.(E))
			},
		})
	}
}

// eventOf returns the name under which the source stores event E today.
func eventOf[E any](b, source *Behavior) string {
	e := source.raises[reflect.TypeFor[E]()]
	if e == nil {
		panic(fmt.Sprintf("actor: %s reacts to %v, which %s does not apply", b.kind, reflect.TypeFor[E](), source.kind))
	}
	return e.name
}

// reactionData is the data of the command by which a saga gets an event.
type reactionData struct {
	Source    string          `json:"source"` // Address.String
	Version   Version         `json:"version"`
	Event     string          `json:"event"`
	Time      time.Time       `json:"time"`
	CommandID CommandID       `json:"commandId"`
	Data      json.RawMessage `json:"data"` // in the present form
}

func (d *reactionData) record() (EventRecord, error) {
	source, err := ParseAddress(d.Source)
	return EventRecord{
		Source: source, Version: d.Version, Name: d.Event, Data: d.Data, Time: d.Time.UTC(), CommandID: d.CommandID,
	}, err
}

// cause returns the metadata of what an event causes.
func (r *EventRecord) cause() Metadata {
	m := Message{ID: r.CommandID, Metadata: r.Metadata}
	return m.handOn()
}
