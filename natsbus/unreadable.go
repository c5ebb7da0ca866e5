package natsbus

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// commandsOf returns the commands of a stored message: one, or those of a batch.
func commandsOf(msg *nats.Msg) ([]wire.Batched, error) {
	if wire.IsBatch(msg.Header) {
		return wire.DecodeBatch(msg.Data)
	}
	return []wire.Batched{{Header: msg.Header, Data: msg.Data}}, nil
}

func unreadable(msg *nats.Msg, why error) *actor.Unreadable {
	return &actor.Unreadable{Subject: msg.Subject, Header: msg.Header, Data: msg.Data, Reason: why.Error()}
}

// Reread reads a stored message that was unreadable to another build, or is so to this
// one: then the error says why. Who published it is judged by its subject, as ever.
func (b *Bus) Reread(u *actor.Unreadable) ([]actor.Message, error) {
	if u.Subject == b.ns.Due() {
		m, err := wire.RereadDue(u)
		return []actor.Message{m}, err
	}
	msg := &nats.Msg{Subject: u.Subject, Header: u.Header, Data: u.Data}
	commands, err := commandsOf(msg)
	if err != nil {
		return nil, err
	}
	p, _ := b.ns.StoredPartition(u.Subject)
	from := origin{lane: actor.LaneDurable, partition: p, nodes: b.ns.IsInternal(u.Subject)}
	all := make([]actor.Message, len(commands))
	for i, c := range commands {
		if all[i], err = b.decode(from, &nats.Msg{Subject: u.Subject, Header: c.Header, Data: c.Data}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// malformed tells of what nobody can execute, also whoever waits for it, if that is
// known. Of a message of the direct lane its sender is told.
func (b *Bus) malformed(ctx context.Context, lane actor.Lane, subject string, to actor.Responder, err error) {
	if b.cfg.Events.Malformed != nil {
		b.cfg.Events.Malformed(lane, subject, err)
	}
	text := "it was skipped"
	switch {
	case to != nil:
		text = "it was refused"
		to.Respond(actor.Failure(actor.CodeMalformed, err.Error()))
	case lane == actor.LaneDurable:
		text = "it is set aside"
	}
	level := slog.LevelDebug
	more := 0
	if lane == actor.LaneDurable {
		var ok bool
		if more, ok = b.unread.line(time.Now()); !ok {
			return
		}
		level = slog.LevelWarn
	}
	b.cfg.Logger.Log(ctx, level, "a message cannot be read", slog.String("so", text), slog.String("subject", subject[:min(len(subject), 512)]), slog.Any("error", err), slog.Int("not_logged_before", more))
}

// Bounds of the lines about messages that cannot be read: whoever may send commands
// could fill the log with them otherwise. All are counted.
const (
	unreadLines = 100
	unreadEvery = 10 * time.Second
)

type lineLimit struct {
	mu     sync.Mutex
	since  time.Time
	lines  int
	missed int
}

// line reports whether there may be a line now, and how many there were not since the
// last one.
func (l *lineLimit) line(now time.Time) (missed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) > unreadEvery {
		l.since, l.lines = now, 0
	}
	if l.lines == unreadLines {
		l.missed++
		return 0, false
	}
	l.lines++
	missed, l.missed = l.missed, 0
	return missed, true
}
