package projection

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Declared is a collection as a projection declares it: a [Collection] of some type.
type Declared interface {
	// Name returns the collection's name.
	Name() string
	// Type returns the type of its documents.
	Type() reflect.Type
}

// Collection is a set of documents of one type, which handlers write and readers read by
// key. It is a name with a type, holds nothing, and may be shared:
//
//	var orders = projection.NewCollection[Order]("orders")
//
//	var Market = projection.Define("market", func(d *projection.Definition) {
//		d.Collections(orders)
//		projection.On(d, books, func(ctx context.Context, tx *projection.Tx, e projection.Event[Placed]) error {
//			return orders.Put(tx, projection.Key(e.Source.ID, e.Data.Price, e.Version), Order{...})
//		})
//	})
//
// Several projections may declare one; each has documents of its own, and the [View] or
// [Tx] says whose are meant. A collection that its projection has not declared, or has
// declared with documents of another type, is a [*CollectionError], whoever asks.
//
// A key is any UTF-8 of 1 to [MaxKeyBytes] bytes: an id as it is, or what [Key] makes of
// several parts.
type Collection[T any] struct{ name string }

// NewCollection returns a collection. The name is 1 to 64 bytes of a to z, A to Z, 0 to
// 9, '-' and '_', starting with a letter. It panics on any other, and on a type that JSON
// does not bring back as it was, see [actor.CheckJSON]. Documents of a collection of any
// are not bound to a type.
func NewCollection[T any](name string) Collection[T] {
	if !validName(name) {
		panic(fmt.Sprintf("projection: invalid name of a collection %q", name))
	}
	if err := checkType(reflect.TypeFor[T]()); err != nil {
		panic(fmt.Sprintf("projection: collection %s: %v", name, err))
	}
	return Collection[T]{name}
}

// Name implements [Declared].
func (c Collection[T]) Name() string { return c.name }

// Type implements [Declared].
func (c Collection[T]) Type() reflect.Type { return reflect.TypeFor[T]() }

// Get returns a document, and whether there is one, see [Get].
func (c Collection[T]) Get(ctx context.Context, r Reader, key string) (value T, found bool, err error) {
	if err := r.declares().declares(c); err != nil {
		return value, false, err
	}
	return Get[T](ctx, r, c.name, key)
}

// Put writes a document, see [Tx.Put].
func (c Collection[T]) Put(tx *Tx, key string, value T) error {
	if err := tx.projection.declares(c); err != nil {
		return err
	}
	return tx.Put(c.name, key, value)
}

// Update changes a document, see [Update].
func (c Collection[T]) Update(ctx context.Context, tx *Tx, key string, change func(*T) error) error {
	if err := tx.projection.declares(c); err != nil {
		return err
	}
	return Update(ctx, tx, c.name, key, change)
}

// Delete removes a document if there is one, see [Tx.Delete].
func (c Collection[T]) Delete(tx *Tx, key string) error {
	if err := tx.projection.declares(c); err != nil {
		return err
	}
	return tx.Delete(c.name, key)
}

// Entry returns a document with its revision, see [GetEntry].
func (c Collection[T]) Entry(ctx context.Context, v *View, key string) (e Entry[T], found bool, err error) {
	if err := v.projection.declares(c); err != nil {
		return e, false, err
	}
	return GetEntry[T](ctx, v, c.name, key)
}

// List yields the documents of a range, see [List].
func (c Collection[T]) List(ctx context.Context, v *View, r Range) iter.Seq2[Entry[T], error] {
	if err := v.projection.declares(c); err != nil {
		return func(yield func(Entry[T], error) bool) { yield(Entry[T]{}, err) }
	}
	return List[T](ctx, v, c.name, r)
}

// Page reads a page of a range, see [ReadPage].
func (c Collection[T]) Page(ctx context.Context, v *View, r Range) (Page[T], error) {
	if err := v.projection.declares(c); err != nil {
		return Page[T]{}, err
	}
	return ReadPage[T](ctx, v, c.name, r)
}

// Count counts the documents of a range, see [Count].
func (c Collection[T]) Count(ctx context.Context, v *View, r Range) (n int, more bool, err error) {
	if err := v.projection.declares(c); err != nil {
		return 0, false, err
	}
	return Count(ctx, v, c.name, r)
}

// Collections declares which collections the view has. A handler or a reader that names
// another one gets a [*CollectionError]. It panics when a name is declared twice.
func (d *Definition) Collections(cs ...Declared) {
	p := d.projection
	for _, c := range cs {
		if !validName(c.Name()) {
			panic(fmt.Sprintf("projection: %s: invalid name of a collection %q", p.name, c.Name()))
		}
		if p.collections[c.Name()] != nil {
			panic(fmt.Sprintf("projection: %s declares collection %s twice", p.name, c.Name()))
		}
		p.collections[c.Name()] = c
	}
}

// Collections returns what the view has, by name.
func (p *Projection) Collections() []Declared {
	all := make([]Declared, 0, len(p.collections))
	for _, name := range slices.Sorted(maps.Keys(p.collections)) {
		all = append(all, p.collections[name])
	}
	return all
}

// declares reports as a [*CollectionError] that a collection of that type is not declared.
func (p *Projection) declares(c Declared) error {
	err := p.has(c.Name())
	if err != nil {
		return err
	}
	if is := p.collections[c.Name()].Type(); is != c.Type() {
		return &CollectionError{Projection: p.name, Collection: c.Name(), Holds: is, Asked: c.Type()}
	}
	return nil
}

// has reports as a [*CollectionError] that a collection is not declared, or as [ErrName]
// that none can have that name.
func (p *Projection) has(collection string) error {
	if p.collections[collection] != nil {
		return nil
	}
	if !validName(collection) {
		return fmt.Errorf("collection %q: %w", collection, ErrName)
	}
	return &CollectionError{Projection: p.name, Collection: collection, Declared: slices.Sorted(maps.Keys(p.collections))}
}

// CollectionError reports a collection that a projection does not have. It wraps
// [ErrCollection].
type CollectionError struct {
	Projection string
	Collection string   // the name that was used
	Declared   []string // the names that are declared, sorted
	// Holds is the type of the documents where the name is declared, but not with
	// documents of the type Asked. Both are nil otherwise.
	Holds, Asked reflect.Type
}

func (e *CollectionError) Error() string {
	switch {
	case e.Holds != nil:
		return fmt.Sprintf("projection %s: collection %s holds %v, not %v", e.Projection, e.Collection, e.Holds, e.Asked)
	case len(e.Declared) == 0:
		return fmt.Sprintf("projection %s has no collection %q: its definition declares none", e.Projection, e.Collection)
	}
	return fmt.Sprintf("projection %s has no collection %q: its definition declares %s", e.Projection, e.Collection, strings.Join(e.Declared, ", "))
}

// Unwrap returns ErrCollection.
func (e *CollectionError) Unwrap() error { return ErrCollection }
