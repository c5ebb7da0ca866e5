package natsbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

const (
	// sendPatience is how long a stream may take to answer one message, at first. It
	// doubles up to sendMaxPatience.
	sendPatience    = time.Second
	sendMaxPatience = 4 * time.Second

	sendMinPause = 20 * time.Millisecond
	sendMaxPause = time.Second
)

// Send stores a command of the runtime in the command stream for its owner. Nobody waits for the
// outcome. It tries again, with the same id, until the stream has stored it or ctx
// ends. The error is an [*actor.Error] with [actor.CodeMalformed] or
// [actor.CodeTooLarge] when no try can succeed. When ctx ends first, and the stream's
// last answer was that it takes no message at all at present, the error is, or wraps,
// one with a method OfStream that returns true.
func (b *Bus) Send(ctx context.Context, m actor.Message) error {
	if err := m.Validate(); err != nil || m.Type != actor.TypeCommand {
		return actor.Failure(actor.CodeMalformed, fmt.Sprintf("%s for %s: %v", m.Name, m.Target, err)).Err()
	}
	return b.insist(ctx, func() (*nats.Msg, error) {
		return &nats.Msg{Subject: b.ns.Run(m.Target), Header: wire.EncodeMessage(&m), Data: m.Data}, nil
	})
}

// errNothing says that there is nothing to publish any more.
var errNothing = errors.New("nothing to publish")

// insist publishes what next makes until a stream has stored it, next fails, or ctx
// ends.
func (b *Bus) insist(ctx context.Context, next func() (*nats.Msg, error)) error {
	patience, wait := sendPatience, sendMinPause
	var refused *refusal // the last answer, should the last try be cut off by the end of ctx
	for {
		msg, err := next()
		switch {
		case errors.Is(err, errNothing):
			return nil
		case err == nil:
			err = b.request(ctx, msg, patience)
		}
		if r, ok := errors.AsType[*refusal](err); ok {
			refused = r
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return notSent(ctx, err, refused)
		case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
			return err
		case refusedAsTooLarge(err):
			return actor.Failure(actor.CodeTooLarge, fmt.Sprintf("%d bytes and headers: %v", len(msg.Data), err)).Err()
		case refusedForGood(err):
			return actor.Failure(actor.CodeMalformed, fmt.Sprintf("publish to %.256q: %v", msg.Subject, err)).Err()
		case isWrongSequence(err):
			wait = sendMinPause
		}
		if !pause(ctx, jitter(wait)) {
			return notSent(ctx, err, refused)
		}
		patience, wait = min(2*patience, sendMaxPatience), min(2*wait, sendMaxPause)
	}
}

// notSent is the error when ctx has ended first.
func notSent(ctx context.Context, err error, refused *refusal) error {
	if refused == nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return errors.Join(context.Cause(ctx), err, refused)
}

// request publishes a message to a stream and waits for its answer.
func (b *Bus) request(ctx context.Context, msg *nats.Msg, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	reply, err := b.nc.RequestMsgWithContext(ctx, msg)
	if err != nil {
		return fmt.Errorf("publish to %s: %w", msg.Subject, err)
	}
	if err := acknowledged(reply); err != nil {
		return fmt.Errorf("publish to %s: %w", msg.Subject, err)
	}
	return nil
}

func refusedAsTooLarge(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return errors.Is(err, nats.ErrMaxPayload) || ok && (r.Code == apiMessageTooLarge || r.Code == apiHeadersTooLarge)
}
