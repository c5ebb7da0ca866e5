package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/projection"
)

const (
	headerExpected      = "Nats-Expected-Last-Subject-Sequence"
	headerBatch         = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
	headerTTL           = "Nats-TTL"
	headerDeleted       = "Ganglion-Deleted"

	// keepDeleted is how long a deletion is kept, for readers that a slow replica
	// answers, and watchers.
	keepDeleted = "1h"

	maxBatch    = 1000 // messages of an atomic batch
	headerSpace = 512  // more than the headers of a message take
)

// The error codes of the server that mean something definite.
const (
	codeMessageTooLarge      jetstream.ErrorCode = 10054
	codeWrongSequence        jetstream.ErrorCode = 10071
	codeHeaderTooLarge       jetstream.ErrorCode = 10097
	codeWrongSequenceOrBusy  jetstream.ErrorCode = 10164 // also: another write to the subject is in flight
	codeTooManyRequests      jetstream.ErrorCode = 10167
	codeBatchIncomplete      jetstream.ErrorCode = 10176
	codeBatchTooLarge        jetstream.ErrorCode = 10199
	codeBatchTooManyInFlight jetstream.ErrorCode = 10210
)

// Begin implements [projection.Storage].
func (s *Storage) Begin() projection.Transaction { return &transaction{s} }

// transaction is nothing before its commit.
type transaction struct{ storage *Storage }

// Abort implements [projection.Transaction].
func (*transaction) Abort(context.Context) {}

// Commit implements [projection.Transaction] with one atomic batch.
func (t *transaction) Commit(ctx context.Context, writes []projection.Write) ([]projection.Revision, error) {
	s := t.storage
	if len(writes) == 0 {
		return nil, nil
	}
	if len(writes) > maxBatch {
		return nil, fmt.Errorf("%d writes, a batch has %d at most: %w", len(writes), maxBatch, projection.ErrTooLarge)
	}
	messages := make([]*nats.Msg, len(writes))
	for i := range writes {
		var err error
		if messages[i], err = s.message(&writes[i]); err != nil {
			return nil, err
		}
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	last, err := s.group.publish(ctx, messages)
	if err != nil {
		return nil, err
	}
	s.raiseFloor(last)
	revisions := make([]projection.Revision, len(writes))
	for i, m := range messages {
		seq := last - uint64(len(writes)-1-i) //nolint:gosec // i < len(writes)
		if writes[i].Data == nil {
			s.buried(m.Subject, seq)
			continue
		}
		s.buried(m.Subject, 0)
		revisions[i] = projection.Revision(strconv.FormatUint(seq, 10))
	}
	return revisions, nil
}

func (s *Storage) message(w *projection.Write) (*nats.Msg, error) {
	if limit := int(s.nc.MaxPayload()) - headerSpace; len(w.Data) > limit {
		return nil, fmt.Errorf("document %q of %d bytes, the server takes %d: %w", w.Key, len(w.Data), limit, projection.ErrTooLarge)
	}
	m := nats.NewMsg(s.subject(w.Place, w.Key))
	m.Data = w.Data
	if w.Data == nil {
		m.Header.Set(headerDeleted, "1")
		m.Header.Set(headerTTL, keepDeleted)
	}
	switch {
	case !w.Check:
	case w.Expect != "":
		m.Header.Set(headerExpected, string(w.Expect))
	default: // nothing, or what a deletion has left
		m.Header.Set(headerExpected, strconv.FormatUint(s.tomb(m.Subject), 10))
	}
	return m, nil
}

// request publishes a message and waits for the answer.
func (s *Storage) request(ctx context.Context, m *nats.Msg) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("%w: %w", projection.ErrUnavailable, err)
	}
	reply, err := s.nc.RequestMsgWithContext(ctx, m)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return 0, fmt.Errorf("%w: %w", projection.ErrUnavailable, err)
	case errors.Is(err, nats.ErrMaxPayload):
		return 0, fmt.Errorf("%w: %w", projection.ErrTooLarge, err)
	case err != nil:
		return 0, fmt.Errorf("%w: %w", projection.ErrUnknown, err)
	}
	var ack struct {
		Error    *jetstream.APIError `json:"error"`
		Sequence uint64              `json:"seq"`
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil || ack.Error == nil && ack.Sequence == 0 {
		return 0, fmt.Errorf("%w: acknowledgement %q: %w", projection.ErrUnknown, reply.Data, errors.Join(err, errBroken))
	}
	if ack.Error != nil {
		return 0, refusal(ack.Error)
	}
	return ack.Sequence, nil
}

// refusal translates the server's answer to what was not stored.
func refusal(e *jetstream.APIError) error {
	kind := projection.ErrUnknown
	switch e.ErrorCode {
	case codeWrongSequence, codeWrongSequenceOrBusy:
		kind = projection.ErrConflict
	case codeMessageTooLarge, codeHeaderTooLarge, codeBatchTooLarge:
		kind = projection.ErrTooLarge
	case codeTooManyRequests, codeBatchIncomplete, codeBatchTooManyInFlight:
		kind = projection.ErrUnavailable
	default: // also a stream that is full, which the server tells like a disk that failed
	}
	return fmt.Errorf("%w: %w", kind, e)
}
