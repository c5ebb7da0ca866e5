package runtime

import (
	"context"
	"encoding/json"

	"github.com/ganglion-go/ganglion/store"
)

// park takes a command out of the way, durably. It waits for the store as long
// as the partition is served, and returns false when that ends first: its next
// owner then reads the command again.
func (p *partition) park(d *delivery, reason, stack string) bool {
	message, err := json.Marshal(d.Message)
	if err != nil { // a Message has no part that cannot be encoded
		panic("runtime: encode message: " + err.Error())
	}
	parked := store.Parked{
		Aggregate: store.Aggregate(d.Message.Target.String()),
		CommandID: string(d.Message.ID),
		Name:      d.Message.Name,
		Reason:    reason,
		Stack:     stack,
		Attempts:  d.panics,
		Time:      p.cfg.Clock.Now(),
		Message:   message,
	}
	err = p.retryBounded(func(ctx context.Context) error {
		return p.store.Park(ctx, parked)
	})
	if err != nil {
		return false
	}
	if f := p.cfg.Listener.Parked; f != nil {
		f(d.Message.Target.Kind)
	}
	return true
}
