package actor

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// What outsiders see of a kind's events, over HTTP for instance.
//
// A [View] may hide parts of the state, and whoever can read the events can put them
// together again. So the events of a kind that has a view are shown without their data,
// but for those whose types are declared [Public] (or all: [Definition.PublicEvents]), or
// with [Redact]. Those of a kind without a view are shown whole, but for those with Redact. Handlers, sagas, policies,
// projections and operators see all events whole.

type disclosure struct {
	public bool
	typ    reflect.Type // that redact takes
	redact func(e any) any
}

type disclosureOption disclosure

func (d disclosureOption) event(o *eventOptions) {
	if o.shown != nil {
		o.shownTwice = true
	}
	o.shown = (*disclosure)(&d)
}

// Public has events of the type shown whole to outsiders although their kind has a
// [View], see [Behavior.Shown].
func Public() EventOption { return disclosureOption{public: true} }

// PublicEvents has all events of the kind shown whole to outsiders although it has a
// [View], but for those that are declared with [Redact]: the view gives the state another
// form, and hides nothing else.
func (d *Definition[S]) PublicEvents() { d.behavior.eventsPublic = true }

// Redact has outsiders see, in the place of an event of type E, what show returns for it
// in its present form, as JSON; nil: nothing. See [Behavior.Shown]. The function must not
// change the event, must depend on nothing else, and is called concurrently.
func Redact[E any](show func(E) any) EventOption {
	return disclosureOption{typ: reflect.TypeFor[E](), redact: func(e any) any { return show(e.(E)) }}
}

// disclose notes what is shown of an event type.
func (b *Behavior) disclose(typ reflect.Type, name string, o *eventOptions) {
	switch {
	case o.shownTwice:
		panic(fmt.Sprintf("actor: %s: %s is declared Public or with Redact twice", b.kind, name))
	case o.shown == nil:
		return
	case o.shown.redact != nil && o.shown.typ != typ:
		panic(fmt.Sprintf("actor: %s: Redact of %v is given for %v", b.kind, o.shown.typ, typ))
	}
	if b.disclosures == nil {
		b.disclosures = map[string]*disclosure{}
	}
	b.disclosures[name] = o.shown
}

// Shown returns what outsiders see of a stored event's data, and whether that is the data
// as it is stored. It returns nil when they see nothing of it: the kind has a [View] and
// the event was declared neither public nor with [Redact], or is not known, or what is
// declared fails.
func (b *Behavior) Shown(e Event) (data []byte, whole bool) {
	f, known := b.forms[e.Name]
	d := b.disclosures[f.becomes]
	switch {
	case d != nil && d.redact != nil:
		return b.redacted(d, e), false
	case d != nil || !b.viewSet || plain(e.Name), b.eventsPublic && (known || knowsReserved(e.Name)):
		return e.Data, true
	default:
		return nil, false
	}
}

// plain reports whether an event of the runtime's own has nothing to hide. One of a
// refusal has the refusal's details.
func plain(name string) bool {
	switch name {
	case EventEffects, EventOutcome, EventEnded, EventOverdue:
		return true
	default:
		return false
	}
}

// redacted returns nil if the event cannot be shown: better nothing than all of it.
func (b *Behavior) redacted(d *disclosure, e Event) (data []byte) {
	defer func() {
		if recover() != nil {
			data = nil
		}
	}()
	event, err := b.Decode(e)
	if err != nil {
		return nil
	}
	shown := d.redact(event)
	if shown == nil {
		return nil
	}
	if data, err = json.Marshal(shown); err != nil || TooDeep(data) {
		return nil
	}
	return data
}
