package natsbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

const (
	forwardWindow = 512                    // due messages on the way
	forwardEvery  = 500 * time.Millisecond // at least, between two purges
	forwardAtOnce = 32                     // commands on their way to the command stream
)

// ForwardTimers sends the commands whose time has come, until ctx ends; then it
// returns nil. It fails when the connection is closed.
//
// What has come due is in the stream of deadlines until it has been sent, and is
// then removed. Whoever forwards next begins with what is left, so that a command may
// come twice, with the same id, and never not at all. Two may forward at once.
//
// What no try can send, or what cannot be read, is passed over, with a line in the log:
// [Bus.ForwardTimersAside] keeps it.
func (b *Bus) ForwardTimers(ctx context.Context) error {
	return b.ForwardTimersAside(ctx, func(_ context.Context, _ actor.Message, u *actor.Unreadable, why error) error {
		if _, final := errors.AsType[*actor.Error](why); final || u != nil {
			return nil
		}
		return why
	})
}

// ForwardTimersAside is ForwardTimers, and calls aside with a command that no try can bring
// into the command stream, or that none has for 20 s; or, instead of a command, with what has
// come due and cannot be read, which [Bus.Reread] of another build may read. The error
// says why. What aside returns nil for is done with; otherwise it is tried again.
func (b *Bus) ForwardTimersAside(ctx context.Context, aside Aside) error {
	f := &forwarder{bus: b, aside: aside}
	status := b.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer b.nc.RemoveStatusListener(status)
	wait := reopenMinPause
	for ctx.Err() == nil {
		forget(status)
		err := f.open(ctx)
		if err == nil {
			wait = reopenMinPause
			err = f.forward(ctx, status)
			f.feed.close()
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case b.nc.IsClosed():
			return nats.ErrConnectionClosed
		}
		b.cfg.Logger.DebugContext(ctx, "forwarding of timers interrupted", slog.Any("cause", err))
		if !pause(ctx, wait+rand.N(wait)) {
			return nil
		}
		wait = min(2*wait, reopenMaxPause)
	}
	return nil
}

// Aside keeps what has come due and cannot be sent, see [Bus.ForwardTimersAside].
type Aside = func(ctx context.Context, m actor.Message, u *actor.Unreadable, why error) error

// forwarder is one call of ForwardTimers.
type forwarder struct {
	bus      *Bus
	aside    Aside
	stream   string // incarnation of what the sequences below are of
	sent     uint64 // all that came due up to here has been sent
	purged   uint64 // and is removed
	purgedAt time.Time
	feed     *feed
}

func (f *forwarder) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reopenTimeout)
	defer cancel()
	stream, err := f.bus.deadlines(ctx)
	if err != nil {
		return err
	}
	if stream != f.stream {
		f.stream, f.sent, f.purged = stream, 0, 0
	}
	f.feed, err = f.bus.openFeed(ctx, feedConfig{
		of: f.bus.ns.DeadlineStream(), name: "forwarder", filters: []string{f.bus.ns.Due()},
		stream: f.stream, start: f.sent + 1, window: forwardWindow,
	})
	return err
}

// forward sends what comes for as long as the consumer is sound.
func (f *forwarder) forward(ctx context.Context, status <-chan nats.Status) error {
	tick := time.NewTicker(f.bus.cfg.Heartbeat)
	defer tick.Stop()
	for {
		var purge <-chan time.Time
		if f.sent > f.purged {
			purge = time.After(time.Until(f.purgedAt.Add(forwardEvery)))
		}
		select {
		case msg := <-f.feed.msgs:
			if err := f.take(ctx, msg); err != nil {
				return err
			}
		case <-purge:
			f.purge(ctx)
		case <-tick.C:
			if err := f.feed.tick(); err != nil {
				return err
			}
		case <-status:
			return errReconnected
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// take sends a message and all that have come with it. It returns when all of them
// are in the command stream.
func (f *forwarder) take(ctx context.Context, msg *nats.Msg) error {
	var sending sync.WaitGroup
	slots := make(chan struct{}, forwardAtOnce)
	faults := make(chan error, forwardWindow)
	var last uint64
	var broken error
	for n := 1; ; n++ {
		sequence, err := f.feed.accept(msg)
		if err != nil {
			broken = err
			break
		}
		if sequence > f.sent {
			last = sequence
			slots <- struct{}{}
			due := msg // the loop goes on with the next
			sending.Go(func() {
				defer func() { <-slots }()
				if err := f.send(ctx, due, sequence); err != nil {
					faults <- err
				}
			})
		}
		if n == forwardWindow || len(f.feed.msgs) == 0 {
			break
		}
		msg = <-f.feed.msgs
	}
	sending.Wait()
	select {
	case err := <-faults:
		return err
	default:
	}
	f.sent = max(f.sent, last)
	return broken
}

// forwardPatience is for how long one command is tried that has come due.
const forwardPatience = 20 * time.Second

// send puts one command into the command stream, or sets it aside.
func (f *forwarder) send(ctx context.Context, msg *nats.Msg, sequence uint64) error {
	meta, err := msg.Metadata()
	if err != nil {
		return fmt.Errorf("due message: %w", err)
	}
	m, err := wire.DecodeDue(msg.Header, msg.Data, sequence, meta.Timestamp)
	if err == nil {
		err = m.Validate()
	}
	if err != nil {
		if f.bus.cfg.Events.Malformed != nil {
			f.bus.cfg.Events.Malformed(actor.LaneDurable, msg.Subject, err)
		}
		u := wire.UnreadableDue(msg.Header, msg.Data, sequence, meta.Timestamp)
		u.Subject, u.Reason = msg.Subject, err.Error()
		return f.setAside(ctx, actor.Message{}, u, err)
	}
	bounded, cancel := context.WithTimeout(ctx, forwardPatience)
	defer cancel()
	err = f.bus.Send(bounded, m)
	if err == nil || ctx.Err() != nil || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionDraining) {
		return err
	}
	return f.setAside(ctx, m, nil, err)
}

func (f *forwarder) setAside(ctx context.Context, m actor.Message, u *actor.Unreadable, why error) error {
	f.bus.cfg.Logger.ErrorContext(ctx, "a command that came due cannot be sent",
		slog.String("target", m.Target.String()), slog.String("command", m.Name), slog.Any("error", why))
	return f.aside(ctx, m, u, why)
}

// purge removes what has been sent. What is not removed is sent again by the next
// forwarder, so that it does not matter much that this may fail.
func (f *forwarder) purge(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, reopenTimeout)
	defer cancel()
	f.purgedAt = time.Now()
	found, err := f.bus.verified(ctx, f.bus.ns.DeadlineStream(), f.stream)
	if err == nil {
		err = found.Purge(ctx, jetstream.WithPurgeSubject(f.bus.ns.Due()), jetstream.WithPurgeSequence(f.sent+1))
	}
	if err != nil {
		f.bus.cfg.Logger.DebugContext(ctx, "forwarded timers not removed", slog.Any("error", err))
		return
	}
	f.purged = f.sent
}
