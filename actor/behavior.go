package actor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Behavior is the erased form of a definition: all that a runtime needs to know
// of one kind of aggregate. It is immutable and safe for concurrent use.
type Behavior struct {
	kind           Kind
	state          reflect.Type
	newState       func() any
	view           func(state any) any
	viewType       reflect.Type
	viewSet        bool // by View
	commands       map[string]*handler
	queries        map[string]*handler
	replays        map[string]func(state any, data []byte) error
	forms          map[string]form // of the same names as replays
	raises         map[reflect.Type]*event
	disclosures    map[string]*disclosure // by the present names of events
	eventsPublic   bool
	rejections     []*Rejection
	snapshotEvery  int
	snapshotsSet   bool  // by SnapshotEvery
	unkept         error // why there are no snapshots: JSON cannot hold the state
	schema         string
	strict         bool // by Strict
	passivateAfter time.Duration
	saga           *saga // nil: it is none
	policy         bool
	internal       bool       // the application's own: not for callers
	effects        []string   // that decisions ask for, sorted; nil: it does not say
	reactions      []Reaction // of a saga or policy
}

type handler struct {
	name     string
	payload  reflect.Type
	reply    reflect.Type
	creation Creation
	reaction bool // the runtime's own, not to be called from outside
	internal bool // the application's own, likewise
	older    []olderForm
	aliases  []*handler                     // of older
	present  string                         // of an alias: the name that the command has now
	upcast   func(data []byte) (any, error) // of an alias
	validate func(data []byte) error        // what the command's Validate says; nil: it has none
	run      func(state any, ctx *Context, data []byte) (reply []byte, err error)
}

type event struct {
	name  string
	apply func(state, event any) // of a faithful event, as it is; nil: of others
}

// form is one stored form of an event: the present one or an older one.
type form struct {
	becomes string
	stored  reflect.Type
	decode  func(data []byte) (any, error)
}

// Behavior returns b, so that a Behavior can itself be registered.
func (b *Behavior) Behavior() *Behavior { return b }

// Kind returns the kind that b defines.
func (b *Behavior) Kind() Kind { return b.kind }

// Schema identifies the form of the state. A snapshot under another schema must
// be ignored.
func (b *Behavior) Schema() string { return b.schema }

// SnapshotEvery returns the number of events between snapshots; 0: none.
func (b *Behavior) SnapshotEvery() int { return b.snapshotEvery }

// WithoutSnapshots returns why aggregates have no snapshots although the definition does
// not turn them off: JSON cannot hold their state. nil: there are snapshots, or none are
// wanted. Without them every load replays the whole history.
func (b *Behavior) WithoutSnapshots() error {
	if b.snapshotsSet {
		return nil
	}
	return b.unkept
}

// PassivateAfter returns the kind's idle time; 0: the node's.
func (b *Behavior) PassivateAfter() time.Duration { return b.passivateAfter }

// StateType returns the type that a read of the state shows.
func (b *Behavior) StateType() reflect.Type { return b.viewType }

// HandlerInfo describes a command or query, for API descriptions.
type HandlerInfo struct {
	Name     string
	Payload  reflect.Type
	Reply    reflect.Type
	Creation Creation
	Internal bool // not for callers, see [Internal]
}

// Commands yields the commands in the order of their names, without those that are
// the runtime's own, see [Reserved], and without former names, see [From].
func (b *Behavior) Commands() iter.Seq[HandlerInfo] { return describe(b.commands) }

// Queries yields the queries in the order of their names.
func (b *Behavior) Queries() iter.Seq[HandlerInfo] { return describe(b.queries) }

func describe(handlers map[string]*handler) iter.Seq[HandlerInfo] {
	return func(yield func(HandlerInfo) bool) {
		for _, name := range slices.Sorted(maps.Keys(handlers)) {
			h := handlers[name]
			if !h.reaction && h.present == "" && !yield(h.info()) {
				return
			}
		}
	}
}

func (h *handler) info() HandlerInfo {
	return HandlerInfo{Name: h.name, Payload: h.payload, Reply: h.reply, Creation: h.creation, Internal: h.internal}
}

// HasCommand reports whether a command is declared; none of the runtime's own is.
func (b *Behavior) HasCommand(name string) bool { return b.commands[name] != nil && !reserved(name) }

// Command returns the command that is declared under the name, or was under that name
// before (From); none of the runtime's own.
func (b *Behavior) Command(name string) (HandlerInfo, bool) {
	h := b.commands[name]
	if h == nil || h.reaction || reserved(name) {
		return HandlerInfo{}, false
	}
	return h.info(), true
}

// HasQuery reports whether a query is declared.
func (b *Behavior) HasQuery(name string) bool { return b.queries[name] != nil }

// Rejections returns the declared rejections.
func (b *Behavior) Rejections() []*Rejection { return slices.Clone(b.rejections) }

// EventNames returns the names of all events that b can read, upcast ones
// included, sorted.
func (b *Behavior) EventNames() []string { return slices.Sorted(maps.Keys(b.replays)) }

// Reads reports whether b knows stored events of that name: one of [Behavior.Events],
// or one that is the runtime's own. It says nothing of their data.
func (b *Behavior) Reads(name string) bool { return b.replays[name] != nil || knowsReserved(name) }

// Takes reports whether a command is declared under the name, or was under that name
// before (From). Of the names of the runtime's own it knows those of events that a saga
// takes in; the others are for the runtime.
func (b *Behavior) Takes(name string) bool {
	return b.commands[name] != nil || reserved(name) && !strings.HasPrefix(name, reactionPrefix)
}

// EventInfo describes a stored form of an event.
type EventInfo struct {
	Name    string       // under which it is stored
	Stored  reflect.Type // what its data is decoded into
	Becomes string       // the name of the present form: Name itself, unless it is upcast
}

// Events yields all forms of events that b can read in the order of their names.
func (b *Behavior) Events() iter.Seq[EventInfo] {
	return func(yield func(EventInfo) bool) {
		for _, name := range b.EventNames() {
			f := b.forms[name]
			if !yield(EventInfo{Name: name, Stored: f.stored, Becomes: f.becomes}) {
				return
			}
		}
	}
}

// Encode returns an event in the form in which it is stored. It fails for an
// event that was not declared with [Apply], that cannot be encoded as JSON, or that is
// nested deeper than [MaxDepth].
func (b *Behavior) Encode(e any) (Event, error) {
	declared := b.raises[reflect.TypeOf(e)]
	if declared == nil {
		return Event{}, fmt.Errorf("%s does not apply %T", b.kind, e)
	}
	data, err := json.Marshal(e)
	if err != nil {
		return Event{}, fmt.Errorf("encode %T: %w", e, err)
	}
	if TooDeep(data) {
		return Event{}, fmt.Errorf("encode %T: %w", e, &Error{Code: CodeTooLarge, Detail: tooDeep(declared.name)})
	}
	return Event{Name: declared.name, Data: data}, nil
}

// Decode returns the value that a stored event is applied as, upcast to its
// present form. The error wraps [ErrUndecodable].
func (b *Behavior) Decode(e Event) (_ any, err error) {
	f, ok := b.forms[e.Name]
	if !ok {
		return nil, fmt.Errorf("%s does not know event %q: %w", b.kind, e.Name, ErrUndecodable)
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%s: %s: decoding panicked: %v: %w", b.kind, e.Name, v, ErrUndecodable)
		}
	}()
	value, err := f.decode(e.Data)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w: %w", b.kind, e.Name, ErrUndecodable, err)
	}
	return value, nil
}

// CheckCommand reports as a [*Error] whether data can be a command or query
// under the name. It runs nothing.
func (b *Behavior) CheckCommand(t MessageType, name string, data []byte) error {
	h := b.handlers(t)[name]
	if h == nil {
		return &Error{Code: CodeUnknownCommand, Detail: fmt.Sprintf("%s has no %s", b.kind, name)}
	}
	if TooDeep(data) {
		return &Error{Code: CodeMalformed, Detail: tooDeep(name)}
	}
	if err := decodeObject(data, reflect.New(h.payload).Interface()); err != nil {
		return &Error{Code: CodeMalformed, Detail: err.Error()}
	}
	return nil
}

func (b *Behavior) handlers(t MessageType) map[string]*handler {
	if t == TypeQuery {
		return b.queries
	}
	return b.commands
}

func (b *Behavior) addHandler(to map[string]*handler, h *handler) {
	if !validName(h.name) || reserved(h.name) != h.reaction {
		panic(fmt.Sprintf("actor: %s: invalid name %q", b.kind, h.name))
	}
	if to[h.name] != nil {
		panic(fmt.Sprintf("actor: %s declares %s twice", b.kind, h.name))
	}
	to[h.name] = h
	for _, alias := range h.aliases {
		b.addHandler(to, alias)
	}
}

func (b *Behavior) addEvent(t reflect.Type, e *event) {
	if b.raises[t] != nil {
		panic(fmt.Sprintf("actor: %s applies %v twice", b.kind, t))
	}
	b.raises[t] = e
}

func (b *Behavior) addReplay(name string, f form, replay func(any, []byte) error) {
	if reserved(name) {
		panic(fmt.Sprintf("actor: %s applies %q, a name that is the runtime's own", b.kind, name))
	}
	if b.replays[name] != nil {
		panic(fmt.Sprintf("actor: %s has two events stored as %q", b.kind, name))
	}
	b.replays[name] = replay
	b.forms[name] = f
}

func wireName(t reflect.Type) string {
	if named, ok := reflect.Zero(t).Interface().(Named); ok {
		return named.WireName()
	}
	name, _, _ := strings.Cut(t.Name(), "[")
	return name
}

func eventName(t reflect.Type) string {
	if named, ok := reflect.Zero(t).Interface().(Named); ok {
		return named.WireName()
	}
	name, _, _ := strings.Cut(t.Name(), "[")
	r, n := utf8.DecodeRuneInString(name)
	return string(unicode.ToLower(r)) + name[n:] + ".v1"
}

var errNotObject = errors.New("a JSON object is required")

// decodeObject reads one JSON object into v. Unknown fields are tolerated, no
// data is read as {}.
func decodeObject(data []byte, v any) error {
	data = bytes.TrimLeft(data, " \t\r\n")
	if len(data) == 0 {
		return nil
	}
	if data[0] != '{' {
		if !json.Valid(data) {
			return errors.New("invalid JSON")
		}
		return errNotObject
	}
	return json.Unmarshal(data, v)
}
