package natsbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/ganglion-go/ganglion/natsbus/internal/pull"
)

const (
	// pullExpiry is how long a request for messages stands. It also bounds the
	// heartbeats that gather while a handler blocks.
	pullExpiry = 30 * time.Second

	// pullBytes bounds what one request brings, unless single messages are larger.
	pullBytes = 8 << 20

	// inactiveThreshold is the time after which the server removes a consumer that
	// nobody pulls from: its client is gone, or its handler blocks for long.
	inactiveThreshold = time.Minute

	apiPull   = "$JS.API.CONSUMER.MSG.NEXT."
	apiDelete = "$JS.API.CONSUMER.DELETE."
)

var errSilence = errors.New("no heartbeat")

// feed is one consumer of a stream: ephemeral, in memory, without
// acknowledgements. It delivers each message of its subjects once, in order, or
// is found to be broken; then another one takes over. It belongs to one goroutine.
type feed struct {
	bus   *Bus
	of    string // name of the stream
	name  string
	inbox string
	sub   *nats.Subscription
	msgs  chan *nats.Msg
	flow  *pull.Flow
	quiet int // ticks of the heartbeat since the last sign of life
}

// feedConfig is what a feed is to deliver.
type feedConfig struct {
	of      string   // name of the stream; empty: the command stream
	bare    bool     // headers only
	name    string   // in front of a unique part
	filters []string // none: everything
	stream  string   // identity of the stream
	start   uint64   // the first sequence
	window  int      // messages on the way
}

// openFeed makes a consumer that starts at a sequence and grants it its window.
// The error wraps [ErrStreamLost] when the stream is not the one with that identity.
func (b *Bus) openFeed(ctx context.Context, cfg feedConfig) (*feed, error) {
	select {
	case b.opening <- struct{}{}:
		defer func() { <-b.opening }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f := &feed{
		bus:   b,
		of:    defaultTo(cfg.of, b.ns.Stream()),
		name:  cfg.name + "-" + nuid.Next(),
		inbox: b.nc.NewInbox(),
		msgs:  make(chan *nats.Msg, cfg.window+statusSlack(b.cfg.Heartbeat)),
	}
	made, err := b.js.CreateConsumer(ctx, f.of, jetstream.ConsumerConfig{
		Name:              f.name,
		FilterSubjects:    cfg.filters,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       cfg.start,
		AckPolicy:         jetstream.AckNonePolicy,
		HeadersOnly:       cfg.bare,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: inactiveThreshold,
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		b.goneFor(f.of)
		return nil, fmt.Errorf("%w: %w: %w", ErrStreamLost, ErrNotProvisioned, err)
	}
	if err != nil {
		return nil, fmt.Errorf("create consumer: %w", err)
	}
	f.flow = pull.NewFlow(cfg.start, made.CachedInfo().NumPending, cfg.window)
	// A consumer dies with its stream. If the stream is still ours now, then it was
	// when the consumer was made, and whatever the consumer delivers is ours.
	if _, err := b.verified(ctx, f.of, cfg.stream); err != nil {
		f.close()
		return nil, err
	}
	if f.sub, err = b.nc.ChanSubscribe(f.inbox, f.msgs); err != nil {
		f.close()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	if err := f.pull(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// statusSlack is the room for what is not a message while a handler blocks: the
// heartbeats of one request and its end.
func statusSlack(heartbeat time.Duration) int { return int(pullExpiry/heartbeat) + 16 }

// accept takes what has come, and asks for more if it is time to. It returns the
// sequence of a message, 0 for anything else, and an error when the feed is broken.
func (f *feed) accept(msg *nats.Msg) (uint64, error) {
	f.quiet = 0
	sequence, err := f.flow.Accept(msg)
	if err != nil {
		return 0, err //nolint:wrapcheck // it names what was missed
	}
	return sequence, f.pull()
}

// tick counts an interval of the heartbeat. It returns an error when too many
// have passed without a sign of life.
func (f *feed) tick() error {
	if f.quiet++; f.quiet >= missedHeartbeats {
		return errSilence
	}
	return nil
}

// pull asks for more messages if it is time to.
func (f *feed) pull() error {
	n := f.flow.Grant()
	if n == 0 {
		return nil
	}
	heartbeat := f.bus.cfg.Heartbeat
	request := fmt.Appendf(nil, `{"batch":%d,"max_bytes":%d,"expires":%d,"idle_heartbeat":%d}`,
		n, max(pullBytes, 2*f.bus.nc.MaxPayload()), max(pullExpiry, 3*heartbeat), heartbeat)
	if err := f.bus.nc.PublishRequest(apiPull+f.of+"."+f.name, f.inbox, request); err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	return nil
}

// close gives the consumer up. That the server hears of it is not essential:
// the consumer's inactivity ends it as well.
func (f *feed) close() {
	if f.sub != nil {
		_ = f.sub.Unsubscribe()
	}
	_ = f.bus.nc.Publish(apiDelete+f.of+"."+f.name, nil)
}
