package node

import (
	"context"
	"fmt"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// restEffects is how far ahead the next attempt of an effect may be for it to count as under
// way: what is later than that is like a timer that is set.
const restEffects = time.Minute

// effectsUnderWay tells of an effect that comes to something by itself; empty: there is none.
// What this node looks after it knows. Notes tell of what others do, or nobody does as its
// node has just died; a note may outlive its effect, so the store is asked whether that is over.
func (n *Node) effectsUnderWay(ctx context.Context) (string, error) {
	for _, p := range n.runtime.EffectsUnderWay() {
		return describeUnderWay(&p, string(p.State)), nil
	}
	heads, complete, err := n.noted(ctx)
	if err != nil {
		return "pending effects", err
	}
	if !complete {
		return "more pending effects than are looked at", nil
	}
	for _, p := range heads {
		if p.Task.Reply == nil && (!n.runtime.CarriesOut(p.ID) || time.Until(p.Task.Next) >= restEffects) {
			continue
		}
		_, timed := p.ID.Command.UnixMilli()
		_, over, err := n.store.FindOutcome(ctx, store.Aggregate(p.ID.Address.String()), string(p.ID.Command), !timed)
		if err != nil {
			return "pending effects", err
		}
		if !over {
			return describeUnderWay(&p, "as noted"), nil
		}
	}
	return "", nil
}

// effectQueue is what of an aggregate waits for each other.
type effectQueue struct {
	of     actor.Address
	effect string
}

// noted returns the first of each queue that is noted, without those that this node knows.
func (n *Node) noted(ctx context.Context) (heads map[effectQueue]runtime.PendingEffect, complete bool, err error) {
	here := map[actor.CommandID]bool{}
	for _, p := range n.runtime.PendingEffects() {
		here[p.ID.Command] = true
	}
	heads = map[effectQueue]runtime.PendingEffect{}
	complete, err = n.bus.EffectNotes(ctx, actor.Address{}, effectsLooked, func(m actor.Message, _ int64) {
		task, id, err := actor.ReadEffectTask(&m)
		if err != nil || here[id.Command] {
			return
		}
		q := effectQueue{id.Address, task.Effect}
		if first, known := heads[q]; !known || id.Timer < first.ID.Timer {
			heads[q] = runtime.PendingEffect{ID: id, Task: task}
		}
	})
	return heads, complete, err
}

func describeUnderWay(p *runtime.PendingEffect, state string) string {
	name, _ := actor.EffectOf(p.ID.Timer)
	text := fmt.Sprintf("effect %s of %s", name, p.ID.Address)
	if state != "" {
		text += ", " + state
	}
	if p.Task.Attempt > 0 {
		text += fmt.Sprintf(", attempt %d", p.Task.Attempt)
	}
	if p.Task.Error != "" {
		text += ", last error: " + p.Task.Error
	}
	return text
}
