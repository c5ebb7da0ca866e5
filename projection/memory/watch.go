package memory

import (
	"context"
	"iter"

	"github.com/ganglion-go/ganglion/projection"
)

// watcherBuffer is how many changes wait for a watcher.
const watcherBuffer = 1024

type watcher struct {
	projection string
	changes    chan projection.Change
	lost       bool
}

// tell is called under the lock of the storage.
func (w *watcher) tell(c projection.Change) {
	if c.Place.Projection != w.projection && (c.Place.Projection != "" || c.Key != w.projection) {
		return
	}
	if w.lost && len(w.changes) < cap(w.changes)-1 {
		w.lost = false
		w.changes <- projection.Change{Lost: true}
	}
	select {
	case w.changes <- c:
	default:
		w.lost = true
	}
}

// Watch implements [projection.Storage].
func (s *Storage) Watch(ctx context.Context, name string, ready func()) iter.Seq2[projection.Change, error] {
	return func(yield func(projection.Change, error) bool) {
		w := &watcher{projection: name, changes: make(chan projection.Change, watcherBuffer)}
		s.mu.Lock()
		s.watchers[w] = struct{}{}
		s.mu.Unlock()
		defer func() {
			s.mu.Lock()
			delete(s.watchers, w)
			s.mu.Unlock()
		}()
		ready()
		for {
			select {
			case c := <-w.changes:
				if !yield(c, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}
