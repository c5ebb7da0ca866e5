package natsbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

const (
	// openTimeout bounds Open where the caller sets no deadline: long enough for
	// the elections of a cluster that has just started.
	openTimeout = 30 * time.Second

	// maxOpening is the number of consumers being made at once, so that a node
	// that takes over many partitions does not flood JetStream's API.
	maxOpening = 16
)

// Bus serves the partitions of one namespace at a node. It is safe for
// concurrent use. It holds no resources of its own: subscriptions are stopped by
// themselves, and the connection is the caller's.
type Bus struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	cfg     Config
	ns      wire.Namespace
	stream  commandStream
	opening chan struct{} // a slot for each consumer being made
	trunk   *trunk
	local   local
	origin  string // marks announcements of this bus
}

// Open finds or creates the command stream of cfg.Namespace and returns a bus on
// it. It waits for a JetStream that does not answer yet until ctx ends, at most
// 30 s. Errors wrap [ErrConfig], [ErrForeignStream], [ErrPartitionsMismatch], or
// are JetStream's.
func Open(ctx context.Context, nc *nats.Conn, cfg Config) (*Bus, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open jetstream: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	stream, err := provision(ctx, js, cfg)
	if err != nil {
		return nil, fmt.Errorf("provision: %w", err)
	}
	b := &Bus{
		nc: nc, js: js, cfg: cfg, ns: wire.Namespace(cfg.Namespace), stream: stream,
		opening: make(chan struct{}, maxOpening), origin: nuid.Next(), local: local{owners: make(localOwners, stream.partitions)},
	}
	b.trunk = newTrunk(b)
	return b, nil
}

// Partitions returns the number of partitions of the command stream.
func (b *Bus) Partitions() actor.Partitions { return b.stream.partitions }

// Stream identifies the command stream in which sequences have a meaning. A
// stream that is deleted and made again has another identity.
func (b *Bus) Stream() string { return b.stream.incarnation }

// LastSequence returns the sequence of the newest command in the stream, 0
// before the first. The error wraps [ErrStreamLost] when the stream is not the
// one that was opened any more.
func (b *Bus) LastSequence(ctx context.Context) (uint64, error) {
	stream, err := b.verified(ctx)
	if err != nil {
		return 0, err
	}
	return stream.CachedInfo().State.LastSeq, nil
}

// Trim removes all commands up to a sequence, that one included. The caller knows
// that they are finished, in every partition. It is idempotent, and costs the
// server little. The error wraps [ErrStreamLost] when the stream is not the one
// that was opened any more.
func (b *Bus) Trim(ctx context.Context, upTo uint64) error {
	if err := b.purge(ctx, upTo); err != nil {
		return fmt.Errorf("trim up to %d: %w", upTo, err)
	}
	return nil
}

// TrimPartition removes the commands of one partition up to a sequence, that one
// included, for the case that another partition holds Trim back. The server looks
// at every command up to there, of whatever partition. Errors are those of Trim.
func (b *Bus) TrimPartition(ctx context.Context, p actor.Partition, upTo uint64) error {
	if err := b.purge(ctx, upTo, jetstream.WithPurgeSubject(b.ns.StoredIn(p))); err != nil {
		return fmt.Errorf("trim partition %d up to %d: %w", p, upTo, err)
	}
	return nil
}

// purge checks the stream and purges it, in two requests. A stream that is
// replaced between them restarts at sequence 1, and new commands can then be
// removed unseen: whoever waits for one of them asks again.
func (b *Bus) purge(ctx context.Context, upTo uint64, opts ...jetstream.StreamPurgeOpt) error {
	if upTo == 0 {
		return nil
	}
	stream, err := b.verified(ctx)
	if err != nil {
		return err
	}
	return stream.Purge(ctx, append(opts, jetstream.WithPurgeSequence(upTo+1))...) //nolint:wrapcheck // the callers do
}

// verified asks for the stream and makes sure that it is the one that was opened.
func (b *Bus) verified(ctx context.Context) (jetstream.Stream, error) {
	stream, err := findStream(ctx, b.js, b.ns)
	if errors.Is(err, ErrNotProvisioned) {
		return nil, fmt.Errorf("%w: %w", ErrStreamLost, err)
	}
	if err != nil {
		return nil, err
	}
	if found := incarnation(stream.CachedInfo()); found != b.stream.incarnation {
		return nil, fmt.Errorf("incarnation %s has become %s: %w", b.stream.incarnation, found, ErrStreamLost)
	}
	return stream, nil
}

// Client returns a client of this bus's namespace on the bus's connection.
// Namespace, partitions, logger and events are those of the bus; cfg's own are
// ignored. What it asks on the direct lane of a partition that the bus serves does
// not leave the process, nor does the outcome on either lane. The caller closes it.
func (b *Bus) Client(cfg ClientConfig) (*Client, error) {
	cfg.Namespace, cfg.Logger, cfg.Events = b.cfg.Namespace, b.cfg.Logger, b.cfg.Events
	return newClient(b.nc, b.stream.partitions, &b.local, cfg)
}
