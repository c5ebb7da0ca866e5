package natsbus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Reach returns nil once the server that the bus is connected to has answered a question
// asked now, and an error if there is no connection, or no answer before ctx ends, which
// must have a deadline.
func (b *Bus) Reach(ctx context.Context) error {
	if !b.nc.IsConnected() {
		return fmt.Errorf("reach the server: %w", nats.ErrDisconnected)
	}
	if err := b.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("reach the server: %w", err)
	}
	return nil
}
