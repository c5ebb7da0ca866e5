package runtime

import (
	"context"
	"iter"

	"github.com/ganglion-go/ganglion/actor"
)

// Outbox is where a [Relay] brings what was committed: the event stream, the command
// stream, and timers. Package natsbus implements it. All methods are safe for
// concurrent use, also by the relays of two nodes.
//
// One with a method MaxEventBytes() int says how large the data of an event may be: the
// aggregate of a larger one is held, as if its commit could not be read. One with a method
// ForwardTimersAside, as that of natsbus.Bus, loses nothing that comes due.
type Outbox interface {
	// EventsTail returns the incarnation of the event stream, the position of its
	// newest event, 0 before the first, and the mark appended with that. It makes the
	// stream anew when it was lost, or when a part of it was.
	EventsTail(ctx context.Context) (stream string, last uint64, mark string, err error)
	// AppendEvents appends events with a mark each, if that incarnation of the stream
	// ends at the position after. With an error, the first so many of them may have
	// been appended, or may yet be.
	AppendEvents(ctx context.Context, stream string, after uint64, events []actor.EventRecord, marks []string) error
	// RebuildEvents removes that incarnation of the event stream.
	RebuildEvents(ctx context.Context, stream string) error
	// EventNames yields the events of that incarnation up to a position, in order,
	// without their data and metadata, and then ends.
	EventNames(ctx context.Context, stream string, upTo uint64) iter.Seq2[actor.EventRecord, error]

	// Send stores a command for its owner. It tries until it has, or ctx ends. An
	// *actor.Error says that no try can succeed; one with a method OfStream() bool that
	// returns true, that the stream refuses every message at present.
	Send(ctx context.Context, m actor.Message) error
	// SetTimer has a command be sent at its time, unless the timer was set or
	// cancelled with a higher order. It tries as Send does.
	SetTimer(ctx context.Context, m actor.Message, timer string, order int64) error
	// CancelTimer takes a timer back, unless it was set with a higher order.
	CancelTimer(ctx context.Context, of actor.Address, timer string, order int64) error
	// KeepSchedules has the commands of exactly these schedules be sent, each at its
	// times.
	KeepSchedules(ctx context.Context, all []actor.Schedule) error
	// ForwardTimers sends what comes due, until ctx ends. More than one may do so.
	ForwardTimers(ctx context.Context) error
	// Outgoing returns the incarnations of the streams that hold what was sent and
	// is not executed. With another one, what was in it is lost.
	Outgoing(ctx context.Context) (commands, deadlines string, err error)
}
