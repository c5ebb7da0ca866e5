package natsbus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
)

// Backlog returns the number of stored messages of each partition that has any; one may
// hold several commands of an aggregate.
// Finished ones count until they are trimmed. It asks the server for every
// subject with a command on it, so its cost grows with the backlog: it is for
// operators, not for the way of a command.
func (b *Bus) Backlog(ctx context.Context) (map[actor.Partition]uint64, error) {
	stream, err := b.js.Stream(ctx, b.ns.Stream())
	if err != nil {
		return nil, fmt.Errorf("backlog: %w", err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(b.ns.Stored()))
	if err != nil {
		return nil, fmt.Errorf("backlog: %w", err)
	}
	backlog := map[actor.Partition]uint64{}
	for subject, n := range info.State.Subjects {
		if p, ok := b.ns.StoredPartition(subject); ok {
			backlog[p] += n
		}
	}
	return backlog, nil
}
