package node

import (
	"encoding/json"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/node/internal/lineage"
	"github.com/ganglion-go/ganglion/store"
)

// describeEvents returns a commit's events, each with the command that raised it, and the
// last of each command with what its decision asked for.
func describeEvents(c *store.Commit) []gateway.Event {
	events := make([]gateway.Event, 0, len(c.Events))
	at := time.UnixMicro(c.Time).UTC()
	asked := outgoingByCommand(c)
	for i := range c.Outcomes {
		o := &c.Outcomes[i]
		for range o.Events {
			i := len(events)
			if i == len(c.Events) {
				return events
			}
			events = append(events, gateway.Event{
				Version:       actor.Version(c.First) + actor.Version(i),
				Type:          c.Events[i].Name,
				Data:          json.RawMessage(c.Events[i].Data),
				CommandID:     actor.CommandID(o.CommandID),
				Command:       o.Name,
				User:          o.Metadata.User,
				CorrelationID: o.Metadata.Correlation,
				CausationID:   o.Metadata.Causation,
				Time:          at,
			})
		}
		if o.Events > 0 {
			events[len(events)-1].Outgoing = asked[o.CommandID]
		}
	}
	return events
}

// outgoingByCommand returns what a commit sends and does to timers, by the id of the
// command whose decision asked for it.
func outgoingByCommand(c *store.Commit) map[string][]gateway.Outgoing {
	places := lineage.Attribute(c)
	asked := make(map[string][]gateway.Outgoing, len(places))
	for id, of := range places {
		for _, i := range of {
			asked[id] = append(asked[id], describeOutgoing(&c.Out[i]))
		}
	}
	return asked
}

// describeOutgoing leaves out the data: it may be what nobody outside is to see.
func describeOutgoing(o *store.Outgoing) gateway.Outgoing {
	if effect, ok := actor.EffectOf(o.Timer); ok && o.Name == actor.PerformCommand {
		return describeAsked(effect, o)
	}
	shown := gateway.Outgoing{
		Action: gateway.ActionSend, To: string(o.To), Command: o.Name, CommandID: actor.CommandID(o.ID),
		Timer: o.Timer, OnRefusal: o.OnRefusal,
	}
	switch {
	case o.Name == "":
		shown.Action, shown.To = gateway.ActionCancelTimer, ""
	case o.Timer != "":
		shown.Action, shown.To = gateway.ActionSetTimer, ""
	}
	if o.At != 0 {
		at := time.UnixMicro(o.At).UTC()
		shown.At = &at
	}
	return shown
}

// describeAsked shows an effect as what it is to its aggregate, and not as the timer that
// it is kept as.
func describeAsked(effect string, o *store.Outgoing) gateway.Outgoing {
	id := actor.CommandID(o.ID)
	shown := gateway.Outgoing{Action: gateway.ActionPerform, Effect: effect, Key: actor.EffectKey(id), CommandID: id}
	var task actor.EffectTask
	if json.Unmarshal(o.Data, &task) != nil {
		return shown // it is parked when it comes to its owner
	}
	if task.OnResult != nil {
		shown.OnResult = task.OnResult.Name
	}
	if task.OnGivenUp != nil {
		shown.OnGivenUp = task.OnGivenUp.Name
	}
	return shown
}
