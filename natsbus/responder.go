package natsbus

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

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

// responderTo returns nil for a message that nobody waits for, or whose inbox is not
// that of a caller of this namespace. On the direct lane it is the message's reply subject,
// and may be one that the server made for a caller of another account.
func (b *Bus) responderTo(lane actor.Lane, inbox string, t actor.MessageType) actor.Responder {
	if inbox == "" {
		return nil
	}
	if !b.ns.Replyable(inbox) && (lane != actor.LaneDirect || !wire.OfAnotherAccount(inbox)) {
		b.notReplyable(inbox)
		return nil
	}
	if to, ok := b.local.clients.responderTo(inbox, t != actor.TypeCommand); ok {
		return to
	}
	return &responder{bus: b, inbox: inbox, read: t != actor.TypeCommand}
}

// notReplyableEvery is the time between two lines of the log about inboxes.
const notReplyableEvery = 10 * time.Second

// notReplyable tells of a caller who gets no answer: somebody who tries where a node may
// publish, or a client of an earlier build, whose inboxes were outside of the namespace.
func (b *Bus) notReplyable(inbox string) {
	if b.cfg.Events.NotReplyable != nil {
		b.cfg.Events.NotReplyable(inbox)
	}
	now := time.Now().UnixNano()
	if last := b.warned.Load(); now-last > int64(notReplyableEvery) && b.warned.CompareAndSwap(last, now) {
		b.cfg.Logger.Warn("an answer is not sent: its subject is no inbox of a client of this namespace, or of one of an earlier build",
			slog.String("inbox", inbox[:min(len(inbox), 256)]))
	}
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
