package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// Pauses between two looks at what is parked. The first ones are short, as a node that
// has just come may be the one that is waited for. A look that takes long, as very much
// is parked, is followed by a pause of twenty times that.
const (
	unservedFirst = 500 * time.Millisecond
	unservedLast  = time.Minute
	unservedShare = 20
)

// unserved sends commands again that were promised and that no node could execute, once
// this node's build can (runtime/unserved.go). What can meet is what can meet when an
// operator retries: each node may send the same one, and its aggregate decides once.
type unserved struct {
	store     store.Parking
	client    actor.Client // of the runtime
	reread    func(*actor.Unreadable) ([]actor.Message, error)
	behaviors map[actor.Kind]*actor.Behavior
	holds     func(actor.Address) bool // this node is the owner
	metrics   *prometheus.GaugeVec
	cfg       *settings

	mu   sync.Mutex
	said map[string]int // waiting, by kind, as last logged
}

func newUnserved(n *Node, definitions []actor.Registrable) *unserved {
	u := &unserved{
		store: n.store, client: n.internal, reread: n.bus.Reread, behaviors: behaviorsOf(definitions), holds: n.holds, cfg: &n.cfg, said: map[string]int{},
		metrics: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "ganglion", Name: "parked_waiting", Help: "Parked commands that wait for a node which can execute them, or to be sent, as this node last saw them.",
		}, []string{"kind"}),
	}
	n.metrics.registry.MustRegister(u.metrics)
	return u
}

// holds reports whether this node is the owner of an aggregate.
func (n *Node) holds(a actor.Address) bool { return n.runtime.Holds(n.bus.Partitions().Of(a)) }

// run looks again and again until ctx ends.
func (u *unserved) run(ctx context.Context) {
	for pause := unservedFirst; ; pause = min(2*pause, unservedLast) {
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		began := time.Now()
		u.look(ctx)
		pause = max(pause, unservedShare*time.Since(began)/2)
	}
}

// look sends again what can be executed now, oldest first, and counts the others.
func (u *unserved) look(ctx context.Context) {
	waiting := map[string]int{}
	for parked, err := range u.store.ListParked(ctx, "") {
		if errors.Is(err, store.ErrCorrupt) {
			continue // the list of what is parked shows it
		}
		if err != nil || ctx.Err() != nil {
			return // what was counted is not all; the next look counts anew
		}
		if runtime.ParkedWaits(&parked) == actor.CodeOK {
			continue
		}
		messages, kind := u.messages(&parked)
		if runtime.ParkedWaits(&parked) == runtime.WaitsUnsent { // the relay tries by itself
			waiting[string(kind)]++
			continue
		}
		if !u.retry(ctx, messages, &parked) {
			waiting[string(kind)]++
		}
	}
	u.show(ctx, waiting)
}

// messages returns what was parked, and its kind: one command; or those of a message that
// could not be read, none if this build cannot, either.
func (u *unserved) messages(parked *store.Parked) ([]actor.Message, actor.Kind) {
	if stored, ok := runtime.ParkedUnreadable(parked); ok {
		messages, err := u.reread(stored)
		if err != nil {
			return nil, runtime.KindUnreadable
		}
		return messages, runtime.KindUnreadable
	}
	m, err := runtime.ParkedMessage(parked)
	if err != nil {
		return nil, runtime.KindUnreadable
	}
	return []actor.Message{m}, m.Target.Kind
}

// retry reports whether the commands are done with. What this build cannot execute is
// left to others; what is the application's own ([actor.Internal]), and has a caller's id, to
// operators. A caller could otherwise send it to a build that does not know it, and have a
// node send it to the next one. Records of earlier builds do not tell who sent them.
func (u *unserved) retry(ctx context.Context, messages []actor.Message, parked *store.Parked) bool {
	for i := range messages {
		m := &messages[i]
		b := u.behaviors[m.Target.Kind]
		if b == nil || b.IsPolicy() || !takes(b, m) || !m.Deadline.IsZero() || !u.holds(m.Target) {
			return false
		}
	}
	for i := range messages {
		if !u.execute(ctx, &messages[i]) {
			return false
		}
	}
	return len(messages) > 0 && u.store.Unpark(ctx, parked.Aggregate, parked.CommandID) == nil
}

// takes reports whether a definition can decide a command: that it says no is a decision. What
// brings an effect to its owner, or ends one, is no command of a definition: builds without effects
// have parked it.
func takes(b *actor.Behavior, m *actor.Message) bool {
	if m.OfEffect() {
		return true
	}
	if b.Conceals(m.Type, m.Name) != actor.CodeOK && !m.ID.Internal() {
		return false
	}
	return b.CheckCommand(actor.TypeCommand, m.Name, m.Data) == nil && !errors.Is(b.Examine(m), actor.ErrMalformed)
}

// served reports whether a command that was sent again is decided. It is not if its owner
// does not know it, either: while a cluster is upgraded, the partition may go to an earlier
// build at any moment.
func served(o *actor.Outcome) bool {
	switch o.Code {
	case actor.CodeUnknownCommand, actor.CodeMalformed, actor.CodeUnknownKind, actor.CodeParked:
		return false
	default:
		return final(o)
	}
}

// execute sends one command again, and reports whether it is decided.
func (u *unserved) execute(ctx context.Context, m *actor.Message) bool {
	ctx, cancel := context.WithTimeout(ctx, retryTimeout)
	defer cancel()
	o := u.client.Deliver(ctx, again(*m))
	log := u.cfg.Logger.With("aggregate", m.Target.String(), "name", m.Name, "command_id", string(m.ID))
	if !served(&o) {
		log.DebugContext(ctx, "a command waits still", "outcome", string(o.Code))
		return false
	}
	log.InfoContext(ctx, "a command that waited for a node which can execute it was executed", "outcome", outcomeText(&o))
	return true
}

// show sets the gauge, and logs when another number of commands waits than before.
func (u *unserved) show(ctx context.Context, waiting map[string]int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for kind := range u.said {
		if waiting[kind] == 0 {
			u.metrics.DeleteLabelValues(kind)
		}
	}
	for kind, n := range waiting {
		u.metrics.WithLabelValues(kind).Set(float64(n))
		if u.said[kind] != n {
			u.cfg.Logger.WarnContext(ctx, "commands wait for a node that can execute them, or to be sent", "kind", kind, "count", n)
		}
	}
	u.said = waiting
}
