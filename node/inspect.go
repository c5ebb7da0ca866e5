package node

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/node/internal/dashboard"
	"github.com/ganglion-go/ganglion/node/internal/lineage"
	"github.com/ganglion-go/ganglion/store"
)

// inspector shows single aggregates on the dashboard: what the reads of the admin server show
// of them, and in the same bounds.
type inspector struct {
	node    *Node
	history *history
	lineage *lineage.Reader
	effects *effects
	parking *parking
}

func (n *Node) newInspector(p *parking, e *effects) *inspector {
	h, _ := n.served.History.(*history) // openGateway made it
	i := &inspector{node: n, history: h, effects: e, parking: p}
	i.lineage = &lineage.Reader{Commits: n.store, Parking: n.store, Behaviors: h.behaviors, Hidden: i.hides, Now: time.Now}
	return i
}

// hides reports whether a kind is the application's own.
func (i *inspector) hides(k actor.Kind) bool {
	b := i.history.behaviors[k]
	return b != nil && b.IsInternal() && !i.node.cfg.ExposeInternal
}

// ShownKinds implements dashboard.Inspector.
func (i *inspector) ShownKinds() (all []dashboard.ShownKind) {
	for _, kind := range slices.Sorted(maps.Keys(i.history.behaviors)) {
		if b := i.history.behaviors[kind]; !b.IsPolicy() && !i.hides(kind) {
			all = append(all, dashboard.ShownKind{Kind: kind, Saga: b.IsSaga()})
		}
	}
	return all
}

// ListAggregates implements dashboard.Inspector.
func (i *inspector) ListAggregates(ctx context.Context, kind actor.Kind, prefix, after string, limit int) ([]string, error) {
	if i.hides(kind) {
		return nil, actor.ErrUnknownKind
	}
	return i.history.Aggregates(ctx, kind, prefix, after, limit)
}

// LastVersion implements dashboard.Inspector.
func (i *inspector) LastVersion(ctx context.Context, of actor.Address) (actor.Version, error) {
	if i.hides(of.Kind) {
		return 0, actor.ErrUnknownKind
	}
	last, err := i.node.store.LastVersion(ctx, store.Aggregate(of.String()))
	return actor.Version(last), err
}

// Aggregate implements dashboard.Inspector.
func (i *inspector) Aggregate(ctx context.Context, of actor.Address) dashboard.Aggregate {
	a := dashboard.Aggregate{Address: of, Partition: int(i.node.bus.Partitions().Of(of))}
	last, err := i.LastVersion(ctx, of)
	if a.Last = last; err != nil {
		a.StateErr = err.Error()
		return a
	}
	if last == 0 {
		return a
	}
	i.describeSnapshot(ctx, &a)
	i.describePending(ctx, &a)
	i.describeState(ctx, &a) // which may take longest
	return a
}

// describeState adds what the aggregate's own state says.
func (i *inspector) describeState(ctx context.Context, a *dashboard.Aggregate) {
	instance, err := i.history.instanceAt(ctx, a.Address, gateway.Latest())
	if err != nil {
		a.StateErr = err.Error()
		return
	}
	state := instance.RuntimeState()
	_, a.Told, _ = shown(instance) // that it cannot be shown, the page of the state says
	a.Exists, a.Ended, a.Overdue, a.Saga = instance.Exists(), state.Ended, state.Overdue, i.history.behaviors[a.Address.Kind].IsSaga()
	for _, t := range state.Timers {
		if _, effect := actor.EffectOf(t.Name); !effect {
			a.Timers = append(a.Timers, dashboard.Timer{Name: t.Name, Command: t.Command, ID: t.ID, At: t.At})
		}
	}
}

func (i *inspector) describeSnapshot(ctx context.Context, a *dashboard.Aggregate) {
	b := i.history.behaviors[a.Address.Kind]
	if b == nil {
		return
	}
	s, found, err := i.node.store.LoadSnapshot(ctx, store.Aggregate(a.Address.String()), b.Schema())
	switch {
	case err != nil:
		a.SnapshotErr = err.Error()
	case found:
		a.Snapshot, a.SnapshotAt = actor.Version(s.Version), time.UnixMicro(s.Time).UTC()
	}
}

// pendingShown is how many pending effects and parked commands of an aggregate are shown.
const pendingShown = 20

func (i *inspector) describePending(ctx context.Context, a *dashboard.Aggregate) {
	pending, complete, err := i.effects.pending(ctx, a.Address, "")
	switch {
	case err != nil:
		a.EffectsErr = err.Error()
	case !complete:
		a.EffectsErr = "not all timers could be read"
	}
	for k := range pending[:min(len(pending), pendingShown)] {
		p := &pending[k]
		a.Effects = append(a.Effects, dashboard.PendingEffect{
			Effect: p.Effect, Aggregate: p.Aggregate, Key: p.Key, State: string(p.State), Node: p.Node, Error: p.Error,
			Asked: p.Asked, Next: p.Next, Attempts: p.Attempts, Failures: p.Failures,
		})
	}
	pg := &page{limit: pendingShown}
	if err := i.parking.list(ctx, a.Address.String(), 0, pg); err != nil {
		a.ParkedErr = err.Error()
	}
	a.ParkedMore = pg.more
	for k := range pg.views {
		v := &pg.views[k]
		a.Parked = append(a.Parked, dashboard.ParkedItem{
			ParkedRef: dashboard.ParkedRef{Aggregate: v.Aggregate, CommandID: v.CommandID, Projection: v.Projection},
			Name:      v.Name, Reason: v.Reason, Attempts: v.Attempts, Events: v.Events, State: string(v.State), Since: v.Time,
		})
	}
}

// historyBytes bounds the event data of one page of a history.
const historyBytes = 4 << 20

// errHistoryLarge says that a page of a history has more data than is read for one.
var errHistoryLarge = errors.New("these events have more than 4 MiB of data: ask for fewer")

// History implements dashboard.Inspector.
func (i *inspector) History(ctx context.Context, of actor.Address, after, upTo actor.Version) ([]lineage.Command, error) {
	if i.hides(of.Kind) {
		return nil, actor.ErrUnknownKind
	}
	var all []lineage.Command
	bytes := 0
	for c, err := range commitsAbove(ctx, i.node.store, store.Aggregate(of.String()), store.Version(after)) {
		if err != nil {
			return nil, err
		}
		if actor.Version(c.First) > upTo+1 { // one that begins behind it may begin with a refusal at it
			break
		}
		for _, one := range lineage.CommandsOf(&c) {
			if one.Version > upTo || one.Version <= after && (after > 0 || one.Version > 0) {
				continue
			}
			for k := range one.Events {
				bytes += len(one.Events[k].Data)
			}
			if all = append(all, one); bytes > historyBytes {
				return all, errHistoryLarge
			}
		}
	}
	return all, nil
}

// States implements dashboard.Inspector.
func (i *inspector) States(ctx context.Context, of actor.Address, from, v actor.Version) (was, is gateway.PastState, err error) {
	switch {
	case i.hides(of.Kind):
		return was, is, actor.ErrUnknownKind
	case from > v:
		is, was, err = i.history.pair(ctx, of, v, from)
	default:
		was, is, err = i.history.pair(ctx, of, from, v)
	}
	return was, is, err
}

// Lineage implements dashboard.Inspector.
func (i *inspector) Lineage() *lineage.Reader { return i.lineage }

// Description implements dashboard.Inspector.
func (i *inspector) Description() []byte { return i.node.operators.Description() }
