package actor

import "strings"

// The names that begin with "ganglion." are the runtime's own: no definition may
// use them for a command, a query, an event or a timer. These events stand in
// histories, count as versions, and change no state of a definition:
const (
	// EventEffects: a command raised no event, but sent something, or was a timer's.
	EventEffects = "ganglion.effects.v1"
	// EventRefused: a command was refused whose sender waits for that, or that was
	// a timer's, or that an operator has skipped. An aggregate whose history has nothing else does not exist.
	EventRefused = "ganglion.refused.v1"
	// EventOutcome: what a commit holds of commands is their outcomes alone. They were
	// refused, or carried out without an event, and this gives the commit its place in
	// the history. It changes nothing: the aggregate is at the version of the event
	// before it.
	EventOutcome = "ganglion.outcome.v1"
	// EventEnded: a saga has ended.
	EventEnded = "ganglion.ended.v1"
	// EventOverdue: a saga has not ended within its deadline.
	EventOverdue = "ganglion.overdue.v1"
	// EventSkipped stands in the event stream, and in no history, for an event of a commit
	// that could not be read and that an operator has given up.
	EventSkipped = "ganglion.skipped.v1"
)

const (
	reservedPrefix  = "ganglion."
	reactionPrefix  = reservedPrefix + "on."
	deadlineCommand = reservedPrefix + "deadline"
)

// Reserved reports whether a command, query, event or timer of that name is the
// runtime's own. A caller from outside has no business sending such a command.
func Reserved(name string) bool { return reserved(name) }

func reserved(name string) bool { return strings.HasPrefix(name, reservedPrefix) }

// knowsReserved reports whether a history may hold an event of the runtime's own under
// that name, as far as this build knows.
func knowsReserved(name string) bool {
	switch name {
	case EventEffects, EventRefused, EventOutcome, EventEnded, EventOverdue, EventSkipped:
		return true
	default:
		return false
	}
}

// changes reports whether an event changes its aggregate: all do but those that only
// record that something was refused, or came to nothing.
func changes(name string) bool { return name != EventRefused && name != EventOutcome }
