package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
)

var (
	// ErrStorageFull says that the disk of the embedded NATS server has no space left.
	ErrStorageFull = errors.New("disk of the embedded NATS server is full")
	// ErrStorageFailed says that the disk of the embedded NATS server does not take what
	// is written.
	ErrStorageFailed = errors.New("disk of the embedded NATS server fails")
)

const (
	storagePoll   = 250 * time.Millisecond // between two looks at the disk
	storageHealth = 4                      // looks for one at the server
	storageRemind = 30 * time.Second       // between two lines of the log
	storageProbe  = time.Second            // bounds a question whether the cluster stores

	// A disk is full with less than storageReserve of free space, or a storageShare'th of
	// a small disk. It is full no more with twice as much.
	storageReserve = 16 << 20
	storageShare   = 50

	// The server is started again after a write has failed and there is space: at once,
	// and then with growing pauses.
	healFirst = time.Second
	healMost  = time.Minute
	// healWithin is for how long a server may fail to start before the process ends.
	healWithin = 2 * time.Minute
)

// storage watches the disk of the embedded server. While it is full, or after it has
// failed, commands are refused before anything is written, so that the answer is known;
// reads go on. Once there is space again, a server that has met the full disk is started
// again in place.
type storage struct {
	server interface {
		frozen() error
		restart(ctx context.Context) error
	}
	space  func() (free, total uint64, err error)
	others func(ctx context.Context) bool // whether the cluster stores without this server; nil: there is none
	logger *slog.Logger

	ballast *ballast // nil: none

	state  atomic.Pointer[storageState]
	looked atomic.Pointer[storageLook] // the latest look for a command
}

// storageLook is what a look at the free space has shown.
type storageLook struct {
	at   time.Time
	full bool
}

// storageState is what is known of the disk.
type storageState struct {
	fault    error // nil: it is well
	refusing bool  // commands are refused
	free     uint64
	at       time.Time
}

// current is what is known now.
func (s *storage) current() storageState {
	if s == nil {
		return storageState{}
	}
	if now := s.state.Load(); now != nil {
		return *now
	}
	return storageState{}
}

// storageFresh is how old what is known of the free space may be when a command comes.
const storageFresh = 10 * time.Millisecond

// refuses reports whether a command is to be refused. It looks at the free space itself:
// a disk fills up within less than the time between two looks, and a command that meets
// the full disk has an outcome that nobody knows.
func (s *storage) refuses() bool {
	now := s.current()
	if s == nil || now.fault != nil || s.others != nil || time.Since(now.at) < storageFresh {
		return now.refusing
	}
	if l := s.looked.Load(); l != nil && time.Since(l.at) < storageFresh {
		return l.full
	}
	look := storageLook{at: time.Now()}
	free, total, err := s.space()
	look.full = err == nil && free < reserveOf(total)
	s.looked.Store(&look)
	return look.full
}

// reserveOf is the free space below which a disk is full.
func reserveOf(total uint64) uint64 { return min(storageReserve, total/storageShare) }

// judge returns what is wrong with the disk. It was full before: then twice the reserve
// must be free.
func judge(free, total uint64, wasFull bool, frozen error) error {
	least := reserveOf(total)
	if wasFull {
		least *= 2
	}
	switch full := free < least; {
	case full && frozen != nil:
		return fmt.Errorf("%w: %d MiB are free: %w", ErrStorageFull, free>>20, frozen)
	case full:
		return fmt.Errorf("%w: %d MiB are free", ErrStorageFull, free>>20)
	case frozen != nil:
		return fmt.Errorf("%w: %w", ErrStorageFailed, frozen)
	default:
		return nil
	}
}

// run watches until ctx ends, or returns why the server cannot be brought back.
func (s *storage) run(ctx context.Context) error {
	look := time.NewTicker(storagePoll)
	defer look.Stop()
	var frozen error
	var reminded time.Time
	h := healing{pause: healFirst}
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		before := s.current()
		if n%storageHealth == 0 || before.fault != nil {
			frozen = s.server.frozen()
		}
		now := s.look(ctx, before, frozen)
		s.state.Store(&now)
		if now.fault == nil {
			s.ballast.take()
		}
		reminded = s.say(ctx, before, now, reminded)
		if frozen == nil || errors.Is(now.fault, ErrStorageFull) {
			continue
		}
		if err := s.heal(ctx, &h); err != nil {
			return err
		}
	}
}

// look reads the disk. A disk that cannot be asked is as it was.
func (s *storage) look(ctx context.Context, before storageState, frozen error) storageState {
	free, total, err := s.space()
	if err != nil {
		return storageState{fault: fmt.Errorf("%w: %w", ErrStorageFailed, err), refusing: before.refusing, free: before.free}
	}
	now := storageState{fault: judge(free, total, errors.Is(before.fault, ErrStorageFull), frozen), free: free, at: time.Now()}
	now.refusing = now.fault != nil && (s.others == nil || !s.othersStore(ctx))
	return now
}

// storesCommands reports whether the command stream has a leader, which takes what comes.
func storesCommands(ctx context.Context, conn *nats.Conn, namespace string) bool {
	js, err := jetstream.New(conn)
	if err != nil {
		return false
	}
	_, err = js.Stream(ctx, namespace+"_COMMANDS")
	return err == nil
}

func (s *storage) othersStore(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, storageProbe)
	defer cancel()
	return s.others(ctx)
}

// say logs what has changed, and from time to time what has not.
func (s *storage) say(ctx context.Context, before, now storageState, last time.Time) time.Time {
	switch {
	case now.fault != nil && (before.fault == nil || time.Since(last) >= storageRemind):
		s.logger.ErrorContext(ctx, "the embedded NATS server cannot store", "error", now.fault, "commands_refused", now.refusing)
		return time.Now()
	case now.fault == nil && before.fault != nil:
		s.logger.InfoContext(ctx, "the embedded NATS server stores again", "mebibytes_free", now.free>>20)
	}
	return last
}

// healing is when the server was started again, and when it will be.
type healing struct {
	pause  time.Duration // before the next start
	last   time.Time     // of the last start
	failed time.Time     // since when no start succeeds; zero: the last one did
}

// heal starts the server again, unless it was started a short time ago.
func (s *storage) heal(ctx context.Context, h *healing) error {
	if since := time.Since(h.last); since < h.pause {
		return nil
	} else if since > 2*healMost {
		h.pause = healFirst
	}
	h.last, h.pause = time.Now(), min(2*h.pause, healMost)
	s.logger.WarnContext(ctx, "starting the embedded NATS server again, which stores nothing more after a failed write")
	err := s.server.restart(ctx)
	switch {
	case err == nil, ctx.Err() != nil: // or the process ends
		h.failed = time.Time{}
		return nil //nolint:nilerr // nobody waits for the server any more
	case h.failed.IsZero():
		h.failed = h.last
	case time.Since(h.failed) > healWithin:
		return fmt.Errorf("%w: %w", ErrStorageFailed, err)
	}
	s.logger.ErrorContext(ctx, "the embedded NATS server does not start again", "error", err)
	return nil
}

// guarded is a client that refuses commands while the disk is full.
type guarded struct {
	actor.Client
	storage *storage
}

// Deliver implements [actor.Client].
func (g guarded) Deliver(ctx context.Context, m actor.Message) actor.Outcome {
	if m.Type == actor.TypeCommand && g.storage.refuses() {
		return actor.Failure(actor.CodeStorageFull, "") // what the disk says is for the log
	}
	return g.Client.Deliver(ctx, m)
}

// Enqueue implements [actor.Client].
func (g guarded) Enqueue(ctx context.Context, m actor.Message) error {
	if g.storage.refuses() {
		return &actor.Error{Code: actor.CodeStorageFull}
	}
	return g.Client.Enqueue(ctx, m)
}
