package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// EffectStatus is what a node knows of one effect: of what its own aggregates have asked
// for, as far as that is in memory. Effects whose next attempt is more than a minute away are not.
type EffectStatus struct {
	Effect  string              `json:"effect"`
	Handled bool                `json:"handled"`           // this node carries it out
	AskedBy []actor.Kind        `json:"askedBy,omitempty"` // kinds of this node that declare it, sorted
	Paused  bool                `json:"paused"`
	Slots   int                 `json:"slots"`           // attempts that may run at once here
	Busy    int                 `json:"busy"`            // of them, the stuck ones included
	Stuck   int                 `json:"stuck"`           // handlers that ignore their context
	Overdue int                 `json:"overdue"`         // asked for longer ago than they are tried for, and not over
	States  map[EffectState]int `json:"states"`          // how many are in each
	Oldest  time.Time           `json:"oldest,omitzero"` // when the oldest of them was asked for
}

// PendingEffect is an effect in the memory of its owner.
type PendingEffect struct {
	ID    actor.EffectID
	State EffectState
	Task  actor.EffectTask // as last noted
}

// EffectStatus returns what the node knows of each effect, by name: of those that it carries
// out, that its kinds declare ([actor.Definition.Effects]), and that were asked for.
func (n *Node) EffectStatus() []EffectStatus { return n.performers.status(n.declaredEffects()) }

// EffectsUnderWay returns those of [Node.PendingEffects] that come to something by themselves,
// within a minute or so: not those that wait for another one of their aggregate, for an
// operator or for a node that carries them out. What a command has asked for is
// among them once [Status] does not count the command as unfinished.
func (n *Node) EffectsUnderWay() []PendingEffect {
	r := n.performers
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []PendingEffect
	for _, of := range r.tasks {
		for _, e := range of {
			if e.underWayLocked() {
				all = append(all, PendingEffect{ID: e.id, State: e.state, Task: e.shown})
			}
		}
	}
	return all
}

func (e *performing) underWayLocked() bool {
	switch e.state {
	case EffectRunning, EffectStuck, EffectReplying:
		return true
	default: // it may be its turn, and its state not say so yet
		return e.head && e.startableLocked(e.id.Timer)
	}
}

// startableLocked reports whether attempts of what a timer stands for may begin here.
func (r *performers) startableLocked(timer string) bool {
	name, _ := actor.EffectOf(timer)
	h := r.effects[name]
	return h != nil && !h.paused
}

// CarriesOut reports whether this node carries an effect out, and nobody has paused it.
func (n *Node) CarriesOut(id actor.EffectID) bool {
	r := n.performers
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.startableLocked(id.Timer)
}

// declaredEffects returns the kinds that ask for an effect, by its name, as they declare.
func (n *Node) declaredEffects() map[string][]actor.Kind {
	by := map[string][]actor.Kind{}
	for _, kind := range slices.Sorted(maps.Keys(n.behaviors)) {
		names, _ := n.behaviors[kind].Effects()
		for _, name := range names {
			by[name] = append(by[name], kind)
		}
	}
	return by
}

// logUnhandled names the effects that aggregates of this node ask for and that it does not
// carry out. It runs all the same: nothing that is asked for is lost, and what else the
// aggregates do need not wait for, say, the credentials of one provider.
func (n *Node) logUnhandled(ctx context.Context) {
	for name, kinds := range n.declaredEffects() {
		if n.performers.timers == nil || n.performers.effects[name] == nil {
			n.cfg.Logger.ErrorContext(ctx, "aggregates ask for an effect that this node does not carry out: what they ask for here waits until their partition goes to a node that does",
				"effect", name, "kinds", kinds)
		}
	}
}

// PendingEffects returns the effects that the node looks after, oldest first.
func (n *Node) PendingEffects() []PendingEffect {
	r := n.performers
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []PendingEffect
	for _, of := range r.tasks {
		for _, e := range of {
			all = append(all, PendingEffect{ID: e.id, State: e.state, Task: e.shown})
		}
	}
	slices.SortFunc(all, func(x, y PendingEffect) int {
		return cmp.Or(x.Task.Asked.Compare(y.Task.Asked), cmp.Compare(x.ID.Command, y.ID.Command))
	})
	return all
}

func (r *performers) status(declared map[string][]actor.Kind) []EffectStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	by := map[string]*EffectStatus{}
	of := func(name string) *EffectStatus {
		if by[name] == nil {
			by[name] = &EffectStatus{Effect: name, States: map[EffectState]int{}}
		}
		return by[name]
	}
	for name, h := range r.effects {
		s := of(name)
		s.Handled, s.Paused, s.Slots, s.Busy = true, h.paused, cap(h.slots), len(h.slots)
	}
	for name, kinds := range declared {
		of(name).AskedBy = kinds
	}
	for _, name := range r.stuck {
		of(name).Stuck++
	}
	for _, tasks := range r.tasks {
		for _, e := range tasks {
			name, _ := actor.EffectOf(e.id.Timer)
			s := of(name)
			s.States[cmp.Or(e.state, EffectQueued)]++
			if h := r.effects[name]; h != nil && !e.shown.Asked.IsZero() && time.Since(e.shown.Asked) > h.Policy().GiveUpAfter {
				s.Overdue++
			}
			if asked := e.shown.Asked; !asked.IsZero() && (s.Oldest.IsZero() || asked.Before(s.Oldest)) {
				s.Oldest = asked
			}
		}
	}
	all := make([]EffectStatus, 0, len(by))
	for _, s := range by {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(x, y EffectStatus) int { return cmp.Compare(x.Effect, y.Effect) })
	return all
}

// That an effect is paused is one record among what is parked, so that it holds for all
// nodes, outlives them, and is seen by who looks at that list.
const (
	// KindPausedEffect stands for the kind of a record that says that an effect is paused.
	KindPausedEffect actor.Kind = "paused-effect"
	pausedEffectID              = "ganglion.paused"
	pauseEvery                  = 2 * time.Second
)

func pausedEffect(effect string) store.Aggregate {
	return store.Aggregate(actor.Address{Kind: KindPausedEffect, ID: effect}.String())
}

// PauseEffect has no attempts of an effect begin, on any node, until [ResumeEffect]: nodes
// notice within 2 s or so. Those that run go on. It is idempotent.
func PauseEffect(ctx context.Context, s store.Parking, effect, by string) error {
	err := s.Park(ctx, store.Parked{
		Aggregate: pausedEffect(effect), CommandID: pausedEffectID, Name: string(KindPausedEffect),
		Reason: shorten("no attempts of the effect begin: paused by "+by, parkedReasonMax), Time: time.Now(), Message: []byte(`{}`),
	})
	return orNil("pause effect "+effect, err)
}

// ResumeEffect ends what [PauseEffect] began. It is idempotent.
func ResumeEffect(ctx context.Context, s store.Parking, effect string) error {
	return orNil("resume effect "+effect, s.Unpark(ctx, pausedEffect(effect), pausedEffectID))
}

// EffectPaused reports whether an effect is paused.
func EffectPaused(ctx context.Context, s store.Parking, effect string) (bool, error) {
	_, found, err := s.FindParked(ctx, pausedEffect(effect), pausedEffectID)
	if errors.Is(err, store.ErrCorrupt) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look whether effect %s is paused: %w", effect, err)
	}
	return found, nil
}

// watchPauses keeps in mind which effects are paused, until ctx ends. What the store does
// not answer stays as it was.
func (r *performers) watchPauses(ctx context.Context, s store.Parking) {
	for ctx.Err() == nil {
		r.mu.Lock()
		names := make([]string, 0, len(r.effects))
		for name := range r.effects {
			names = append(names, name)
		}
		r.mu.Unlock()
		if len(names) == 0 {
			return
		}
		for _, name := range names {
			bounded, cancel := context.WithTimeout(ctx, pauseEvery)
			paused, err := EffectPaused(bounded, s, name)
			cancel()
			if err == nil {
				r.setPaused(name, paused)
			}
		}
		sleep(ctx, pauseEvery)
	}
}

func (r *performers) setPaused(name string, paused bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.effects[name]; h != nil && h.paused != paused {
		h.paused = paused
		close(h.changed)
		h.changed = make(chan struct{})
	}
}

// effectOpTimeout bounds the sending of what an operator asks of an effect.
const effectOpTimeout = 5 * time.Second

// AskOfEffect sends what an operator asks of a pending effect to the owner of its
// aggregate. of is its note. It returns when that is stored.
func AskOfEffect(ctx context.Context, timers EffectTimers, note *actor.Message, op actor.EffectOp) error {
	task, id, err := actor.ReadEffectTask(note)
	if err != nil {
		return err
	}
	task.Op = op
	ctx, cancel := context.WithTimeout(ctx, effectOpTimeout)
	defer cancel()
	return orNil("send to the owner", timers.Send(ctx, task.Message(id, time.Now())))
}
