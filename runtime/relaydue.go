package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// asideForwarder is an outbox that lets go of nothing that comes due.
type asideForwarder interface {
	ForwardTimersAside(ctx context.Context, aside func(ctx context.Context, m actor.Message, u *actor.Unreadable, why error) error) error
}

// keepDue parks what has come due, and cannot be read, or not be sent. It fails, and the
// forwarder goes on trying, while the streams are away or take nothing from anybody.
func (r *Relay) keepDue(ctx context.Context, m actor.Message, u *actor.Unreadable, why error) error {
	if u != nil {
		return r.keepUnreadable(ctx, u, "due")
	}
	if never, ok := errors.AsType[*actor.Error](why); ok {
		return r.parkFinal(ctx, &m, never)
	}
	bounded, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	if _, _, err := r.outbox.Outgoing(bounded); err != nil || ofStream(why) {
		return errors.Join(why, err)
	}
	last, _, err := r.isHeld(ctx, store.Aggregate(m.Target.String()))
	if err != nil {
		return err
	}
	return r.holdMessage(ctx, &m, encodeParked(&m, WaitsUnsent), last, "it has come due, and could not be sent: "+why.Error())
}

// parkFinal parks a command that no try can send.
func (r *Relay) parkFinal(ctx context.Context, m *actor.Message, never *actor.Error) error {
	return r.parkNew(ctx, store.Parked{
		Aggregate: store.Aggregate(m.Target.String()), CommandID: string(m.ID), Name: m.Name,
		Reason: cannotBeSent(never), Attempts: 1, Time: time.Now(), Message: encodeParked(m, actor.CodeOK),
	}, m.Target.Kind)
}

// keepUnreadable parks what cannot be read, once, however often it is met: its id is made
// of what it is.
func (r *Relay) keepUnreadable(ctx context.Context, u *actor.Unreadable, from string) error {
	record := encodeUnreadable(u)
	sum := sha256.Sum256(record)
	return r.parkNew(ctx, store.Parked{
		Aggregate: store.Aggregate(actor.Address{Kind: KindUnreadable, ID: from}.String()),
		CommandID: fmt.Sprintf("ganglion.unreadable.%s.%s", from, hex.EncodeToString(sum[:12])), Name: string(KindUnreadable),
		Reason: shorten(u.Reason, parkedReasonMax), Time: time.Now(), Message: record,
	}, KindUnreadable)
}

// keepUnsendable parks what a commit sends to an address that there cannot be, or in a form
// that nobody understands.
func (r *Relay) keepUnsendable(ctx context.Context, c *store.Commit, o *store.Outgoing, why error) error {
	return r.keepUnreadable(ctx, &actor.Unreadable{
		Subject: fmt.Sprintf("sent by %s, version %d", c.Aggregate, c.First),
		Header:  map[string][]string{"To": {string(o.To)}, "Id": {o.ID}, "Name": {o.Name}, "Timer": {o.Timer}},
		Data:    o.Data, Reason: why.Error(),
	}, "sent")
}
