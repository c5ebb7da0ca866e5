package node

import (
	"context"
	"encoding/json"
	"iter"
	"strings"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// history reads the store for the gateway.
type history struct {
	store     store.Store
	behaviors map[actor.Kind]*actor.Behavior
	watch     *watch
	replays   chan struct{} // a place for each look at the past
}

var _ gateway.History = (*history)(nil)

// answerBytes bounds the event data of one answer.
const answerBytes = 4 << 20

// Events implements gateway.History.
func (h *history) Events(ctx context.Context, addr actor.Address, after actor.Version, limit int) ([]gateway.Event, error) {
	var events []gateway.Event
	bytes := 0
	for c, err := range commitsAbove(ctx, h.store, store.Aggregate(addr.String()), store.Version(after)) {
		if err != nil {
			return nil, err
		}
		for _, e := range describeEvents(&c) {
			if e.Version <= after {
				continue
			}
			events = append(events, e)
			if bytes += len(e.Data); len(events) == limit || bytes >= answerBytes {
				return events, nil
			}
		}
	}
	return events, nil
}

// commitsAbove yields the commits that hold events above a version, which may
// lie inside a commit. A store finds commits by their first event, so this goes
// back, further and further, until it has met the commit that holds the version. There
// is one if the history goes on behind it, and it begins within its own length: what is
// read does not grow with the history before the version, nor with how far the version
// lies beyond its end.
func commitsAbove(ctx context.Context, s store.Commits, a store.Aggregate, after store.Version) iter.Seq2[store.Commit, error] {
	return func(yield func(store.Commit, error) bool) {
		if after > 0 {
			last, err := s.LastVersion(ctx, a)
			if err != nil {
				yield(store.Commit{}, err)
				return
			}
			if last <= after {
				return
			}
		}
		for back := store.Version(0); ; back = max(1, back*8) {
			start := after - min(back, after)
			begun := false
			for c, err := range s.Load(ctx, a, start) {
				if err == nil && !begun && start > 0 && c.First > after+1 {
					break // what holds the version begins before start
				}
				begun = true
				if err == nil && c.Last() <= after {
					continue
				}
				if !yield(c, err) || err != nil {
					return
				}
			}
			if begun || start == 0 {
				return
			}
		}
	}
}

// Aggregates implements gateway.History. Who was only ever refused is not there, as for a
// read of its state.
func (h *history) Aggregates(ctx context.Context, kind actor.Kind, prefix, after string, limit int) ([]string, error) {
	r := store.AggregateRange{Prefix: string(kind) + "/" + prefix, Limit: limit, Ignore: []string{actor.EventRefused, actor.EventOutcome}}
	if after != "" {
		r.After = store.Aggregate(string(kind) + "/" + after)
	}
	ids := make([]string, 0, min(limit, 128))
	for a, err := range h.store.ListAggregates(ctx, r) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, strings.TrimPrefix(string(a), string(kind)+"/"))
	}
	return ids, nil
}

// Local implements gateway.History: it replays what the store has.
func (h *history) Local(ctx context.Context, addr actor.Address) (json.RawMessage, actor.Version, error) {
	behavior := h.behaviors[addr.Kind]
	if behavior == nil {
		return nil, 0, actor.ErrUnknownKind
	}
	instance := behavior.New(addr)
	a := store.Aggregate(addr.String())
	if s, found, err := h.store.LoadSnapshot(ctx, a, behavior.Schema()); err == nil && found {
		if restored, err := runtime.Restore(behavior, addr, &s); err == nil {
			instance = restored
		}
	}
	for c, err := range h.store.Load(ctx, a, store.Version(instance.Version())) {
		if err != nil {
			return nil, 0, err
		}
		for _, e := range c.Events {
			if err := instance.Replay(actor.Event(e)); err != nil {
				return nil, 0, &actor.Error{Code: actor.CodeUnloadable, Detail: err.Error()}
			}
		}
	}
	return shown(instance)
}

// shown returns what a read of an aggregate shows of it, and its version; 0 if it does not exist.
func shown(instance *actor.Instance) (json.RawMessage, actor.Version, error) {
	if !instance.Exists() {
		return nil, 0, nil
	}
	o := instance.Decide(&actor.Message{Type: actor.TypeState, Target: instance.Address()}).Outcome
	if o.Code == actor.CodeParked { // of a read: how it is shown panicked
		o.Code = actor.CodeUnloadable
	}
	return o.Reply, o.Version, o.Err()
}

// Watch implements gateway.History.
func (h *history) Watch(_ context.Context, addr actor.Address) (<-chan struct{}, func()) {
	return h.watch.add(store.Aggregate(addr.String()))
}
