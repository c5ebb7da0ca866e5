package natsbus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// EffectNotes visits the notes of effects that aggregates have asked for and that are not
// over, those that were noted longest ago first: of one aggregate, or of all if of is the zero
// Address. Each is the command that comes to the owner at the message's time, see
// [actor.ReadEffectTask]. One that has come due at this moment is not among them. It
// reads limit timers at most, of any sort: complete is false if there are more.
func (b *Bus) EffectNotes(ctx context.Context, of actor.Address, limit int, visit func(m actor.Message, order int64)) (complete bool, err error) {
	filter := b.ns.AllTimers()
	if of != (actor.Address{}) {
		filter = b.ns.TimersOf(of)
	}
	complete, err = b.readStored(ctx, b.ns.DeadlineStream(), []string{filter}, false, limit, func(msg *nats.Msg, sequence uint64) {
		if _, name, err := wire.DueCommand(msg.Header); err != nil || name != actor.PerformCommand {
			return
		}
		if m, err := wire.DecodeDue(msg.Header, msg.Data, sequence, time.Time{}); err == nil {
			visit(m, wire.Order(msg.Header))
		}
	})
	if err != nil {
		return false, fmt.Errorf("pending effects: %w", err)
	}
	return complete, nil
}
