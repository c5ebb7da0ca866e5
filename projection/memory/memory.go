package memory

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/ganglion-go/ganglion/projection"
)

// Storage is a [projection.Storage] in memory. Make it with [New].
type Storage struct {
	mu       sync.Mutex
	places   map[projection.Place]map[string]projection.Document
	last     uint64 // revision
	watchers map[*watcher]struct{}
}

var _ projection.Storage = (*Storage)(nil)

// New returns an empty storage.
func New() *Storage {
	return &Storage{places: map[projection.Place]map[string]projection.Document{}, watchers: map[*watcher]struct{}{}}
}

// Marshal implements [projection.Storage] with JSON.
func (*Storage) Marshal(v any) ([]byte, error) { return projection.Encode(v) }

// Unmarshal implements [projection.Storage].
func (*Storage) Unmarshal(data []byte, v any) error { return projection.Decode(data, v) }

// Transient implements [projection.Storage]: there is no such error.
func (*Storage) Transient(error) bool { return false }

// Read implements [projection.Storage].
func (s *Storage) Read(ctx context.Context, at projection.Place, keys ...string) ([]projection.Document, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	docs := make([]projection.Document, len(keys))
	for i, key := range keys {
		docs[i] = s.places[at][key]
		docs[i].Key = key
	}
	return docs, nil
}

func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", projection.ErrUnavailable, err)
	}
	return nil
}

// List implements [projection.Storage], of one moment.
func (s *Storage) List(ctx context.Context, at projection.Place, r projection.Range) iter.Seq2[projection.Document, error] {
	return func(yield func(projection.Document, error) bool) {
		if err := ended(ctx); err != nil {
			yield(projection.Document{}, err)
			return
		}
		for _, doc := range s.selected(at, r) {
			if !yield(doc, nil) {
				return
			}
		}
	}
}

func isBehind(key string, r projection.Range) bool {
	return r.After == "" || r.Reverse && key < r.After || !r.Reverse && key > r.After
}

// Count implements [projection.Storage].
func (s *Storage) Count(ctx context.Context, at projection.Place, r projection.Range) (int, error) {
	if err := ended(ctx); err != nil {
		return 0, err
	}
	return len(s.selected(at, r)), nil
}

func (s *Storage) selected(at projection.Place, r projection.Range) []projection.Document {
	s.mu.Lock()
	defer s.mu.Unlock()
	var docs []projection.Document
	for key, doc := range s.places[at] {
		if strings.HasPrefix(key, r.Prefix) && isBehind(key, r) {
			docs = append(docs, doc)
		}
	}
	slices.SortFunc(docs, func(a, b projection.Document) int { return strings.Compare(a.Key, b.Key) })
	if r.Reverse {
		slices.Reverse(docs)
	}
	if r.Limit > 0 && len(docs) > r.Limit {
		docs = docs[:r.Limit]
	}
	return docs
}

// Begin implements [projection.Storage].
func (s *Storage) Begin() projection.Transaction { return &transaction{s} }

// Drop implements [projection.Storage].
func (s *Storage) Drop(ctx context.Context, name string, generation uint64) error {
	if err := ended(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for at := range s.places {
		if at.Projection == name && at.Generation == generation {
			delete(s.places, at)
		}
	}
	return nil
}

type transaction struct{ storage *Storage }

// Abort implements [projection.Transaction].
func (*transaction) Abort(context.Context) {}

// Commit implements [projection.Transaction].
func (t *transaction) Commit(ctx context.Context, writes []projection.Write) ([]projection.Revision, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	s := t.storage
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range writes {
		w := &writes[i]
		if is := s.places[w.Place][w.Key].Revision; w.Check && is != w.Expect {
			return nil, fmt.Errorf("%s %q is at %q, not %q: %w", w.Place.Collection, w.Key, is, w.Expect, projection.ErrConflict)
		}
	}
	revisions := make([]projection.Revision, len(writes))
	for i := range writes {
		revisions[i] = s.writeLocked(&writes[i])
	}
	return revisions, nil
}

func (s *Storage) writeLocked(w *projection.Write) projection.Revision {
	for watching := range s.watchers {
		watching.tell(projection.Change{Place: w.Place, Key: w.Key})
	}
	if w.Data == nil {
		delete(s.places[w.Place], w.Key)
		return ""
	}
	s.last++
	if s.places[w.Place] == nil {
		s.places[w.Place] = map[string]projection.Document{}
	}
	revision := projection.Revision(strconv.FormatUint(s.last, 10))
	s.places[w.Place][w.Key] = projection.Document{Key: w.Key, Revision: revision, Data: slices.Clone(w.Data)}
	return revision
}
