package natsbus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// Pending is what the streams hold that is on its way, for whoever waits until nothing is.
type Pending struct {
	// Last is the sequence of the newest command that the command stream has ever stored.
	Last uint64
	// Commands are the sequences of the newest commands of partitions that the stream
	// still has. They may be finished, and not trimmed yet.
	Commands map[actor.Partition]uint64
	// Due is the number of timers whose time has come, and whose commands are not in the
	// command stream yet. Schedules of the cluster count when they have come due.
	Due int
}

// pendingMax bounds the stored messages that [Bus.Pending] reads of each stream.
const pendingMax = 100_000

var errTooMany = errors.New("there are too many to read them all")

// Pending reads all stored commands and timers, without their data: it is for tests and
// for small systems. now is the time by which timers are due. It fails for a stream with
// more than 100,000 messages. Errors are those of [Bus.WaitingCommands].
func (b *Bus) Pending(ctx context.Context, now time.Time) (Pending, error) {
	p := Pending{Commands: map[actor.Partition]uint64{}}
	var err error
	if _, p.Last, err = b.Head(ctx); err != nil {
		return p, fmt.Errorf("pending commands: %w", err)
	}
	err = b.readPending(ctx, b.ns.Stream(), func(msg *nats.Msg, sequence uint64) {
		if in, ok := b.ns.StoredPartition(msg.Subject); ok {
			p.Commands[in] = max(p.Commands[in], sequence)
			p.Last = max(p.Last, sequence)
		}
	})
	if err != nil {
		return p, err
	}
	err = b.readPending(ctx, b.ns.DeadlineStream(), func(msg *nats.Msg, _ uint64) {
		if msg.Subject == b.ns.Due() || isDue(msg, now) {
			p.Due++
		}
	})
	return p, err
}

// isDue reports whether the time of a timer has come.
func isDue(msg *nats.Msg, now time.Time) bool {
	at, isTimer := strings.CutPrefix(wire.Schedule(msg.Header), "@at ")
	t, err := time.Parse(time.RFC3339Nano, at)
	return isTimer && err == nil && !t.After(now)
}

func (b *Bus) readPending(ctx context.Context, of string, take func(*nats.Msg, uint64)) error {
	complete, err := b.readStored(ctx, of, nil, true, pendingMax, take)
	if err == nil && !complete {
		err = errTooMany
	}
	if err != nil {
		return fmt.Errorf("pending messages of %s: %w", of, err)
	}
	return nil
}
