package pull

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// The headers of what the server says about a consumer.
const (
	headerStatus          = "Status"
	headerDescription     = "Description"
	headerPendingMessages = "Nats-Pending-Messages"
	headerLastConsumer    = "Nats-Last-Consumer"
	headerLastStream      = "Nats-Last-Stream"
)

// serverShutdown is how a server that ends describes the end of the requests to the
// consumers that are on it alone. They are gone with it: another request would be
// heard by nobody, and nothing would say so.
const serverShutdown = "Server Shutdown"

var (
	// ErrGap reports that the server has sent messages that did not arrive.
	ErrGap = errors.New("messages were lost on the way")

	// ErrStatus reports that the server has given the consumer up.
	ErrStatus = errors.New("server gave up the consumer")
)

// Flow is the state of one consumer.
type Flow struct {
	window  int
	open    int    // messages granted and not yet used
	last    uint64 // the consumer's count of the last message
	reached uint64 // see Reached
	pending uint64 // see Pending
}

// NewFlow returns the flow of a new consumer that starts at a sequence of its
// stream, where so many messages wait for it, and that may have up to window
// messages on the way.
func NewFlow(start, pending uint64, window int) *Flow {
	return &Flow{window: window, reached: max(start, 1) - 1, pending: pending}
}

// Reached returns the sequence of the stream up to which everything that the
// consumer is to deliver has been accepted. It is that of the last message, or
// beyond it: when the consumer has looked further and found nothing for it, its
// heartbeat says how far.
func (f *Flow) Reached() uint64 { return f.reached }

// Pending returns how many messages the server had for the consumer after the
// last one that was accepted.
func (f *Flow) Pending() uint64 { return f.pending }

// Grant returns how many messages to ask for now, 0 for none. It asks again when
// half of the window is used up: seldom, and before the server runs dry.
func (f *Flow) Grant() int {
	if f.open > f.window/2 {
		return 0
	}
	n := f.window - f.open
	f.open = f.window
	return n
}

// Accept takes what has arrived. It returns the sequence of a message, 0 for
// anything else, and an error when the flow has ended.
func (f *Flow) Accept(msg *nats.Msg) (uint64, error) {
	at, ok := wire.ParsePosition(msg.Reply)
	if !ok {
		return 0, f.acceptStatus(wire.First(msg.Header, headerStatus), msg.Header)
	}
	if at.Consumer != f.last+1 {
		return 0, fmt.Errorf("delivery %d after %d: %w", at.Consumer, f.last, ErrGap)
	}
	f.last = at.Consumer
	f.open = max(f.open-1, 0)
	f.reached, f.pending = max(f.reached, at.Stream), at.Pending
	return at.Stream, nil
}

func (f *Flow) acceptStatus(status string, h nats.Header) error {
	switch status {
	case "100": // a heartbeat tells of losses that no later message would
		return f.acceptHeartbeat(wire.First(h, headerLastConsumer), wire.First(h, headerLastStream))
	case "408", "409": // the request has ended; without a remainder the consumer has
		remainder, err := strconv.Atoi(wire.First(h, headerPendingMessages))
		if err == nil && remainder >= 0 && wire.First(h, headerDescription) != serverShutdown {
			f.open = max(f.open-remainder, 0)
			return nil
		}
	}
	return fmt.Errorf("status %q %s: %w", status, wire.First(h, headerDescription), ErrStatus)
}

// acceptHeartbeat takes the count of the last delivery and the sequence of the
// stream up to which the consumer has looked for messages; either can be 0,
// which ParseSequence does not take for a number.
func (f *Flow) acceptHeartbeat(delivered, looked string) error {
	last, _ := wire.ParseSequence(delivered)
	if last > f.last {
		return fmt.Errorf("delivery %d of %d: %w", f.last, last, ErrGap)
	}
	if upTo, ok := wire.ParseSequence(looked); ok && delivered != "" && last == f.last {
		f.reached, f.pending = max(f.reached, upTo), 0
	}
	return nil
}
