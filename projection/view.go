package projection

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/ganglion-go/ganglion/actor"
)

// View reads what a projection has made, from any process that reaches the storage.
// It is safe for concurrent use.
type View struct {
	store      Storage
	projection *Projection
}

var _ Reader = (*View)(nil)

// NewView returns the view of a projection. It does no I/O.
func NewView(s Storage, p *Projection) *View { return &View{store: s, projection: p} }

// Projection returns what makes the view.
func (v *View) Projection() *Projection { return v.projection }

// Storage returns where the view is kept.
func (v *View) Storage() Storage { return v.store }

func (v *View) storage() Storage { return v.store }

func (v *View) declares() *Projection { return v.projection }

// Place returns where the documents of a collection are at this moment, for
// functions of a storage's package that read them in their own way. A rebuild
// moves them; what was there is kept for half a minute. Generation is 0 before the
// projection first ran. The error is a [*CollectionError] or the storage's.
func (v *View) Place(ctx context.Context, collection string) (Place, error) {
	if err := v.projection.has(collection); err != nil {
		return Place{}, err
	}
	live, err := v.live(ctx)
	return Place{v.projection.name, live, collection}, err
}

// live is 0 before the projection first ran: no generation.
func (v *View) live(ctx context.Context) (uint64, error) {
	h, _, err := readHead(ctx, v.store, v.projection.name)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return h.Live, err
}

func (v *View) read(ctx context.Context, collection, key string) ([]byte, bool, error) {
	doc, found, err := v.document(ctx, collection, key)
	return doc.Data, found, err
}

func (v *View) document(ctx context.Context, collection, key string) (Document, bool, error) {
	if err := checkKey(collection, key, v.projection); err != nil {
		return Document{}, false, err
	}
	return v.load(ctx, collection, key)
}

// load is document for any collection. It looks again where a document was not found: the
// generation may have been dropped between the two reads.
func (v *View) load(ctx context.Context, collection, key string) (Document, bool, error) {
	live, err := v.live(ctx)
	for err == nil && live > 0 {
		var docs []Document
		if docs, err = v.store.Read(ctx, Place{v.projection.name, live, collection}, key); err != nil {
			break
		}
		if docs[0].Revision != "" {
			return docs[0], true, nil
		}
		looked := live
		if live, err = v.live(ctx); live == looked {
			break
		}
	}
	return Document{}, false, err
}

// Entry is a document with its key.
type Entry[T any] struct {
	Key      string
	Revision Revision // one of this state of the document, and of no other
	Value    T
}

// GetEntry is [Get] with the document's revision.
func GetEntry[T any](ctx context.Context, v *View, collection, key string) (e Entry[T], found bool, err error) {
	doc, found, err := v.document(ctx, collection, key)
	if err != nil || !found {
		return e, false, err
	}
	e, err = entryOf[T](v, collection, doc)
	return e, err == nil, err
}

func entryOf[T any](v *View, collection string, doc Document) (Entry[T], error) {
	e := Entry[T]{Key: doc.Key, Revision: doc.Revision}
	if err := v.store.Unmarshal(doc.Data, &e.Value); err != nil {
		return Entry[T]{}, fmt.Errorf("decode %s %q: %w", collection, doc.Key, err)
	}
	return e, nil
}

// List yields the documents of a range of a collection. It is not one moment of all of
// them. The error wraps [ErrRange], [ErrCollection], [ErrName] or [ErrUnavailable], or
// [ErrRetired] when a rebuild has replaced the view meanwhile and what was read is gone.
func List[T any](ctx context.Context, v *View, collection string, r Range) iter.Seq2[Entry[T], error] {
	return func(yield func(Entry[T], error) bool) {
		err := r.validate()
		var at Place
		if err == nil {
			at, err = v.Place(ctx, collection)
		}
		if err != nil || at.Generation == 0 {
			if err != nil {
				yield(Entry[T]{}, err)
			}
			return
		}
		for doc, err := range v.store.List(ctx, at, r) {
			var e Entry[T]
			if err == nil {
				e, err = entryOf[T](v, collection, doc)
			}
			if err != nil {
				yield(Entry[T]{}, fmt.Errorf("list %s: %w", collection, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if err := v.stillThere(ctx, at.Generation); err != nil {
			yield(Entry[T]{}, fmt.Errorf("list %s: %w", collection, err))
		}
	}
}

func (v *View) stillThere(ctx context.Context, generation uint64) error {
	h, _, err := readHead(ctx, v.store, v.projection.name)
	if err != nil || h.Live == generation {
		return err
	}
	for _, r := range h.Retired {
		if r.Generation == generation && !r.Gone {
			return nil
		}
	}
	return ErrRetired
}

// Until is what [View.Wait] waits for.
type Until struct {
	source    actor.Address
	version   actor.Version
	partition actor.Partition
	position  uint64
}

// Version is the moment from which on a view shows an aggregate's events up to a
// version, such as the one that came with a reply.
func Version(source actor.Address, v actor.Version) Until { return Until{source: source, version: v} }

// Position is the moment from which on a view shows the event at a position of the
// present event stream, and all of its partition before.
func Position(p actor.Partition, position uint64) Until {
	return Until{partition: p, position: position}
}
