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
	// Expect says that partitions are about to be served, so that what can be prepared
	// is there when they are. It does not block.
	Expect()
	// Trim removes all commands of that incarnation of the stream up to and including
	// the sequence, of every partition.
	Trim(ctx context.Context, stream string, upTo uint64) error
	// TrimPartition removes the partition's commands up to and including the
	// sequence. It costs much more than Trim.
	TrimPartition(ctx context.Context, p actor.Partition, stream string, upTo uint64) error
	// Announce tells the other nodes that sessions or claims have changed, with a
	// message of at most 16 KiB, which may be empty. It may be lost: it saves them the
	// time until they look by themselves.
	Announce(ctx context.Context, message []byte) error
	// Announced calls changed with the message of each announcement of another node,
	// in the order of each one's, until stop is called. changed does not block, and
	// does not keep the message.
	Announced(changed func(message []byte)) (stop func(), err error)
}
