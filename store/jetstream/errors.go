package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/store"
)

var (
	// ErrFull says that the server refused to store a message, for lack of space or
	// because its disk failed. It always comes together with store.ErrUnknown.
	ErrFull = errors.New("stream cannot store more")
	// ErrConfig says that the configuration is invalid, or not that of the
	// streams that exist.
	ErrConfig = errors.New("store configuration")

	// errMoved: the subject's last message is not the expected one, or not for
	// sure. Nothing was written.
	errMoved = errors.New("subject has moved on")
	// errNotTaken: nobody took the message, nothing was written.
	errNotTaken = errors.New("message was not taken")
	// errSilent: nobody has answered one request.
	errSilent = errors.New("no answer")
	// errBehind: a replica does not have what the leader has.
	errBehind = errors.New("replica is behind")
)

// The error codes of the server that mean more to this package than "unknown".
const (
	codeNoSuitablePeers      jetstream.ErrorCode = 10005 // as long as a cluster gathers
	codeReplicasInCluster    jetstream.ErrorCode = 10074 // replicas asked of a single server
	codeResourcesExceeded    jetstream.ErrorCode = 10002
	codeInsufficient         jetstream.ErrorCode = 10023
	codeMemoryExceeded       jetstream.ErrorCode = 10028
	codeStorageExceeded      jetstream.ErrorCode = 10047
	codeMessageTooLarge      jetstream.ErrorCode = 10054
	codeWrongSequence        jetstream.ErrorCode = 10071
	codeStoreFailed          jetstream.ErrorCode = 10077
	codeHeaderTooLarge       jetstream.ErrorCode = 10097
	codeWrongSequenceOrBusy  jetstream.ErrorCode = 10164 // also: another write to the subject is in flight
	codeTooManyRequests      jetstream.ErrorCode = 10167
	codeBatchDisabled        jetstream.ErrorCode = 10174
	codeBatchIncomplete      jetstream.ErrorCode = 10176
	codeBatchTooLarge        jetstream.ErrorCode = 10199
	codeBatchTooManyInFlight jetstream.ErrorCode = 10210
)

// refusal translates the server's answer to a publish that was not stored.
func refusal(e *jetstream.APIError) error {
	switch e.ErrorCode {
	case codeWrongSequence, codeWrongSequenceOrBusy:
		return fmt.Errorf("%w: %w", errMoved, e)
	case codeMessageTooLarge, codeHeaderTooLarge:
		return fmt.Errorf("%w: %w", store.ErrTooLarge, e)
	case codeTooManyRequests, codeBatchDisabled, codeBatchIncomplete, codeBatchTooLarge, codeBatchTooManyInFlight:
		return fmt.Errorf("%w: %w", errNotTaken, e)
	case codeStoreFailed, codeResourcesExceeded, codeInsufficient, codeMemoryExceeded, codeStorageExceeded:
		return fmt.Errorf("%w: %w: %w", store.ErrUnknown, ErrFull, e)
	default:
		return fmt.Errorf("%w: %w", store.ErrUnknown, e)
	}
}

// acknowledgement reads the answer to a publish: the sequence of the message, or
// of the last one of a batch.
func acknowledgement(m *nats.Msg) (uint64, error) {
	if m.Header.Get("Status") == statusNoResponders {
		return 0, fmt.Errorf("%w: %w", errNotTaken, nats.ErrNoResponders)
	}
	var ack struct {
		Error    *jetstream.APIError `json:"error"`
		Sequence uint64              `json:"seq"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return 0, fmt.Errorf("%w: acknowledgement: %w", store.ErrUnknown, err)
	}
	if ack.Error != nil {
		return 0, refusal(ack.Error)
	}
	if ack.Sequence == 0 {
		return 0, fmt.Errorf("%w: acknowledgement without a sequence", store.ErrUnknown)
	}
	return ack.Sequence, nil
}

// sendFailed translates an error of handing a message to the client library, or
// of waiting for its answer.
func sendFailed(err error) error {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", store.ErrTooLarge, err)
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: %w", errNotTaken, err)
	default:
		return fmt.Errorf("%w: %w", store.ErrUnknown, err)
	}
}

// unavailable translates an error of a read.
func unavailable(err error) error {
	if errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrCorrupt) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// unknown translates the error of a write that did not come to its end.
func unknown(err error) error {
	if errors.Is(err, store.ErrUnknown) || errors.Is(err, store.ErrTooLarge) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrUnknown, err)
}

func writable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return unknown(err)
	}
	return nil
}
