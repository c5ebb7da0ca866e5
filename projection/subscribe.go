package projection

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Notice is what a subscriber gets.
type Notice struct {
	// Collection and Key of a document that was written or deleted.
	Collection, Key string
	// Source of events that were applied, for a subscription with Applied.
	Source actor.Address
	// Reset: anything may have changed: the subscriber was too slow, changes were
	// lost on the way, or a rebuild has replaced the view. Read what is shown again.
	Reset bool
}

// Interest is what a subscriber wants to hear of.
type Interest struct {
	Collection string // of documents; empty: of all
	Prefix     string // of their keys
	Applied    bool   // instead: sources whose events were applied
	Buffer     int    // notices that wait; 0: 64
}

const (
	subscriberBuffer = 64
	watchBackoff     = 200 * time.Millisecond
	watchBackoffMax  = 5 * time.Second
)

// Hub tells subscribers of the changes of one view, made by whatever node, with
// one watch of the storage for all of them. Make it with [NewHub] and let it
// [Hub.Run].
type Hub struct {
	view *View

	mu          sync.Mutex
	subscribers map[*subscriber]struct{}
	live        uint64
	wanted      chan struct{} // capacity 1: somebody has subscribed
}

type subscriber struct {
	interest Interest
	notices  chan Notice
}

// NewHub returns the hub of a view.
func NewHub(v *View) *Hub {
	return &Hub{view: v, subscribers: map[*subscriber]struct{}{}, wanted: make(chan struct{}, 1)}
}

// Subscribe returns a channel of notices, the first of which is a Reset once
// changes are seen from there on: read then. A subscriber that is slow is told with
// a Reset in the place of what it missed. stop ends it, and is idempotent; the
// channel is never closed. The error is a [*CollectionError] or wraps [ErrName]: the
// view has no such collection. Then there is nothing to stop.
func (h *Hub) Subscribe(i Interest) (notices <-chan Notice, stop func(), err error) {
	if i.Collection != "" {
		if err := h.view.projection.has(i.Collection); err != nil {
			return nil, func() {}, err
		}
	}
	if i.Buffer <= 0 {
		i.Buffer = subscriberBuffer
	}
	s := &subscriber{interest: i, notices: make(chan Notice, i.Buffer+1)}
	h.mu.Lock()
	h.subscribers[s] = struct{}{}
	if h.live > 0 {
		s.reset()
	}
	h.mu.Unlock()
	select {
	case h.wanted <- struct{}{}:
	default:
	}
	return s.notices, func() {
		h.mu.Lock()
		delete(h.subscribers, s)
		h.mu.Unlock()
	}, nil
}

// Run watches the storage while there are subscribers, until ctx ends. It may run
// once at a time.
func (h *Hub) Run(ctx context.Context) error {
	backoff := watchBackoff
	for ctx.Err() == nil {
		if h.empty() {
			select {
			case <-h.wanted:
			case <-ctx.Done():
			}
			continue
		}
		seen, err := h.watch(ctx)
		h.lost()
		if seen {
			backoff = watchBackoff
		}
		if err != nil && ctx.Err() == nil {
			wait(ctx, backoff)
			backoff = min(2*backoff, watchBackoffMax)
		}
	}
	return nil
}

func (h *Hub) empty() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subscribers) == 0
}

// watch distributes changes until there is an error or nobody listens any more.
func (h *Hub) watch(ctx context.Context) (seen bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var began error
	ready := func() {
		live, err := h.view.live(ctx)
		if err != nil {
			began = err
			cancel()
			return
		}
		h.begin(live)
	}
	for change, err := range h.view.store.Watch(ctx, h.view.projection.name, ready) {
		if err != nil {
			return seen, fmt.Errorf("watch %s: %w", h.view.projection.name, err)
		}
		seen = true
		if change.Lost || change.Place.Collection == headsName {
			live, err := h.view.live(ctx)
			if err != nil {
				return seen, err
			}
			h.moved(live, change.Lost)
			continue
		}
		h.distribute(change)
		if h.empty() {
			return seen, nil
		}
	}
	return seen, errors.Join(began, ctx.Err())
}

// begin notes that changes are seen from now on.
func (h *Hub) begin(live uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live = max(live, 1)
	for s := range h.subscribers {
		s.reset()
	}
}

// moved notes which generation is read now.
func (h *Hub) moved(live uint64, lost bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if live == h.live && !lost {
		return
	}
	h.live = max(live, 1)
	for s := range h.subscribers {
		s.reset()
	}
}

// lost has every subscriber told, once changes are seen again.
func (h *Hub) lost() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live = 0
}

func (h *Hub) distribute(c Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.Place.Generation != h.live {
		return
	}
	notice := Notice{Collection: c.Place.Collection, Key: c.Key}
	isApplied := c.Place.Collection == appliedName
	if isApplied {
		source, err := actor.ParseAddress(c.Key)
		if err != nil {
			return // not written by this package
		}
		notice = Notice{Source: source}
	} else if strings.HasPrefix(c.Place.Collection, "_") {
		return
	}
	for s := range h.subscribers {
		if s.wants(&c, isApplied) {
			s.tell(notice)
		}
	}
}

func (s *subscriber) wants(c *Change, isApplied bool) bool {
	if s.interest.Applied != isApplied || !strings.HasPrefix(c.Key, s.interest.Prefix) {
		return false
	}
	return isApplied || s.interest.Collection == "" || s.interest.Collection == c.Place.Collection
}

// tell leaves the last place in the channel to a Reset.
func (s *subscriber) tell(n Notice) {
	if len(s.notices) < cap(s.notices)-1 {
		s.notices <- n
		return
	}
	s.reset()
}

// reset empties what waits, and puts a Reset in its place: whoever reads again needs
// no older notice. Only the hub sends, under its lock, so there is room for it.
func (s *subscriber) reset() {
	for {
		select {
		case <-s.notices:
			continue
		default:
		}
		break
	}
	s.notices <- Notice{Reset: true}
}

// wait pauses, unless ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
