package actor

import "context"

// Handler takes the messages of one partition at its owner.
type Handler interface {
	// Durable takes the next command of the partition's part of the command
	// stream, in stream order. It may block, and then holds up this partition's
	// durable lane alone; it returns when ctx ends. A message that could not be read
	// comes with Unreadable in the place of the command.
	Durable(ctx context.Context, d Delivery)
	// Direct takes a message of the direct lane. It does not block, and may be
	// called by several goroutines at once.
	Direct(d Delivery)
}

// Subscription is the flow of one partition's messages to a [Handler].
type Subscription interface {
	// Stop ends the flow. After it has returned nil, no call of the handler is
	// running or will be made. It returns early with an error when ctx ends.
	Stop(ctx context.Context) error
	// Position returns the sequence of the command stream up to which all of the
	// partition's commands have been handed to the handler and taken by it. It is
	// at or above that of the last one, and never goes back.
	Position() uint64
	// Done is closed when the flow has ended, by Stop or by a failure.
	Done() <-chan struct{}
	// Err returns why the flow ended; nil after Stop, and while it goes on.
	Err() error
}
