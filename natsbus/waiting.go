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

// WaitingCommand is a command that the runtime itself has promised, and that is stored:
// set by a timer, come due, or in the command stream.
type WaitingCommand struct {
	Target   actor.Address
	Name     string
	Sequence uint64 // in the command stream, where it may be finished and not trimmed yet; 0: a timer's that is not there yet
}

// waitingChunk is how many stored messages are read at once.
const waitingChunk = 256

// WaitingCommands visits the commands that wait, those of timers first, and returns the
// incarnation of the command stream. It reads limit stored messages of each of the two
// streams at most, the oldest: complete is false if there are more. Schedules of the
// cluster are left out, and what callers sent, and what cannot be read. Errors wrap
// [ErrNotProvisioned] when there is no stream, or are JetStream's.
func (b *Bus) WaitingCommands(ctx context.Context, limit int, visit func(WaitingCommand)) (stream string, complete bool, err error) {
	timers, err := b.readStored(ctx, b.ns.DeadlineStream(), nil, true, limit, func(msg *nats.Msg, _ uint64) {
		to, name, err := wire.DueCommand(msg.Header)
		if err == nil {
			visit(WaitingCommand{Target: to, Name: name})
		}
	})
	if err != nil {
		return "", false, fmt.Errorf("waiting timers: %w", err)
	}
	if stream, _, err = b.Head(ctx); err != nil {
		return "", false, fmt.Errorf("waiting commands: %w", err)
	}
	sent, err := b.readStored(ctx, b.ns.Stream(), []string{b.ns.Runs()}, false, limit, func(msg *nats.Msg, sequence uint64) {
		p, _ := b.ns.StoredPartition(msg.Subject)
		to, err := b.ns.Target(msg.Subject, p, b.partitions)
		if err != nil {
			return
		}
		commands, err := commandsOf(msg)
		if err != nil {
			return
		}
		for _, c := range commands {
			if name, err := wire.CommandName(c.Header); err == nil && wire.IsRuntimes(c.Header) {
				visit(WaitingCommand{Target: to, Name: name, Sequence: sequence})
			}
		}
	})
	if err != nil {
		return "", false, fmt.Errorf("waiting commands: %w", err)
	}
	return stream, timers && sent, nil
}

// readStored reads what a stream has, up to a number of messages.
func (b *Bus) readStored(
	ctx context.Context, of string, filters []string, bare bool, limit int, take func(msg *nats.Msg, sequence uint64),
) (complete bool, err error) {
	stream, err := findStream(ctx, b.js, of)
	if err != nil {
		return false, err
	}
	made, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Name: "waiting-" + nuid.Next(), FilterSubjects: filters, AckPolicy: jetstream.AckNonePolicy, HeadersOnly: bare,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: inactiveThreshold,
	})
	if err != nil {
		return false, fmt.Errorf("create consumer: %w", err)
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = stream.DeleteConsumer(ending, made.CachedInfo().Name) // it goes by itself otherwise
	}()
	pending := int(min(made.CachedInfo().NumPending, uint64(limit)+1)) //nolint:gosec // limit is small
	if err := readUpTo(ctx, made, min(pending, limit), take); err != nil {
		return false, fmt.Errorf("read %s: %w", of, err)
	}
	return pending <= limit, nil
}

// readUpTo reads what a consumer has, up to a number of messages. It waits for none: some of
// those that were there may be gone by now, and a fetch of so many would then last until
// its context ends.
func readUpTo(ctx context.Context, from jetstream.Consumer, limit int, take func(msg *nats.Msg, sequence uint64)) error {
	for read := 0; read < limit; {
		batch, err := from.FetchNoWait(min(limit-read, waitingChunk))
		if err != nil {
			return err
		}
		n := 0
		for msg := range batch.Messages() {
			meta, err := msg.Metadata()
			if err != nil {
				return err
			}
			n++
			take(&nats.Msg{Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data()}, meta.Sequence.Stream)
		}
		if err := batch.Error(); err != nil {
			return err
		}
		if read += n; n > 0 {
			continue
		}
		// There is nothing more, or the server is slow.
		switch is, err := from.Info(ctx); {
		case err != nil:
			return err
		case is.Delivered.Consumer > uint64(read): //nolint:gosec // not negative
			return errLostOnTheWay
		case is.NumPending == 0:
			return nil
		}
	}
	return nil
}

// errLostOnTheWay says that messages were sent by the server and did not come.
var errLostOnTheWay = errors.New("messages were lost on the way")
