package natsbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

const (
	// openTimeout is the default of Config.OpenTimeout: long enough for the elections
	// of a cluster that has just started.
	openTimeout = 30 * time.Second

	// maxOpening is the number of consumers being made at once, so that a node
	// that takes over many partitions does not flood JetStream's API.
	maxOpening = 16
)

// Bus serves the partitions of one namespace at a node. It is safe for
// concurrent use. It holds no resources of its own: subscriptions are stopped by
// themselves, what readers of events share goes ten seconds after the last of them, and
// the connection is the caller's.
type Bus struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	cfg     Config
	ns      wire.Namespace
	opening chan struct{} // a slot for each consumer being made
	trunk   *trunk
	tail    tail
	head    atomic.Pointer[head] // nil: not looked at yet
	local   local
	origin  string // marks announcements of this bus
	unread  lineLimit
	warned  atomic.Int64 // of an inbox, in nanoseconds since 1970
	time    *serverTime

	partitions actor.Partitions // never change

	mu        sync.Mutex
	stream    string               // incarnation of the command stream that there was last
	earlier   earlier              // of that stream
	goneSince map[string]time.Time // by stream: when the server first said that there is none
}

// Open finds or creates the streams of cfg.Namespace and returns a bus on them. It
// waits for a JetStream that does not answer yet until ctx or cfg.OpenTimeout ends. Errors wrap [ErrConfig], [ErrForeignStream],
// [ErrOtherStore], [ErrPartitionsMismatch], or
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
	stream, err := findOrMake(ctx, js, cfg)
	if err != nil {
		return nil, fmt.Errorf("provision: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.OpenTimeout)
	defer cancel()
	b := &Bus{
		nc: nc, js: js, cfg: cfg, ns: wire.Namespace(cfg.Namespace), opening: make(chan struct{}, maxOpening),
		partitions: stream.partitions, stream: stream.incarnation, earlier: stream.earlier,
		goneSince: map[string]time.Time{}, origin: nuid.Next(), local: local{owners: make(localOwners, stream.partitions)},
		time: newServerTime(),
	}
	b.trunk = newTrunk(b)
	b.tail.bus = b
	if err := b.provisionOutgoing(ctx); err != nil {
		return nil, fmt.Errorf("provision: %w", err)
	}
	if err := adoptAll(ctx, js, &b.cfg); err != nil {
		return nil, fmt.Errorf("provision: %w", err)
	}
	return b, nil
}

// Partitions returns the number of partitions of the command stream.
func (b *Bus) Partitions() actor.Partitions { return b.partitions }

// Stream identifies the command stream that was there last, in which sequences
// have a meaning. A stream that is deleted and made again has another identity.
func (b *Bus) Stream() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stream
}

// Head returns the identity of the command stream that there is now, and the
// sequence of its newest command, 0 before the first.
//
// It makes the stream anew when it is gone, with what is left of its commands:
// nothing. Those that wait for an outcome send theirs again; what was enqueued and
// not executed is lost with the stream. It does so only after the server has said
// for two seconds that there is no stream, and fails with [ErrStreamLost] until
// then. It fails with [ErrForeignStream], [ErrOtherStore] or [ErrPartitionsMismatch] for as long as
// somebody else's stream has taken the place.
func (b *Bus) Head(ctx context.Context) (stream string, last uint64, err error) {
	found, err := findStream(ctx, b.js, b.ns.Stream())
	if errors.Is(err, ErrNotProvisioned) {
		if b.goneFor(b.ns.Stream()) < lossGrace {
			return "", 0, fmt.Errorf("%w: %w", ErrStreamLost, err)
		}
		cfg := b.cfg
		cfg.Partitions = b.partitions
		if _, err := create(ctx, b.js, cfg); err != nil {
			return "", 0, fmt.Errorf("make the lost stream anew: %w", err)
		}
		found, err = findStream(ctx, b.js, b.ns.Stream())
	}
	if err != nil {
		return "", 0, err
	}
	if err := b.cfg.sameStore(found.CachedInfo().Config); err != nil {
		return "", 0, err
	}
	is, err := inspect(b.ns, found.CachedInfo())
	if err == nil && is.partitions != b.partitions {
		err = &PartitionsError{Configured: b.partitions, Found: is.partitions}
	}
	if err == nil && is.earlier.outdated { // set back to what it was
		is, err = update(ctx, b.js, b.cfg)
	}
	if err != nil {
		return "", 0, err
	}
	b.moveTo(is)
	last = found.CachedInfo().State.LastSeq
	b.head.Store(&head{is.incarnation, last})
	return is.incarnation, last, nil
}

// head is where a stream ended when it was last looked at.
type head struct {
	stream string
	last   uint64
}

// Expect prepares for partitions that are about to be served: the commands of the newest
// of them are there when they are. It does nothing that could fail, and lasts for ten
// seconds.
func (b *Bus) Expect() { b.trunk.expect() }

// moveTo notes which stream there is.
func (b *Bus) moveTo(is commandStream) {
	stream := is.incarnation
	b.mu.Lock()
	was := b.stream
	b.stream, b.earlier = stream, is.earlier
	delete(b.goneSince, b.ns.Stream())
	b.mu.Unlock()
	if was != stream {
		b.cfg.Logger.Warn("the command stream is another one", slog.String("was", was), slog.String("is", stream))
	}
}

// earlierOf returns what of a stream is of earlier builds; nothing of one that there
// is not any more.
func (b *Bus) earlierOf(stream string) earlier {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stream != stream {
		return earlier{}
	}
	return b.earlier
}

// goneFor notes that the server says that there is no stream of a name, and returns
// for how long it has been saying so.
func (b *Bus) goneFor(name string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	since, ok := b.goneSince[name]
	if !ok {
		since = time.Now()
		b.goneSince[name] = since
	}
	return time.Since(since)
}

// there notes that the server has a stream of a name.
func (b *Bus) there(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.goneSince, name)
}

// Trim removes all commands up to a sequence of the stream with that identity, that
// one included. The caller knows that they are finished, in every partition. It is
// idempotent, and costs the server little. The error wraps [ErrStreamLost] when the
// stream is another one.
func (b *Bus) Trim(ctx context.Context, stream string, upTo uint64) error {
	if err := b.purge(ctx, stream, upTo); err != nil {
		return fmt.Errorf("trim up to %d: %w", upTo, err)
	}
	return nil
}

// TrimPartition removes the commands of one partition up to a sequence, that one
// included, for the case that another partition holds Trim back. The server looks
// at every command up to there, of whatever partition. Errors are those of Trim.
func (b *Bus) TrimPartition(ctx context.Context, p actor.Partition, stream string, upTo uint64) error {
	if err := b.purge(ctx, stream, upTo, jetstream.WithPurgeSubject(b.ns.StoredIn(p))); err != nil {
		return fmt.Errorf("trim partition %d up to %d: %w", p, upTo, err)
	}
	return nil
}

// purge checks the stream and purges it, in two requests. A stream that is
// replaced between them restarts at sequence 1, and new commands can then be
// removed unseen: whoever waits for one of them asks again.
func (b *Bus) purge(ctx context.Context, stream string, upTo uint64, opts ...jetstream.StreamPurgeOpt) error {
	if upTo == 0 {
		return nil
	}
	found, err := b.verified(ctx, b.ns.Stream(), stream)
	if err != nil {
		return err
	}
	return found.Purge(ctx, append(opts, jetstream.WithPurgeSequence(upTo+1))...) //nolint:wrapcheck // the callers do
}

// verified asks for the stream of a name and makes sure that it is the one with that identity.
func (b *Bus) verified(ctx context.Context, name, stream string) (jetstream.Stream, error) {
	found, err := findStream(ctx, b.js, name)
	if errors.Is(err, ErrNotProvisioned) {
		b.goneFor(name)
		return nil, fmt.Errorf("%w: %w", ErrStreamLost, err)
	}
	if err != nil {
		return nil, err
	}
	b.there(name)
	if is := incarnation(found.CachedInfo()); is != stream {
		return nil, fmt.Errorf("incarnation %s has become %s: %w", stream, is, ErrStreamLost)
	}
	return found, nil
}

// Client returns a client of this bus's namespace on the bus's connection, for Go code of
// the node and for its gateway: what it sends may be for what is the application's own, and
// is believed on whose behalf it is, unless [actor.Message.Outside] says otherwise of the
// first. Namespace, partitions, logger and events are those of the bus; cfg's own are
// ignored. What it asks on the direct lane of a partition that the bus serves does
// not leave the process, nor does the outcome on either lane. The caller closes it.
func (b *Bus) Client(cfg ClientConfig) (*Client, error) {
	cfg.Namespace, cfg.Logger, cfg.Events = b.cfg.Namespace, b.cfg.Logger, b.cfg.Events
	return newClient(b.nc, b.partitions, &b.local, false, cfg)
}

// RuntimeClient is [Bus.Client] for what the runtime itself sends: what sagas and
// policies cause, and what an operator has retried or skipped. Its commands take the
// durable lane, on the subjects of the runtime's own, so that they may have ids and
// names of the runtime, be a timer's, and name a fallback. Nothing that came from
// outside may be passed to it unseen.
func (b *Bus) RuntimeClient(cfg ClientConfig) (*Client, error) {
	cfg.Namespace, cfg.Logger, cfg.Events = b.cfg.Namespace, b.cfg.Logger, b.cfg.Events
	return newClient(b.nc, b.partitions, &b.local, true, cfg)
}
