package runtime

import (
	"context"

	"github.com/ganglion-go/ganglion/actor"
)

// Bus is what the node needs of the messaging system. Package natsbus
// implements it. All methods are safe for concurrent use.
type Bus interface {
	// Partitions returns the number of partitions of the cluster.
	Partitions() actor.Partitions
	// Head returns the incarnation of the command stream that there is now, and
	// its last sequence. It is another incarnation after the stream was lost and
	// made anew; sequences of the two cannot be compared.
	Head(ctx context.Context) (stream string, last uint64, err error)
	// Serve brings the partition's commands above the sequence after, in order,
	// and its direct messages, to the handler. It fails, or the subscription ends,
	// when the stream is not that incarnation any more.
	Serve(ctx context.Context, p actor.Partition, stream string, after uint64, h actor.Handler) (actor.Subscription, error)
	// Trim removes the partition's commands up to and including the sequence, and
	// nothing of another incarnation of the stream.
	Trim(ctx context.Context, p actor.Partition, stream string, upTo uint64) error
}
