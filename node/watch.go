package node

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// watch wakes those who wait for an aggregate's next commit. It follows the
// store's feed, once for all of them, while there is anyone.
type watch struct {
	store  store.Store
	logger *slog.Logger

	mu       sync.Mutex
	watchers map[store.Aggregate]map[chan struct{}]bool
	count    int
	wanted   chan struct{} // capacity 1: there is someone now
}

func newWatch(s store.Store, logger *slog.Logger) *watch {
	return &watch{store: s, logger: logger, watchers: map[store.Aggregate]map[chan struct{}]bool{}, wanted: make(chan struct{}, 1)}
}

func (w *watch) add(a store.Aggregate) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watchers[a] == nil {
		w.watchers[a] = map[chan struct{}]bool{}
	}
	w.watchers[a][ch] = true
	w.count++
	select {
	case w.wanted <- struct{}{}:
	default:
	}
	return ch, sync.OnceFunc(func() { w.remove(a, ch) })
}

func (w *watch) remove(a store.Aggregate, ch chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.watchers[a], ch)
	if len(w.watchers[a]) == 0 {
		delete(w.watchers, a)
	}
	w.count--
}

func (w *watch) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count == 0
}

// run follows the feed until ctx ends.
func (w *watch) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wanted:
		}
		for ctx.Err() == nil && !w.idle() {
			if err := w.follow(ctx); err != nil && ctx.Err() == nil {
				w.logger.WarnContext(ctx, "feed interrupted", "error", err)
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		}
	}
}

// follow wakes everybody once, for what came before it began, and then each as
// commits come. It returns nil when nobody watches any more.
func (w *watch) follow(ctx context.Context) error {
	now, err := w.store.Now(ctx)
	if err != nil {
		return err
	}
	w.wakeAll()
	for item, err := range w.store.Follow(ctx, now) {
		if err != nil {
			return err
		}
		w.wake(item.Commit.Aggregate)
		if w.idle() {
			return nil
		}
	}
	return nil
}

func (w *watch) wake(a store.Aggregate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.watchers[a] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func (w *watch) wakeAll() {
	w.mu.Lock()
	aggregates := make([]store.Aggregate, 0, len(w.watchers))
	for a := range w.watchers {
		aggregates = append(aggregates, a)
	}
	w.mu.Unlock()
	for _, a := range aggregates {
		w.wake(a)
	}
}
