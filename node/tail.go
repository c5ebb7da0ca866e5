package node

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/node/internal/dashboard"
)

// tailBehind is how many events before the present a tail of the dashboard begins with.
const tailBehind = 1000

// eventTail reads the event stream for a page, and keeps the newest events that match: a
// page that is slow to be sent misses those between, and says how many.
type eventTail struct {
	filter dashboard.TailFilter
	hidden func(actor.Kind) bool

	mu      sync.Mutex
	kept    []actor.EventRecord // a ring
	matched uint64
	fault   string
}

// Follow implements dashboard.Inspector.
func (i *inspector) Follow(ctx context.Context, f dashboard.TailFilter, newest int) (dashboard.Tail, func()) {
	ctx, cancel := context.WithCancel(ctx)
	t := &eventTail{filter: f, hidden: i.hides, kept: make([]actor.EventRecord, 0, max(newest, 1))}
	var reading sync.WaitGroup
	reading.Go(func() { t.read(ctx, i.node) })
	return t, func() {
		cancel()
		reading.Wait()
	}
}

// read follows the stream until ctx ends, or it cannot go on.
func (t *eventTail) read(ctx context.Context, n *Node) {
	stream, last, err := n.bus.EventsHead(ctx)
	if err != nil {
		t.fail(ctx, err)
		return
	}
	filter := actor.EventFilter{Stream: stream}
	if t.filter.Kind != "" {
		filter.Kinds = []actor.Kind{t.filter.Kind}
	}
	err = t.follow(ctx, n, filter, last-min(last, tailBehind))
	if errors.Is(err, natsbus.ErrEventsTrimmed) && t.empty() { // there are not so many left
		err = t.follow(ctx, n, filter, last)
	}
	if err != nil {
		t.fail(ctx, err)
	}
}

// follow keeps what matches, from a position on.
func (t *eventTail) follow(ctx context.Context, n *Node, filter actor.EventFilter, after uint64) error {
	for e, err := range n.bus.Events(ctx, filter, after) {
		if err != nil {
			return err
		}
		if t.matches(&e) {
			t.keep(e)
		}
	}
	return nil
}

func (t *eventTail) empty() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.matched == 0
}

func (t *eventTail) fail(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fault = err.Error()
}

func (t *eventTail) matches(e *actor.EventRecord) bool {
	f := &t.filter
	return !t.hidden(e.Source.Kind) && strings.HasPrefix(e.Source.ID, f.ID) && strings.Contains(e.Name, f.Event) &&
		(f.User == "" || e.Metadata.User == f.User)
}

// keep puts an event in the place of the oldest one.
func (t *eventTail) keep(e actor.EventRecord) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.kept) < cap(t.kept) {
		t.kept = append(t.kept, e)
	} else {
		t.kept[t.matched%uint64(len(t.kept))] = e
	}
	t.matched++
}

// Newest implements dashboard.Tail.
func (t *eventTail) Newest() ([]actor.EventRecord, uint64, string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := uint64(len(t.kept))
	events := make([]actor.EventRecord, 0, n)
	for k := range n {
		events = append(events, t.kept[(t.matched-1-k)%n])
	}
	return events, t.matched, t.fault
}
