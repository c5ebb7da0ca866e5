package natsbus

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
)

// Announce tells the other nodes of the namespace that sessions or claims have
// changed, with a message for them, which may be empty. It only fills the connection's
// buffer, and may be lost.
func (b *Bus) Announce(_ context.Context, message []byte) error {
	if err := b.nc.Publish(b.ns.Changed(), append([]byte(b.origin), message...)); err != nil {
		return fmt.Errorf("announce a change: %w", err)
	}
	return nil
}

// Announced calls changed with the message of each announcement of another bus, one
// after the other, until stop is called. changed must neither block nor keep the message.
// A last call may come while stop is called.
func (b *Bus) Announced(changed func(message []byte)) (stop func(), err error) {
	sub, err := b.nc.Subscribe(b.ns.Changed(), func(msg *nats.Msg) {
		if len(msg.Data) < len(b.origin) {
			changed(nil)
			return
		}
		if origin, message := msg.Data[:len(b.origin)], msg.Data[len(b.origin):]; string(origin) != b.origin {
			changed(message)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to changes: %w", err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// nowOwned tells clients that a partition is served here. Whoever waits for an
// owner, or for the answer of a former one, asks again.
func (b *Bus) nowOwned(p actor.Partition) {
	if err := b.nc.Publish(b.ns.Owned(p), []byte(ownerListensToNodes)); err != nil {
		b.cfg.Logger.Debug("owner not announced", slog.Uint64("partition", uint64(p)), slog.Any("error", err))
	}
}

// ownerChanged has the calls try again that ask the partition's owner.
func (c *Client) ownerChanged(msg *nats.Msg) {
	if p, ok := c.ns.OwnedPartition(msg.Subject); ok {
		c.families.owned(p, string(msg.Data))
		c.calls.moved(p)
	}
}
