package gateway

import (
	"context"
	"iter"

	"github.com/ganglion-go/ganglion/actor"
)

// What is the application's own ([actor.Internal]) does not exist here: neither its routes
// nor its description, and it is answered like what is not declared. The owner refuses it all
// the same, since all that the gateway sends says that it comes from outside: a gateway of
// another build, with another definition, opens nothing.

// admit takes a definition in, or only notes that its kind is not for callers.
func (g *Gateway) admit(b *actor.Behavior) {
	if b.IsInternal() && !g.cfg.ExposeInternal {
		g.hidden[b.Kind()] = true
		return
	}
	g.behaviors[b.Kind()] = b
}

// offers reports whether callers have a command or query of a kind.
func (c *Config) offers(b *actor.Behavior, t actor.MessageType, name string) bool {
	if !c.ExposeInternal && b.Conceals(t, name) != actor.CodeOK {
		return false
	}
	if t == actor.TypeQuery {
		return b.HasQuery(name)
	}
	return b.HasCommand(name)
}

func (d *describer) commands(b *actor.Behavior) iter.Seq[actor.HandlerInfo] {
	return d.offered(b.Commands())
}

func (d *describer) queries(b *actor.Behavior) iter.Seq[actor.HandlerInfo] {
	return d.offered(b.Queries())
}

// offered leaves out what is not for callers.
func (d *describer) offered(all iter.Seq[actor.HandlerInfo]) iter.Seq[actor.HandlerInfo] {
	return func(yield func(actor.HandlerInfo) bool) {
		for h := range all {
			if (!h.Internal || d.cfg.ExposeInternal) && !yield(h) {
				return
			}
		}
	}
}

// outside sends messages that come from outside.
type outside struct{ client actor.Client }

// Deliver implements [actor.Client].
func (o outside) Deliver(ctx context.Context, m actor.Message) actor.Outcome {
	m.Outside = true
	return o.client.Deliver(ctx, m)
}

// Enqueue implements [actor.Client].
func (o outside) Enqueue(ctx context.Context, m actor.Message) error {
	m.Outside = true
	return o.client.Enqueue(ctx, m) //nolint:wrapcheck // it is the client's
}
