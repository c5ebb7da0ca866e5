package node

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

const (
	// replayMax is how many events are replayed for a look at the past. Only the newest
	// snapshot of an aggregate is kept, so that a version before it is as far away as the
	// beginning of the history.
	replayMax = 10_000
	// replaysMax is how many such looks there are at once: they take the time of a core.
	replaysMax = 4
)

// At implements gateway.History: it replays what the store has, from the newest snapshot
// if that is not younger than the moment.
func (h *history) At(ctx context.Context, addr actor.Address, m gateway.Moment) (gateway.PastState, error) {
	instance, err := h.instanceAt(ctx, addr, m)
	if err != nil {
		return gateway.PastState{}, err
	}
	state, version, err := shown(instance)
	return gateway.PastState{State: state, Version: version}, err
}

// instanceAt returns an aggregate as it was at a moment.
func (h *history) instanceAt(ctx context.Context, addr actor.Address, m gateway.Moment) (*actor.Instance, error) {
	behavior := h.behaviors[addr.Kind]
	if behavior == nil {
		return nil, actor.ErrUnknownKind
	}
	p := past{moment: m, address: addr, from: behavior.New(addr)}
	if err := p.find(ctx, h.store, behavior); err != nil {
		return nil, err
	}
	return p.from, h.replay(ctx, &p)
}

// replay brings a state to its moment.
func (h *history) replay(ctx context.Context, p *past) error {
	select {
	case h.replays <- struct{}{}:
		defer func() { <-h.replays }()
	case <-ctx.Done():
		return &actor.Error{Code: actor.CodeOverloaded, Detail: "too many states of the past are being read"}
	}
	for c, err := range h.store.Load(ctx, store.Aggregate(p.address.String()), store.Version(p.from.Version())) {
		if err != nil {
			return err
		}
		if more, err := p.replay(&c); err != nil || !more {
			return err
		}
	}
	return nil
}

// pair returns the states at two versions, of which the first is not the later one. The
// history between the beginning, or a snapshot, and the first of them is replayed once.
func (h *history) pair(ctx context.Context, addr actor.Address, first, second actor.Version) (was, is gateway.PastState, err error) {
	last, err := h.store.LastVersion(ctx, store.Aggregate(addr.String()))
	if err != nil {
		return was, is, err
	}
	if actor.Version(last) < second {
		return was, is, &gateway.NoVersionError{Target: addr, Version: second}
	}
	instance, err := h.instanceAt(ctx, addr, gateway.Moment{Version: first})
	if err != nil {
		return was, is, err
	}
	if was.State, was.Version, err = shown(instance); err != nil {
		return was, is, err
	}
	if second-first > pairNear { // a snapshot may be nearer
		is, err = h.At(ctx, addr, gateway.Moment{Version: second})
		return was, is, err
	}
	if err := h.replay(ctx, &past{moment: gateway.Moment{Version: second}, address: addr, from: instance}); err != nil {
		return was, is, err
	}
	is.State, is.Version, err = shown(instance)
	return was, is, err
}

// pairNear is how far apart two versions are that are made of each other.
const pairNear = 128

// past is a state on the way to a moment.
type past struct {
	moment   gateway.Moment
	address  actor.Address
	from     *actor.Instance
	replayed int
}

// find makes sure that there is such a moment, and begins with the snapshot if that is of
// use. The history may go on meanwhile; it never loses a version.
func (p *past) find(ctx context.Context, s store.Store, b *actor.Behavior) error {
	a := store.Aggregate(p.address.String())
	if p.moment.Version != gateway.AnyVersion {
		last, err := s.LastVersion(ctx, a)
		if err != nil {
			return err
		}
		if actor.Version(last) < p.moment.Version {
			return &gateway.NoVersionError{Target: p.address, Version: p.moment.Version}
		}
	}
	snapshot, found, err := s.LoadSnapshot(ctx, a, b.Schema())
	if err == nil && found && p.reaches(actor.Version(snapshot.Version), snapshot.Time) {
		if restored, err := runtime.Restore(b, p.address, &snapshot); err == nil {
			p.from = restored
		}
	}
	if p.moment.Time.IsZero() && p.moment.Version != gateway.AnyVersion && p.moment.Version-p.from.Version() > replayMax {
		return p.tooFar()
	}
	return nil
}

// reaches reports whether what is at that version, and of that time, is not behind the
// moment.
func (p *past) reaches(v actor.Version, time int64) bool {
	return v <= p.moment.Version && (p.moment.Time.IsZero() || time <= p.moment.Time.UnixMicro())
}

// replay applies what of a commit is not behind the moment. more is false at its end.
func (p *past) replay(c *store.Commit) (more bool, err error) {
	for _, e := range c.Events {
		if !p.reaches(p.from.Version()+1, c.Time) {
			return false, nil
		}
		if p.replayed++; p.replayed > replayMax {
			return false, p.tooFar()
		}
		if err := p.from.Replay(actor.Event(e)); err != nil {
			return false, &actor.Error{Code: actor.CodeUnloadable, Detail: err.Error()}
		}
	}
	p.from.ReplayEffects(decided(c), timersOf(c))
	return true, nil
}

// decided yields the ids of a commit's commands.
func decided(c *store.Commit) iter.Seq[actor.CommandID] {
	return func(yield func(actor.CommandID) bool) {
		for i := range c.Outcomes {
			if !yield(actor.CommandID(c.Outcomes[i].CommandID)) {
				return
			}
		}
	}
}

// timersOf returns what a commit does to timers.
func timersOf(c *store.Commit) (all []actor.Outgoing) {
	for i := range c.Out {
		if o := &c.Out[i]; o.Timer != "" {
			all = append(all, actor.Outgoing{ID: actor.CommandID(o.ID), Name: o.Name, Timer: o.Timer, At: time.UnixMicro(o.At).UTC()})
		}
	}
	return all
}

func (p *past) tooFar() error {
	return fmt.Errorf("read the past: %w", &gateway.ReplayError{Target: p.address, Max: replayMax})
}
