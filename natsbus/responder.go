package natsbus

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// responder takes one outcome to the inbox of whoever waits for it.
type responder struct {
	bus   *Bus
	inbox string
	read  bool // the message could be asked again without effect
}

// responderTo returns nil for a message that nobody waits for, or whose inbox no
// owner may publish to.
func (b *Bus) responderTo(inbox string, t actor.MessageType) actor.Responder {
	if !b.ns.Replyable(inbox) {
		return nil
	}
	if to, ok := b.local.clients.responderTo(inbox, t != actor.TypeCommand); ok {
		return to
	}
	return &responder{bus: b, inbox: inbox, read: t != actor.TypeCommand}
}

// Respond implements [actor.Responder]. Publishing only fills the connection's
// buffer. What is lost with the connection is asked for again.
func (r *responder) Respond(o actor.Outcome) {
	err := r.bus.nc.PublishMsg(wire.EncodeOutcome(r.inbox, o))
	if errors.Is(err, nats.ErrMaxPayload) {
		err = r.bus.nc.PublishMsg(wire.EncodeOutcome(r.inbox, tooLarge(o, r.read)))
	}
	if err != nil {
		r.bus.cfg.Logger.Debug("outcome not sent", slog.String("inbox", r.inbox), slog.Any("error", err))
	}
}

// tooLarge stands in for an outcome that NATS cannot carry. A command has been
// executed, which its caller must not be told otherwise.
func tooLarge(o actor.Outcome, read bool) actor.Outcome {
	detail := fmt.Sprintf("the answer of %d bytes is larger than NATS carries", len(o.Reply))
	if read {
		return actor.Failure(actor.CodeTooLarge, detail)
	}
	return actor.Outcome{Code: actor.CodeUnknownOutcome, Version: o.Version, Detail: "executed, but " + detail}
}
