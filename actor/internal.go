package actor

// Internal keeps a command or a query for the application itself: sagas, policies, what
// aggregates send and set timers for, schedules, effects, and Go code with a node's client.
// From outside, over HTTP and over NATS with the rights of a client, it does not exist: it
// is refused with [CodeUnknownCommand], under its former names as well, and the description
// of the API does not have it. The owner of the aggregate decides that, whoever the message
// came by. A node can be told to open it, for development and tests.
//
// Mark a command that callers have used only once they do not use it any more: what waits
// of theirs in the command stream then is not executed.
func Internal() CommandOption { return commandOption(func(h *handler) { h.internal = true }) }

// Internal keeps the whole kind for the application itself, as [Internal] does a command:
// from outside its aggregates have no commands, queries, state and events, and are refused
// with [CodeUnknownKind]. Who may read the event stream over NATS reads its events there. A
// node's subcommands that show an aggregate ask over HTTP, and do not show one of the kind.
func (d *Definition[S]) Internal() { d.behavior.internal = true }

// IsInternal reports whether the kind is the application's own, see [Definition.Internal].
func (b *Behavior) IsInternal() bool { return b.internal }

// Conceals returns the code with which a message from outside is refused, as it asks for
// what is the application's own: [CodeUnknownKind] or [CodeUnknownCommand]. [CodeOK]: it
// asks for nothing of that. What is not declared at all is not concealed.
func (b *Behavior) Conceals(t MessageType, name string) Code {
	if b.internal {
		return CodeUnknownKind
	}
	if t == TypeState {
		return CodeOK
	}
	if h := b.handlers(t)[name]; h != nil && h.internal {
		return CodeUnknownCommand
	}
	return CodeOK
}
