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
	// Stream returns the incarnation of the command stream. It is another one
	// after the stream was deleted and made anew.
	Stream() string
	// LastSequence returns the last sequence of the command stream.
	LastSequence(ctx context.Context) (uint64, error)
	// Serve brings the partition's commands above the sequence after, in order,
	// and its direct messages, to the handler.
	Serve(ctx context.Context, p actor.Partition, after uint64, h actor.Handler) (actor.Subscription, error)
	// Trim removes all commands up to and including the sequence, of every partition.
	Trim(ctx context.Context, upTo uint64) error
	// TrimPartition removes the partition's commands up to and including the
	// sequence. It costs much more than Trim.
	TrimPartition(ctx context.Context, p actor.Partition, upTo uint64) error
	// Announce tells the other nodes that sessions or claims have changed. It may
	// be lost: it saves them the time until they look by themselves.
	Announce(ctx context.Context) error
	// Announced calls changed after each announcement of another node, until stop
	// is called. changed does not block.
	Announced(changed func()) (stop func(), err error)
}
