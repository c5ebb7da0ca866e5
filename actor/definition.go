package actor

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// DefaultSnapshotEvery is the number of events between two snapshots of an
// aggregate whose definition does not say otherwise.
const DefaultSnapshotEvery = 512

// None is the reply of a command that has nothing to say but that it was
// carried out. It is null in JSON.
type None struct{}

// MarshalJSON returns null.
func (None) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// Replies is embedded in a command or query and names the type of its reply.
type Replies[R any] struct{}

func (Replies[R]) repliesWith(R) {}

// Asking is satisfied by every struct that embeds Replies[R].
type Asking[R any] interface{ repliesWith(R) }

// Named is implemented by a command, query or event that wants another name on
// the wire than its type's: 1 to 128 bytes of ASCII letters, digits, '-', '_'
// and '.'. The method must have a value receiver and return a constant.
type Named interface{ WireName() string }

// Aggregate is the definition of one kind of aggregate with state S. It is
// immutable and may be shared.
type Aggregate[S any] struct{ behavior *Behavior }

// ID returns the address of the aggregate with the given id.
func (a *Aggregate[S]) ID(id string) Address { return Address{Kind: a.behavior.kind, ID: id} }

// Behavior returns the erased definition.
func (a *Aggregate[S]) Behavior() *Behavior { return a.behavior }

// Registrable is what a node takes: every [*Aggregate] is one.
type Registrable interface{ Behavior() *Behavior }

// Definition collects the parts of an aggregate while [Define] runs.
type Definition[S any] struct{ behavior *Behavior }

// Define returns the definition of a kind of aggregate whose state is a plain
// struct S. It panics when the definition contradicts itself, and when a type of an event,
// command, query or reply, or of a declared rejection's details, does not survive being
// stored as JSON ([CheckJSON]); all such types are named at once. These are mistakes of
// the program, found at its start.
func Define[S any](kind Kind, build func(*Definition[S])) *Aggregate[S] {
	if err := kind.Validate(); err != nil {
		panic("actor: " + err.Error())
	}
	state := reflect.TypeFor[S]()
	b := &Behavior{
		kind:     kind,
		newState: func() any { return new(S) },
		state:    state,
		commands: map[string]*handler{},
		queries:  map[string]*handler{},
		replays:  map[string]func(state any, data []byte) error{},
		forms:    map[string]form{},
		raises:   map[reflect.Type]*event{},
		view:     func(state any) any { return state },
		viewType: state,
		schema:   fingerprint(state),
	}
	if b.unkept = checkState(state); b.unkept == nil {
		b.snapshotEvery = DefaultSnapshotEvery
	}
	build(&Definition[S]{behavior: b})
	if err := b.checkTypes(); err != nil {
		panic(fmt.Sprintf("actor: %s has types that JSON does not bring back as they were:\n%v", kind, err))
	}
	return &Aggregate[S]{behavior: b}
}

// Rejections declares the rejections that commands of this aggregate can give,
// for documentation and generated API descriptions. It panics on two different
// ones with the same code.
func (d *Definition[S]) Rejections(rs ...*Rejection) {
	for _, r := range rs {
		i := slices.IndexFunc(d.behavior.rejections, func(known *Rejection) bool { return known.Code == r.Code })
		switch {
		case i < 0:
			d.behavior.rejections = append(d.behavior.rejections, r)
		case d.behavior.rejections[i] != r:
			panic(fmt.Sprintf("actor: %s declares rejection %q twice", d.behavior.kind, r.Code))
		}
	}
}

// SnapshotEvery sets the number of events between two snapshots; 0 turns them
// off. The default is [DefaultSnapshotEvery], or 0 for a state that JSON cannot hold, see
// [CheckJSON]: asking for snapshots of it panics. Here an empty interface counts as
// well, since what it holds may come back as another type.
func (d *Definition[S]) SnapshotEvery(events int) {
	if events < 0 || events > 0 && d.behavior.unkept != nil {
		panic(fmt.Sprintf("actor: %s: SnapshotEvery(%d): %v", d.behavior.kind, events, d.behavior.unkept))
	}
	d.behavior.snapshotEvery, d.behavior.snapshotsSet = events, true
}

// SnapshotSchema adds a revision to the fingerprint of the state's type, under
// which snapshots are kept. Change it when the meaning of the state changes and
// its type does not: older snapshots are then ignored.
func (d *Definition[S]) SnapshotSchema(revision string) { d.behavior.schema += "." + revision }

// PassivateAfter sets the idle time after which an activation of this kind is
// given up; 0, the default, leaves it to the node.
func (d *Definition[S]) PassivateAfter(idle time.Duration) { d.behavior.passivateAfter = max(idle, 0) }

// View sets what a read of the aggregate's state shows. By default it is the
// state itself. The function must not change the state, and what it returns
// must not share memory that a later event changes. A view hides what it leaves out:
// outsiders then see the data of those events alone that are declared [Public] or with
// [Redact].
func View[S, V any](d *Definition[S], show func(*S) V) {
	d.behavior.view = func(state any) any { return show(state.(*S)) }
	d.behavior.viewType, d.behavior.viewSet = reflect.TypeFor[V](), true
}

// On declares the handler of command C. The handler decides: it may read the
// state, raise events, and reply or reject. It must depend on nothing but the
// state, the command and the [Context].
//
// To reject is to return a [*Rejection], or an error that wraps one. Any other error is
// a fault, as a panic is: it is no decision of the aggregate, nothing is recorded, and
// the command is tried again and then parked for an operator ([CodeParked]).
func On[S any, C Asking[R], R any](d *Definition[S], h func(*S, *Context, C) (R, error), opts ...CommandOption) {
	d.behavior.addHandler(d.behavior.commands, newHandler(h, opts))
}

// Query declares the handler of query Q, which reads. It must not change the state. To
// reject is to return a [*Rejection], as in the handler of a command; after another error,
// or a panic, the caller gets [CodeUnloadable].
func Query[S any, Q Asking[R], R any](d *Definition[S], h func(*S, *QueryContext, Q) (R, error), opts ...CommandOption) {
	d.behavior.addHandler(d.behavior.queries, newHandler(func(state *S, ctx *Context, query Q) (R, error) {
		return h(state, &QueryContext{ctx}, query)
	}, opts))
}

func newHandler[S any, C Asking[R], R any](h func(*S, *Context, C) (R, error), opts []CommandOption) *handler {
	run := func(state any, ctx *Context, command C) ([]byte, error) {
		ctx.entered = true
		reply, err := h(state.(*S), ctx, command)
		if err != nil {
			return nil, answerOf(err)
		}
		return json.Marshal(reply)
	}
	erased := &handler{
		name:     wireName(reflect.TypeFor[C]()),
		payload:  reflect.TypeFor[C](),
		reply:    reflect.TypeFor[R](),
		internal: endsEffect[C](),
		run: func(state any, ctx *Context, data []byte) ([]byte, error) {
			var command C
			if err := decodeObject(data, &command); err != nil {
				return nil, &Error{Code: CodeMalformed, Detail: err.Error()}
			}
			return run(state, ctx, command)
		},
	}
	for _, opt := range opts {
		opt.command(erased)
	}
	erased.validate = validatorOf[C](func(data []byte) (command C, err error) {
		err = decodeObject(data, &command)
		return command, err
	})
	erased.readOlder(func(state any, ctx *Context, command any) ([]byte, error) { return run(state, ctx, command.(C)) })
	for _, alias := range erased.aliases {
		alias.validate = validatorOf[C](func(data []byte) (C, error) { return upcastCommand[C](alias.upcast, data) })
	}
	return erased
}

// Apply declares how event E changes the state: when it is raised, and again on
// every replay. Both times it gets what was decoded from the event's stored form. It is
// the only place in which state changes, and must depend on nothing but the state and the
// event. The event is stored under its WireName,
// or else its type's name with a lower-case first letter and ".v1".
func Apply[S, E any](d *Definition[S], apply func(*S, E), opts ...EventOption) {
	var o eventOptions
	for _, opt := range opts {
		opt.event(&o)
	}
	typ := reflect.TypeFor[E]()
	name := eventName(typ)
	if !validName(name) {
		panic(fmt.Sprintf("actor: %s: invalid event name %q", d.behavior.kind, name))
	}
	raised := &event{name: name}
	if faithful(typ) {
		raised.apply = func(state, e any) { apply(state.(*S), e.(E)) }
	}
	d.behavior.addEvent(typ, raised)
	d.behavior.disclose(typ, name, &o)
	addForm(d.behavior, name, form{becomes: name, stored: typ}, apply, func(data []byte) (e E, err error) {
		err = json.Unmarshal(data, &e)
		return e, err
	})
	for _, older := range o.older {
		if older.target != typ {
			panic(fmt.Sprintf("actor: %s: %s upcasts to %v, not to %v", d.behavior.kind, older.name, older.target, typ))
		}
		addForm(d.behavior, older.name, form{becomes: name, stored: older.stored}, apply, func(data []byte) (E, error) {
			e, err := older.upcast(data)
			if err != nil {
				var none E
				return none, err
			}
			return e.(E), nil
		})
	}
}

func addForm[S, E any](b *Behavior, name string, f form, apply func(*S, E), decode func([]byte) (E, error)) {
	f.decode = func(data []byte) (any, error) { return decode(data) }
	b.addReplay(name, f, func(state any, data []byte) error {
		e, err := decode(data)
		if err != nil {
			return err
		}
		apply(state.(*S), e)
		return nil
	})
}
