package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/projection"
)

// views reads views for the gateway: those of the node's own projections, and those that
// other nodes run on the same storage.
type views struct {
	storage projection.Storage
	own     map[string]*projection.Projection
	hubs    *hubs
}

var _ gateway.Views = (*views)(nil)

func newViews(s projection.Storage, own []*projection.Projection) *views {
	v := &views{storage: s, own: map[string]*projection.Projection{}, hubs: newHubs()}
	for _, p := range own {
		v.own[p.Name()] = p
	}
	return v
}

// Shown implements gateway.Views.
func (v *views) Shown() []gateway.ViewInfo {
	var all []gateway.ViewInfo
	for _, name := range slices.Sorted(maps.Keys(v.own)) {
		info := gateway.ViewInfo{Name: name}
		for _, c := range v.own[name].Shown() {
			info.Collections = append(info.Collections, gateway.CollectionInfo{Name: c.Name(), Type: c.Type()})
		}
		if len(info.Collections) > 0 {
			all = append(all, info)
		}
	}
	return all
}

// find returns a view of which callers may read something.
func (v *views) find(ctx context.Context, name string) (*projection.View, error) {
	if p := v.own[name]; p != nil {
		if len(p.Shown()) == 0 {
			return nil, gateway.ErrNoView
		}
		return projection.NewView(v.storage, p), nil
	}
	view, err := projection.FindView(ctx, v.storage, name)
	if errors.Is(err, projection.ErrNotFound) {
		return nil, gateway.ErrNoView
	}
	return view, err
}

// collection is find, and makes sure that callers may read the collection.
func (v *views) collection(ctx context.Context, at gateway.Collection) (*projection.View, error) {
	view, err := v.find(ctx, at.View)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(view.Projection().Shown(), func(c projection.Declared) bool { return c.Name() == at.Name }) {
		return nil, gateway.ErrNoCollection
	}
	return view, nil
}

// Document implements gateway.Views.
func (v *views) Document(ctx context.Context, at gateway.Collection, key string) (json.RawMessage, bool, error) {
	view, err := v.collection(ctx, at)
	if err != nil {
		return nil, false, err
	}
	value, found, err := projection.Get[json.RawMessage](ctx, view, at.Name, key)
	if err == nil || errors.Is(err, projection.ErrUnavailable) {
		return value, found, err
	}
	old, found, err := projection.Get[any](ctx, view, at.Name, key) // of a build that kept no JSON
	if err == nil && found {
		value, err = json.Marshal(old)
	}
	return value, found, err
}

// Documents implements gateway.Views.
func (v *views) Documents(ctx context.Context, at gateway.Collection, r gateway.ViewRange) ([]gateway.Document, bool, error) {
	view, err := v.collection(ctx, at)
	if err != nil {
		return nil, false, err
	}
	docs, more, err := documents(ctx, view, at.Name, r, func(value json.RawMessage) (json.RawMessage, error) { return value, nil })
	if err == nil || errors.Is(err, projection.ErrUnavailable) || errors.Is(err, projection.ErrRetired) {
		return docs, more, err
	}
	return documents(ctx, view, at.Name, r, func(old any) (json.RawMessage, error) { return json.Marshal(old) })
}

// retiredMax is how often a page is read that a rebuild has replaced meanwhile.
const retiredMax = 3

func documents[T any](ctx context.Context, view *projection.View, collection string, r gateway.ViewRange, shown func(T) (json.RawMessage, error)) (docs []gateway.Document, more bool, err error) {
	for range retiredMax {
		docs, more, err = documentsOnce(ctx, view, collection, r, shown)
		if !errors.Is(err, projection.ErrRetired) || ctx.Err() != nil {
			break
		}
	}
	return docs, more, err
}

func documentsOnce[T any](ctx context.Context, view *projection.View, collection string, r gateway.ViewRange, shown func(T) (json.RawMessage, error)) (docs []gateway.Document, more bool, _ error) {
	bytes := 0
	all := projection.List[T](ctx, view, collection, projection.Range{Prefix: r.Prefix, After: r.After, Limit: r.Limit + 1, Reverse: r.Reverse})
	for e, err := range all {
		switch {
		case err != nil:
			return nil, false, err
		case len(docs) == r.Limit:
			more = true // and the last: the list ends by itself, and looks whether it was whole
			continue
		case bytes >= answerBytes:
			return docs, true, nil
		}
		value, err := shown(e.Value)
		if err != nil {
			return nil, false, err
		}
		bytes += len(value)
		docs = append(docs, gateway.Document{Key: e.Key, Value: value})
	}
	return docs, more, nil
}

// Wait implements gateway.Views.
func (v *views) Wait(ctx context.Context, name string, source actor.Address, version actor.Version) error {
	view, err := v.find(ctx, name)
	if err != nil {
		return err
	}
	err = view.Wait(ctx, projection.Version(source, version))
	switch {
	case errors.Is(err, projection.ErrNotFollowed):
		return fmt.Errorf("%w: %w", gateway.ErrNotFollowed, err)
	case errors.Is(err, projection.ErrParked):
		return &actor.Error{Code: actor.CodeParked, Detail: err.Error()}
	default:
		return err
	}
}

// Watch implements gateway.Views.
func (v *views) Watch(ctx context.Context, at gateway.Collection, prefix string) (<-chan gateway.ViewChange, func(), error) {
	view, err := v.collection(ctx, at)
	if err != nil {
		return nil, nil, err
	}
	interest := projection.Interest{Collection: at.Name, Prefix: prefix}
	if v.own[at.View] == nil {
		interest.Collection = "" // the hub may have been made before there was that one
	}
	notices, end, err := v.hubs.of(view).Subscribe(interest)
	if err != nil {
		return nil, nil, err
	}
	changes, stopped := make(chan gateway.ViewChange), make(chan struct{})
	var passing sync.WaitGroup
	passing.Go(func() { passOn(at.Name, notices, changes, stopped) })
	return changes, sync.OnceFunc(func() {
		close(stopped)
		end()
		passing.Wait()
	}), nil
}

// passOn hands notices on as changes. What waits, waits in the channel of notices, which has
// a bound of its own.
func passOn(collection string, notices <-chan projection.Notice, changes chan<- gateway.ViewChange, stopped <-chan struct{}) {
	for {
		select {
		case <-stopped:
			return
		case n := <-notices:
			if !n.Reset && n.Collection != collection {
				continue
			}
			select {
			case changes <- gateway.ViewChange{Key: n.Key, Reset: n.Reset}:
			case <-stopped:
				return
			}
		}
	}
}

// hubs tell of changes of views, each with one watch of the storage, while the node runs.
type hubs struct {
	mu     sync.Mutex
	all    map[string]*projection.Hub // by view
	wanted chan struct{}              // capacity 1: there is a new one
	new    []*projection.Hub          // that do not run yet
}

func newHubs() *hubs {
	return &hubs{all: map[string]*projection.Hub{}, wanted: make(chan struct{}, 1)}
}

// of returns the hub of a view.
func (h *hubs) of(view *projection.View) *projection.Hub {
	h.mu.Lock()
	defer h.mu.Unlock()
	name := view.Projection().Name()
	if h.all[name] == nil {
		hub := projection.NewHub(view)
		h.all[name] = hub
		h.new = append(h.new, hub)
		select {
		case h.wanted <- struct{}{}:
		default:
		}
	}
	return h.all[name]
}

// run runs the hubs until ctx ends, those that are wanted later, too.
func (h *hubs) run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		for _, hub := range h.begin() {
			running.Go(func() { _ = hub.Run(ctx) })
		}
		select {
		case <-h.wanted:
		case <-ctx.Done():
			return
		}
	}
}

func (h *hubs) begin() []*projection.Hub {
	h.mu.Lock()
	defer h.mu.Unlock()
	begun := h.new
	h.new = nil
	return begun
}
