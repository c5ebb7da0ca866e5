package actor

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// CommandOption tunes one command or query in a definition.
type CommandOption interface{ command(h *handler) }

// EventOption tunes one event in a definition.
type EventOption interface{ event(o *eventOptions) }

type eventOptions struct {
	older      []olderForm
	shown      *disclosure // nil: as the kind has it
	shownTwice bool
}

type commandOption func(*handler)

func (f commandOption) command(h *handler) { f(h) }

// NewOnly refuses the command for an aggregate that has a history.
func NewOnly() CommandOption { return commandOption(func(h *handler) { h.creation = MustBeNew }) }

// ExistingOnly refuses the command for an aggregate without a history.
func ExistingOnly() CommandOption { return commandOption(func(h *handler) { h.creation = MustExist }) }

// Older is an older form of an event, a command or a query, see [From].
type Older struct{ form olderForm }

func (o Older) event(to *eventOptions) { to.older = append(to.older, o.form) }
func (o Older) command(to *handler)    { to.older = append(to.older, o.form) }

type olderForm struct {
	name   string
	stored reflect.Type
	target reflect.Type
	upcast func(data []byte) (any, error)
}

// From lets an event be read from an older form, stored under another name, and a command
// or query be taken under the name that it had before. Every older form upcasts directly
// to the present one.
//
// A command that is renamed needs it for as long as timers and messages may carry the
// former name, and callers use it. A timer that has its name of its command is replaced
// and cancelled under any of its names.
func From[Old, E any](name string, upcast func(Old) E) Older {
	return Older{form: olderForm{
		name:   name,
		stored: reflect.TypeFor[Old](),
		target: reflect.TypeFor[E](),
		upcast: func(data []byte) (any, error) {
			var old Old
			if err := json.Unmarshal(data, &old); err != nil {
				return nil, err
			}
			return upcast(old), nil
		},
	}}
}

// readOlder adds a handler for each older form of a command or query.
func (h *handler) readOlder(run func(state any, ctx *Context, command any) ([]byte, error)) {
	for _, older := range h.older {
		if older.target != h.payload {
			panic(fmt.Sprintf("actor: %s upcasts to %v, not to %v", older.name, older.target, h.payload))
		}
		h.aliases = append(h.aliases, &handler{
			name: older.name, present: h.name, payload: older.stored, reply: h.reply, creation: h.creation, internal: h.internal,
			upcast: older.upcast,
			run: func(state any, ctx *Context, data []byte) ([]byte, error) {
				command, err := upcastCommand[any](older.upcast, data)
				if err != nil {
					return nil, &Error{Code: CodeMalformed, Detail: err.Error()}
				}
				return run(state, ctx, command)
			},
		})
	}
}

// upcastCommand decodes an older form of a command and makes the present one of it.
func upcastCommand[C any](upcast func(data []byte) (any, error), data []byte) (command C, err error) {
	object := json.RawMessage("{}")
	if err := decodeObject(data, &object); err != nil {
		return command, err
	}
	present, err := upcast(object)
	if err != nil {
		return command, err
	}
	return present.(C), nil
}

// CommandNames returns the names of a command, given one of them: the present one, and
// those that it had before. It returns none for a command that is not declared.
func (b *Behavior) CommandNames(command string) []string {
	h := b.commands[command]
	if h != nil && h.present != "" {
		command, h = h.present, b.commands[h.present]
	}
	if h == nil {
		return nil
	}
	return append([]string{command}, b.formerNames(command)...)
}

// PresentName returns the name that a command, or by its type a query, has now, given
// one of its names. A name that is not declared is returned as it is.
func (b *Behavior) PresentName(t MessageType, name string) string {
	if h := b.handlers(t)[name]; h != nil && h.present != "" {
		return h.present
	}
	return name
}

// formerNames returns the names that a command had before, in the order of its definition.
func (b *Behavior) formerNames(command string) []string {
	h := b.commands[command]
	if h == nil {
		return nil
	}
	names := make([]string, len(h.aliases))
	for i, alias := range h.aliases {
		names[i] = alias.name
	}
	return names
}
