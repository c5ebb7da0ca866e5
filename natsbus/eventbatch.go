package natsbus

import (
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/ganglion-go/ganglion/actor"
)

const (
	headerBatch         = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
	headerExpectedLast  = "Nats-Expected-Last-Sequence"

	// maxBatch and maxBatchBytes bound what is published as one. A server takes up
	// to 1,000 messages in an atomic batch.
	maxBatch      = 1000
	maxBatchBytes = 4 << 20

	// eventHeaderBytes is about what the headers of an event take.
	eventHeaderBytes = 512
)

// eventBatch is what is stored as one: the server stores all of it or nothing, behind
// the position that it names. Should it ever be stored in part, each event has its mark.
type eventBatch struct {
	id     string // empty: one event alone, which needs no batch
	after  uint64
	events []actor.EventRecord // at least one
	marks  []string
}

// cutEvents cuts what follows the position after into batches.
func cutEvents(after uint64, events []actor.EventRecord, marks []string) (batches []eventBatch) {
	for len(events) > 0 {
		n, size := 0, 0
		for n < len(events) && n < maxBatch && (n == 0 || size < maxBatchBytes) {
			size += len(events[n].Data) + len(marks[n]) + eventHeaderBytes
			n++
		}
		batch := eventBatch{after: after, events: events[:n], marks: marks[:n]}
		if n > 1 {
			batch.id = nuid.Next()
		}
		batches = append(batches, batch)
		after, events, marks = after+uint64(n), events[n:], marks[n:] //nolint:gosec // not negative
	}
	return batches
}

// encode writes the message of one event of the batch.
func (e *eventBatch) encode(b *Bus, drawn string, i int) *nats.Msg {
	msg := b.ns.EncodeEvent(drawn, &e.events[i], e.marks[i])
	if e.id != "" {
		msg.Header[headerBatch] = []string{e.id}
		msg.Header[headerBatchSequence] = []string{strconv.Itoa(i + 1)}
	}
	if i == 0 {
		msg.Header[headerExpectedLast] = []string{strconv.FormatUint(e.after, 10)}
	}
	return msg
}

// prepareBatch sends all but the last message. Nothing of it is in the stream before
// [Bus.completeBatch].
func (b *Bus) prepareBatch(e *eventBatch, drawn string) error {
	for i := range len(e.events) - 1 {
		if err := b.publishEvent(e, i, e.encode(b, drawn, i)); err != nil {
			return err
		}
	}
	return nil
}

// completeBatch sends the last message, whose answer, to an inbox, is that of the batch.
func (b *Bus) completeBatch(e *eventBatch, drawn, inbox string) error {
	last := len(e.events) - 1
	msg := e.encode(b, drawn, last)
	msg.Reply = inbox
	if e.id != "" {
		msg.Header[headerBatchCommit] = []string{"1"}
	}
	return b.publishEvent(e, last, msg)
}

// abandonBatch has the server forget what it keeps of a batch that is not complete,
// which it else does after ten seconds: it keeps a few dozen at a time. A message out
// of turn ends a batch. What fails here mends itself then.
func (b *Bus) abandonBatch(e *eventBatch, drawn string) {
	if e.id == "" {
		return
	}
	msg := e.encode(b, drawn, 0)
	msg.Data = nil
	msg.Header[headerBatchSequence] = []string{strconv.Itoa(len(e.events) + 2)}
	_ = b.nc.PublishMsg(msg)
}

func (b *Bus) publishEvent(e *eventBatch, i int, msg *nats.Msg) error {
	if err := b.nc.PublishMsg(msg); err != nil {
		return fmt.Errorf("%s version %d: %w", e.events[i].Source, e.events[i].Version, err)
	}
	return nil
}
