package projection

import (
	"context"
	"fmt"
	"reflect"
	"slices"
)

// Internal keeps collections from callers outside the program: a gateway does not show
// them. Without any it keeps the whole view. Go code reads them like others. It panics on
// a collection that is not declared.
func (d *Definition) Internal(cs ...Declared) {
	p := d.projection
	if len(cs) == 0 {
		p.internal = true
	}
	for _, c := range cs {
		if err := p.declares(c); err != nil {
			panic(fmt.Sprintf("projection: %s: Internal: %v", p.name, err))
		}
		if p.hidden == nil {
			p.hidden = map[string]bool{}
		}
		p.hidden[c.Name()] = true
	}
}

// Shown returns the collections that callers outside the program may read, by name.
func (p *Projection) Shown() []Declared {
	if p.internal || p.Router() {
		return nil
	}
	return slices.DeleteFunc(p.Collections(), func(c Declared) bool { return p.hidden[c.Name()] })
}

func (p *Projection) shownNames() []string {
	var names []string
	for _, c := range p.Shown() {
		names = append(names, c.Name())
	}
	return names
}

// FindView returns the view of a projection that this process has no definition of, with
// the collections that callers outside may read: whoever runs the projection has said so
// where it is kept. Its documents are not bound to a type. [View.Wait] takes any kind. The
// error wraps [ErrNotFound] for a projection that nobody has registered, and for a router,
// or [ErrUnavailable].
func FindView(ctx context.Context, s Storage, name string) (*View, error) {
	if !validName(name) {
		return nil, fmt.Errorf("projection %q: %w", name, ErrNotFound)
	}
	h, _, err := readHead(ctx, s, name)
	if err != nil {
		return nil, err
	}
	p := &Projection{name: name, singleton: h.Slots == 1, foreign: true, collections: map[string]Declared{}}
	for _, c := range h.Shown {
		p.collections[c] = foreignCollection(c)
	}
	if len(p.collections) == 0 {
		return nil, fmt.Errorf("projection %s: %w", name, ErrNotFound)
	}
	return NewView(s, p), nil
}

// foreignCollection is one of a projection that is defined elsewhere.
type foreignCollection string

// Name implements [Declared].
func (c foreignCollection) Name() string { return string(c) }

// Type implements [Declared].
func (foreignCollection) Type() reflect.Type { return reflect.TypeFor[any]() }

// note writes down which collections are shown, for nodes that have no definition, if that
// is not what is there.
func (p *Projection) note(ctx context.Context, s Storage, there []string) error {
	shown := p.shownNames()
	if slices.Equal(there, shown) {
		return nil
	}
	err := changeHead(ctx, s, p.name, func(h *head) error {
		h.Shown = shown
		return nil
	})
	if err != nil {
		return fmt.Errorf("note what projection %s shows: %w", p.name, err)
	}
	return nil
}
