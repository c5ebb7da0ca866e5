package lineage

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Origin is what caused a command.
type Origin struct {
	How     How
	Reactor actor.Kind    // the saga or policy, if it was one
	Sender  actor.Address // the aggregate that sent it, or whose event it is; zero: it is not known
	Timer   string        // of a timer
	Effect  string        // of an effect
	Event   actor.Version // that a saga or policy reacted to
	ID      actor.CommandID

	Command Command // of the sender, that caused it
	Found   bool    // Command is known
	Reached actor.Version
}

// Bounds of a search for the sender of a command.
const (
	placesShallow = 64                // places of what one decision has sent that are tried for an address that is only near
	placesDeep    = actor.MaxOutgoing // for one that is likely
	routedMost    = 32                // places of what one event has led to that are tried
	sourcesMost   = 12                // histories that are looked into for an event
)

// Cause returns what caused a command. suggested is an address that whoever asks thinks may
// be the sender, the zero address for none; it counts like all others only if the command's
// id proves it.
func (r *Reader) Cause(ctx context.Context, c *Command, suggested actor.Address) (Origin, error) {
	cause := actor.CommandID(c.Metadata.Causation)
	if !c.ID.Internal() {
		return Origin{How: ByCaller, ID: cause}, nil
	}
	unproven := Origin{How: ByUnproven, ID: cause}
	ms, timed := c.ID.UnixMilli()
	if !timed || cause == "" {
		return unproven, nil
	}
	at := time.UnixMilli(ms)
	near, err := r.near(ctx, c, suggested)
	if err != nil {
		return unproven, err
	}
	for i, a := range near {
		if ctx.Err() != nil {
			return unproven, context.Cause(ctx)
		}
		places := placesShallow
		if i < near.likely() {
			places = placesDeep
		}
		if how := sentBy(c.ID, at, a, cause, places); how != "" {
			return r.sent(ctx, c, Origin{How: how, Sender: a, ID: cause}, at)
		}
	}
	return r.reacted(ctx, c, unproven, near, at)
}

// sentBy reports how an aggregate, whose command that id is, has sent a command; empty: it
// has not.
func sentBy(id actor.CommandID, at time.Time, sender actor.Address, cause actor.CommandID, places int) How {
	if id == refusalID(id, sender, cause) {
		return ByRefusal
	}
	for n := range places {
		if id == actor.InternalID(at, "out", sender.String(), string(cause), strconv.Itoa(n)) {
			return BySend
		}
	}
	return ""
}

// refusalID is the id of the command by which an aggregate tells the sender of a command
// that it has refused it, of the time that another id carries.
func refusalID(of actor.CommandID, refuser actor.Address, refused actor.CommandID) actor.CommandID {
	ms, ok := of.UnixMilli()
	if !ok || !of.Internal() {
		return ""
	}
	return actor.InternalID(time.UnixMilli(ms), "refused", refuser.String(), string(refused))
}

// sent completes an origin whose sender is proved.
func (r *Reader) sent(ctx context.Context, c *Command, o Origin, at time.Time) (Origin, error) {
	if r.hidden(o.Sender.Kind) {
		return o, nil
	}
	look, err := r.FindSince(ctx, o.Sender, o.ID, at)
	if err != nil {
		return o, err
	}
	o.Command, o.Found, o.Reached = look.Command, look.Found, look.Reached
	for i := range o.Command.Asked {
		if b := asked(&o.Command, &o.Command.Asked[i]); b.ID == c.ID {
			o.How, o.Timer, o.Effect = b.How, b.Timer, b.Effect
		}
	}
	return o, nil
}

// reacted looks for the event that a saga or a policy has reacted to.
func (r *Reader) reacted(ctx context.Context, c *Command, o Origin, near addresses, at time.Time) (Origin, error) {
	reactors := r.reactorsOf(c)
	looked := 0
	for _, source := range near {
		if !reactsTo(reactors, source.Kind) || r.hidden(source.Kind) {
			continue
		}
		if looked++; looked > sourcesMost {
			break
		}
		found, err := r.eventOf(ctx, c, reactors, source, at)
		if err != nil || found.How != "" {
			return found, err
		}
	}
	return o, nil
}

// reactorsOf returns who may have sent a command in answer to an event: the saga itself that
// takes an event in, or a policy.
func (r *Reader) reactorsOf(c *Command) (all []*actor.Behavior) {
	takesIn := strings.HasPrefix(c.Name, reactionPrefix)
	for _, b := range r.reactors() {
		if takesIn && b.Kind() == c.Aggregate.Kind || !takesIn && b.IsPolicy() {
			all = append(all, b)
		}
	}
	return all
}

// reactionPrefix begins the names of commands by which sagas get events.
const reactionPrefix = "ganglion.on."

func reactsTo(reactors []*actor.Behavior, kind actor.Kind) bool {
	for _, b := range reactors {
		for _, reaction := range b.Reactions() {
			if reaction.Kind == kind {
				return true
			}
		}
	}
	return false
}

// eventOf looks among the events of one source, of the millisecond that the command's id
// carries, for the one that the id is derived from.
func (r *Reader) eventOf(ctx context.Context, c *Command, reactors []*actor.Behavior, source actor.Address, at time.Time) (Origin, error) {
	look, err := r.FindSince(ctx, source, actor.CommandID(c.Metadata.Causation), at)
	if err != nil || !look.Found {
		return Origin{}, err
	}
	for i := range look.Command.Events {
		v := look.Command.Events[i].Version
		for _, b := range reactors {
			for n := range routedMost {
				if c.ID != reactionID(at, b.Kind(), source, v, n) {
					continue
				}
				how := BySaga
				if b.IsPolicy() {
					how = ByPolicy
				}
				return Origin{How: how, Reactor: b.Kind(), Sender: source, Event: v, ID: look.Command.ID, Command: look.Command, Found: true}, nil
			}
		}
	}
	return Origin{}, nil
}

// reactionID is the id of the nth command that an event leads to at a saga or policy.
func reactionID(at time.Time, reactor actor.Kind, source actor.Address, v actor.Version, n int) actor.CommandID {
	return actor.InternalID(at, "reaction", string(reactor), source.String(), strconv.FormatUint(uint64(v), 10), strconv.Itoa(n))
}

// Step is one command of a chain of causes, with what caused it.
type Step struct {
	Command Command
	Origin  Origin
}

// Chain returns a command and what caused it, and what caused that, up to a caller, to what
// cannot be proved, to most steps, or to where ctx ends. The error is that of the last step.
func (r *Reader) Chain(ctx context.Context, c *Command, suggested actor.Address, most int) ([]Step, error) {
	var chain []Step
	for len(chain) < most && ctx.Err() == nil {
		origin, err := r.Cause(ctx, c, suggested)
		chain = append(chain, Step{Command: *c, Origin: origin})
		if err != nil || !origin.Found {
			return chain, err
		}
		c, suggested = &origin.Command, actor.Address{}
	}
	return chain, nil
}
