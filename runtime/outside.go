package runtime

import (
	"fmt"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// conceals returns the outcome with which a message is refused that comes from outside and
// asks for what is the application's own ([actor.Internal]): that of what does not exist; nil:
// it is not refused for that. The owner decides it, whoever the message came by: a gateway
// that has another definition, or a client that does as it likes.
func (p *partition) conceals(b *actor.Behavior, m *actor.Message) *actor.Outcome {
	if b == nil || !m.Outside || p.cfg.ExposeInternal {
		return nil
	}
	switch b.Conceals(m.Type, m.Name) {
	case actor.CodeUnknownKind:
		return new(unknownKind(m))
	case actor.CodeUnknownCommand:
		return new(unknownCommand(m))
	default:
		return nil
	}
}

// turnAway refuses such a message. It comes before everything else that is done for one:
// what was recorded under the command's id is not for its sender. On the durable lane the
// sender is told once nobody can read the command again, as another owner's build may have it
// open. Nothing is parked, as nodes send what waits for a build which knows it.
func (p *partition) turnAway(d *delivery, o actor.Outcome) {
	p.logTurnedAway(d)
	ans := answer{delivery: d, outcome: o}
	if d.Sequence > 0 {
		p.concludeWhenSaved(ans)
	} else {
		p.conclude(ans)
	}
}

// unknownCommand is what a definition says of a command or query that it does not declare.
func unknownCommand(m *actor.Message) actor.Outcome {
	return actor.Failure(actor.CodeUnknownCommand, fmt.Sprintf("%s has no %s", m.Target.Kind, m.Name))
}

// logTurnedAway has a line a second at most.
func (p *partition) logTurnedAway(d *delivery) {
	now, last := p.cfg.Clock.Elapsed(), p.memory.turnedAway.Load()
	if !due(time.Duration(last), now, struggleLogEvery) || !p.memory.turnedAway.CompareAndSwap(last, int64(max(now, 1))) {
		return
	}
	p.cfg.Logger.Warn("a message from outside for what is the application's own was refused", "aggregate", d.Message.Target.String(),
		"name", d.Message.Name, "command_id", string(d.Message.ID))
}
