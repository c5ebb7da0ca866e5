package natsbus

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

const (
	// tailEvents and tailBytes bound the events that the tail keeps.
	tailEvents = 16384
	tailBytes  = 16 << 20

	// tailBackfill is how many events that are there already a tail begins with.
	tailBackfill = 4096

	// tailLinger is how long the tail goes on without readers: in a hand-over all of
	// them end, and begin anew at once.
	tailLinger = 10 * time.Second

	// tailBatch is how many events a reader takes at a time.
	tailBatch = 128
)

// tail is the newest part of the event stream, in memory, for all readers of this
// node: one consumer without a filter, whatever each of them selects. A consumer with
// several filters costs the server a look at every subject of a block of the stream
// for each event, once it is farther behind than that
// (docs/adr/0022-one-tail-for-all-readers.md).
type tail struct {
	bus *Bus

	mu      sync.Mutex
	readers int
	log     *recent            // nil: none is kept
	stop    context.CancelFunc // of what keeps it
}

// join has the tail kept while there are readers.
func (t *tail) join(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readers++
	if t.log != nil {
		return
	}
	ctx, t.stop = context.WithCancel(context.WithoutCancel(ctx)) // it outlives the reader that came first
	t.log = &recent{begun: make(chan struct{})}
	go t.keep(ctx, t.log)
}

func (t *tail) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readers--
	if t.readers == 0 {
		time.AfterFunc(tailLinger, t.rest)
	}
}

// rest gives the tail up if nobody reads.
func (t *tail) rest() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.readers == 0 && t.log != nil {
		t.stop()
		t.log = nil
	}
}

func (t *tail) present() *recent {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.log
}

// keep reads the stream's end into the log until ctx ends or the connection is
// closed. What is wrong with the stream is for each reader to find out.
func (t *tail) keep(ctx context.Context, l *recent) {
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.log == l {
			t.log = nil
		}
	}()
	for {
		err := t.follow(ctx, l)
		l.reset("", 0)
		if ctx.Err() != nil || t.bus.nc.IsClosed() {
			return
		}
		t.bus.cfg.Logger.DebugContext(ctx, "tail of the event stream reset", slog.Any("cause", err))
		if !pause(ctx, reopenMaxPause) {
			return
		}
	}
}

func (t *tail) follow(ctx context.Context, l *recent) error {
	looking, cancel := context.WithTimeout(ctx, reopenTimeout)
	defer cancel()
	s, err := t.bus.events(looking)
	if err != nil {
		return err
	}
	start := max(s.first-1, s.last-min(s.last, tailBackfill))
	l.reset(s.incarnation, start)
	r := &eventReader{bus: t.bus, stream: s.incarnation, cursor: start, yield: func(e actor.EventRecord, _ error) bool {
		l.append(&e)
		return true
	}}
	return r.run(ctx)
}

// recent is the log of a tail: all events of an incarnation between two positions. The
// data of its events is shared by all who read them.
type recent struct {
	mu     sync.Mutex
	stream string              // incarnation; empty: there is no event
	low    uint64              // nothing is missing above this position
	events []actor.EventRecord // in order
	bytes  int                 // of them, about
	grown  chan struct{}       // closed when there is more, or less; nil: nobody waits

	begin sync.Once
	begun chan struct{} // closed when it is known what the log has, or that it has nothing
}

// await waits until it is known what the log has: the readers of a node that starts come
// all at once, and would each have a consumer made. It takes a request as a rule; a server
// that does not answer is waited for half a second, as their own would be.
func (l *recent) await(ctx context.Context) {
	select {
	case <-l.begun:
		return
	default:
	}
	patience := time.NewTimer(beginPatience)
	defer patience.Stop()
	select {
	case <-l.begun:
	case <-patience.C:
	case <-ctx.Done():
	}
}

// reset empties the log.
func (l *recent) reset(stream string, low uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stream, l.low, l.events, l.bytes = stream, low, nil, 0
	l.wakeLocked()
	l.begin.Do(func() { close(l.begun) })
}

func (l *recent) wakeLocked() {
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
}

func recentBytes(e *actor.EventRecord) int {
	return 256 + len(e.Data) + len(e.Source.ID) + len(e.CommandID) + len(e.Metadata.Trace) + len(e.Metadata.Correlation)
}

func (l *recent) append(e *actor.EventRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, *e)
	l.bytes += recentBytes(e)
	for len(l.events) > tailEvents || l.bytes > tailBytes && len(l.events) > 1 {
		l.low = l.events[0].Position
		l.bytes -= recentBytes(&l.events[0])
		l.events[0] = actor.EventRecord{}
		l.events = l.events[1:]
	}
	l.wakeLocked()
}

// covers reports whether a reader of that stream finds all that follows a position.
func (l *recent) covers(stream string, after uint64) (is string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stream, l.coversLocked(stream, after)
}

func (l *recent) coversLocked(stream string, after uint64) bool {
	return l.stream != "" && (stream == "" || stream == l.stream) && after >= l.low
}

// next copies events that follow a position into into, as many as fit. When there is
// none yet, grown is closed once there may be. It returns false if events are missing.
func (l *recent) next(stream string, after uint64, into []actor.EventRecord) (n int, grown <-chan struct{}, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.coversLocked(stream, after) {
		return 0, nil, false
	}
	at, _ := slices.BinarySearchFunc(l.events, after+1, func(e actor.EventRecord, p uint64) int { return cmp.Compare(e.Position, p) })
	if n = copy(into, l.events[at:]); n > 0 {
		return n, nil, true
	}
	if l.grown == nil {
		l.grown = make(chan struct{})
	}
	return 0, l.grown, true
}
