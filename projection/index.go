package projection

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of [Definition.Index].
const (
	maxIndexFields = 32
	maxIndexes     = 32 // of a collection
)

// Index names fields of documents, each by its path in their JSON ("room", "guest.name"),
// with "-" before it for the descending order.
type Index []string

// Indexer is a [Storage] whose documents can also be queried by something else than their
// keys.
type Indexer interface {
	// EnsureIndexes makes those indexes of a collection that do not exist, and returns
	// when they can be used. It is idempotent. The errors are those of a [Storage], or what
	// is wrong with an index.
	EnsureIndexes(ctx context.Context, at Place, indexes ...Index) error
}

// Index has the documents of a collection indexed by fields, as [Index] names them, for
// queries past this package: see projection/mongo.Collection. The index is there before
// the projection is registered, and in each generation that a rebuild makes, before its
// first document. On a large collection that exists already this takes time: a node that
// starts waits for it, [Config.IndexTimeout] at most, and other nodes go on meanwhile. An
// index that cannot be made ends the start. One that is no longer declared stays until
// somebody drops it, or the next rebuild. On the JetStream storage and the one in memory,
// which are read by key alone, it has no effect.
//
// It panics when the projection has not declared the collection, when its documents cannot
// have such a field, for more than 32 fields, and for more than 32 indexes of a collection.
func (d *Definition) Index(of Declared, fields ...string) {
	p, collection := d.projection, of.Name()
	mistake := func(format string, args ...any) {
		panic(fmt.Sprintf("projection: %s: Index(%q): ", p.name, collection) + fmt.Sprintf(format, args...))
	}
	if err := p.declares(of); err != nil {
		mistake("%v", err)
	}
	if len(fields) == 0 || len(fields) > maxIndexFields {
		mistake("%d fields, 1 to %d are allowed", len(fields), maxIndexFields)
	}
	seen := map[string]bool{}
	for _, field := range fields {
		path := strings.TrimPrefix(field, "-")
		if !validPath(path) {
			mistake("invalid field %q", field)
		}
		if !mayHave(of.Type(), path) {
			mistake("documents of type %v have no field %q", of.Type(), path)
		}
		if seen[path] {
			mistake("field %q twice", path)
		}
		seen[path] = true
	}
	if slices.ContainsFunc(p.indexes[collection], func(i Index) bool { return slices.Equal(i, fields) }) {
		return
	}
	if len(p.indexes[collection]) == maxIndexes {
		mistake("more than %d indexes", maxIndexes)
	}
	if p.indexes == nil {
		p.indexes = map[string][]Index{}
	}
	p.indexes[collection] = append(p.indexes[collection], slices.Clone(Index(fields)))
}

// validPath reports whether a storage can take a path of field names.
func validPath(path string) bool {
	for name := range strings.SplitSeq(path, ".") {
		if name == "" || !utf8.ValidString(name) || len(name) > MaxKeyBytes || strings.HasPrefix(name, "$") || strings.ContainsRune(name, 0) {
			return false
		}
	}
	return true
}

// mayHave reports whether the JSON of a type can have a field at a path. Of types that make
// their JSON themselves, and of interfaces and maps, nobody knows.
func mayHave(t reflect.Type, path string) bool {
	name, rest, _ := strings.Cut(path, ".")
	switch {
	case makesJSON(t), makesJSON(reflect.PointerTo(t)), t.Kind() == reflect.Interface, t.Kind() == reflect.Map:
		return true
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice, t.Kind() == reflect.Array: // of its elements
		return mayHave(t.Elem(), path)
	case t.Kind() != reflect.Struct:
		return false
	}
	for _, f := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && tag != "-" && name == cmp.Or(tag, f.Name) {
			return rest == "" || mayHave(f.Type, rest)
		}
	}
	return false
}

func makesJSON(t reflect.Type) bool { return t.Implements(reflect.TypeFor[json.Marshaler]()) }

// index makes the indexes of a generation of a projection, once in the engine's life.
func (e *Engine) index(ctx context.Context, p *Projection, generation uint64) error {
	indexer, ok := e.store.(Indexer)
	if !ok || generation == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, e.cfg.IndexTimeout, fmt.Errorf("not done within %v: %w", e.cfg.IndexTimeout, context.DeadlineExceeded))
	defer cancel()
	for _, collection := range slices.Sorted(maps.Keys(p.indexes)) {
		at := Place{p.name, generation, collection}
		e.mu.Lock()
		done := e.indexed[at]
		e.mu.Unlock()
		if done {
			continue
		}
		if err := indexer.EnsureIndexes(ctx, at, p.indexes[collection]...); err != nil {
			if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
				err = fmt.Errorf("%w: %w", cause, err)
			}
			return fmt.Errorf("indexes of projection %s, collection %s: %w", p.name, collection, err)
		}
		e.mu.Lock()
		e.indexed[at] = true
		e.mu.Unlock()
	}
	return nil
}

// indexAll makes the indexes of what there is of a registered projection.
func (e *Engine) indexAll(ctx context.Context, p *Projection) error {
	if _, ok := e.store.(Indexer); !ok || len(p.indexes) == 0 {
		return nil
	}
	h, _, err := readHead(ctx, e.store, p.name)
	if err != nil {
		return fmt.Errorf("indexes of projection %s: %w", p.name, err)
	}
	return errors.Join(e.index(ctx, p, h.Live), e.index(ctx, p, h.Building))
}

// defaultIndexTimeout is the default of Config.IndexTimeout.
const defaultIndexTimeout = 10 * time.Minute
