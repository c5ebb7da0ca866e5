package natsbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// refusal is an error with which a stream has answered a message: it is not stored.
type refusal struct {
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

func (r *refusal) Error() string { return r.Description + " (" + strconv.Itoa(r.Code) + ")" }

// EventsTail returns the incarnation of the event stream, the position of its newest
// event, and the mark that was appended with that event, empty before the first.
//
// It makes the stream anew when it is gone, after the server has said so for two
// seconds, until when it fails with [ErrEventsLost]. So it does when events are
// missing from it that no limit of the stream has removed, or when the newest message
// is not one of [Bus.AppendEvents].
func (b *Bus) EventsTail(ctx context.Context) (stream string, last uint64, mark string, err error) {
	s, err := b.events(ctx)
	switch {
	case errors.Is(err, ErrNotProvisioned) && b.goneFor(b.ns.EventStream()) >= lossGrace:
		s, err = createEvents(ctx, b.js, b.cfg)
	case err == nil && !s.whole:
		s, err = b.remakeEvents(ctx, s)
	}
	if err != nil {
		return "", 0, "", fmt.Errorf("end of events: %w", eventsLost(err))
	}
	if s.last == 0 {
		return s.incarnation, 0, "", nil
	}
	newest, err := b.js.Stream(ctx, b.ns.EventStream())
	if err != nil {
		return "", 0, "", fmt.Errorf("end of events: %w", err)
	}
	msg, err := newest.GetMsg(ctx, s.last)
	if err != nil {
		return "", 0, "", fmt.Errorf("newest event: %w", err)
	}
	if mark, err = wire.Mark(msg.Header); err != nil || mark == "" {
		if s, err = b.remakeEvents(ctx, s); err != nil {
			return "", 0, "", fmt.Errorf("end of events: %w", err)
		}
		return s.incarnation, s.last, "", nil
	}
	return s.incarnation, s.last, mark, nil
}

func (b *Bus) remakeEvents(ctx context.Context, is eventStream) (eventStream, error) {
	if err := b.RebuildEvents(ctx, is.incarnation); err != nil {
		return eventStream{}, err
	}
	return createEvents(ctx, b.js, b.cfg)
}

// eventHeadersMax is more than the headers of an event take: its address, its command's id
// and metadata, escaped, and the relay's mark.
const eventHeadersMax = 24 << 10

// MaxEventBytes returns how large the data of an event may be: what the server takes as one
// message, less the headers.
func (b *Bus) MaxEventBytes() int { return max(int(b.nc.MaxPayload())-eventHeadersMax, 0) }

// AppendEvents appends events, in order and with a mark each, to that incarnation of
// the event stream, whose newest event must have the position after. Positions in
// the events are ignored: the first one gets after+1. It returns nil when all of them
// are stored, and otherwise an error after which the first so many of them may be,
// even later on; [Bus.EventsTail] tells. The error wraps [ErrEventsMoved] when the
// stream has another end or is another one.
//
// Two callers may append at the same time: the server lets one of them. Nothing of a
// call is stored behind what another one has stored meanwhile, however many batches the
// two are cut into.
func (b *Bus) AppendEvents(ctx context.Context, stream string, after uint64, events []actor.EventRecord, marks []string) error {
	_, drawn, _ := strings.Cut(stream, "-")
	status := b.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer b.nc.RemoveStatusListener(status)
	answers := make(chan *nats.Msg, 1) // one batch is complete at a time
	sub, err := b.nc.ChanSubscribe(b.nc.NewInbox(), answers)
	if err != nil {
		return fmt.Errorf("append events: %w", err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // it fails only when the connection is closed, and then there is nothing to undo
	if err := b.appendBatches(ctx, cutEvents(after, events, marks), drawn, sub.Subject, answers, status); err != nil {
		return fmt.Errorf("append events: %w", moved(err))
	}
	return nil
}

// appendBatches completes each batch after the answer to the one before it. The server
// compares the position that a batch names with the end of the stream, and nothing
// else: completed at once, the second batch of a call could stand on the first batch of
// another call, and its own first one be refused.
//
//	call A                       call B
//	0 to 500: stored             0 to 500: refused, the end is 500
//	                             500 to 1000: would be stored
//
// What a server keeps of a batch that is not complete is in no order with anything, so
// that all but the last message of the next one is sent meanwhile.
func (b *Bus) appendBatches(ctx context.Context, batches []eventBatch, drawn, inbox string, answers <-chan *nats.Msg, status <-chan nats.Status) error {
	for i := range batches {
		batch := &batches[i]
		err := b.prepareBatch(batch, drawn)
		if err == nil && i > 0 {
			err = awaitAppended(ctx, answers, status)
		}
		if err == nil {
			err = b.completeBatch(batch, drawn, inbox)
		}
		if err != nil {
			b.abandonBatch(batch, drawn)
			return err
		}
	}
	if len(batches) == 0 {
		return nil
	}
	return awaitAppended(ctx, answers, status)
}

// awaitAppended waits for the answer to the batch that was completed. An answer is lost
// with the connection.
func awaitAppended(ctx context.Context, answers <-chan *nats.Msg, status <-chan nats.Status) error {
	select {
	case reply := <-answers:
		return acknowledged(reply)
	case <-status:
		return errReconnected
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// acknowledged reads the answer of a stream to a message.
func acknowledged(reply *nats.Msg) error {
	if stored(reply.Data) {
		return nil
	}
	if len(reply.Data) == 0 && wire.First(reply.Header, headerStatus) == statusNoResponders {
		return nats.ErrNoResponders
	}
	var ack struct {
		Sequence uint64   `json:"seq"`
		Error    *refusal `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil {
		return fmt.Errorf("answer %.100q: %w", reply.Data, err)
	}
	if ack.Error != nil {
		return ack.Error
	}
	if ack.Sequence == 0 {
		return fmt.Errorf("answer %.100q: %w", reply.Data, wire.ErrWire)
	}
	return nil
}

// The codes with which a stream refuses a message whose expectation does not hold.
const (
	apiWrongLastSequence = 10071
	apiSequenceInFlight  = 10164 // it may not hold: another message is on its way
)

func isWrongSequence(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && (r.Code == apiWrongLastSequence || r.Code == apiSequenceInFlight)
}

// moved names what has happened when an append finds another end, or no stream with
// the subjects of its incarnation.
func moved(err error) error {
	if isWrongSequence(err) || errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("%w: %w", ErrEventsMoved, err)
	}
	return err
}
