package natsbus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// serveTimeout bounds Serve where the caller sets no deadline.
const serveTimeout = 30 * time.Second

// errStopped is the cause with which a subscription is stopped.
var errStopped = errors.New("subscription stopped")

// subscription is both lanes of one partition. It implements [actor.Subscription].
type subscription struct {
	cancel  context.CancelCauseFunc
	done    chan struct{}
	durable *durableLane
	err     error // written before done is closed
}

// Serve hands the partition's durable commands after a sequence of the stream with
// that identity to h.Durable, in stream order, and its direct-lane messages to h.Direct, until the returned
// subscription is stopped. It returns once both lanes flow; ctx bounds only that.
// One partition may be served twice, and then each gets everything: who owns it
// is not the bus's concern.
//
// The context of h.Durable ends with the subscription. h.Direct must not block.
func (b *Bus) Serve(ctx context.Context, p actor.Partition, stream string, after uint64, h actor.Handler) (actor.Subscription, error) {
	if uint32(p) >= uint32(b.partitions) {
		return nil, fmt.Errorf("serve partition %d of %d: %w", p, b.partitions, ErrConfig)
	}
	start, cancelStart := context.WithTimeout(ctx, serveTimeout)
	defer cancelStart()
	durable := newDurableLane(b, p, stream, after, h)
	if err := durable.begin(start); err != nil {
		return nil, fmt.Errorf("serve partition %d: %w", p, err)
	}
	direct, err := newDirectLane(b, p, h)
	if err != nil {
		durable.close()
		return nil, fmt.Errorf("serve partition %d: %w", p, err)
	}
	// The server must know the subscription before the caller tells anybody that
	// the partition has an owner.
	if err := b.nc.FlushWithContext(start); err != nil {
		durable.close()
		direct.close()
		return nil, fmt.Errorf("serve partition %d: %w", p, err)
	}
	direct.local = b.local.owners.enter(p, h)
	b.nowOwned(p)
	run, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	s := &subscription{cancel: cancel, done: make(chan struct{}), durable: durable}
	go s.run(run, direct)
	return s, nil
}

func (s *subscription) run(ctx context.Context, direct *directLane) {
	var lanes sync.WaitGroup
	lanes.Go(func() { s.cancel(s.durable.run(ctx)) })
	lanes.Go(func() { direct.run(ctx) })
	lanes.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, errStopped) {
		s.err = cause
	}
	close(s.done)
}

// Stop implements [actor.Subscription]. It is idempotent.
func (s *subscription) Stop(ctx context.Context) error {
	s.cancel(errStopped)
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop: a handler is still running: %w", ctx.Err())
	}
}

// Position implements [actor.Subscription].
func (s *subscription) Position() uint64 { return s.durable.position() }

// Done implements [actor.Subscription].
func (s *subscription) Done() <-chan struct{} { return s.done }

// Err implements [actor.Subscription].
func (s *subscription) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}
