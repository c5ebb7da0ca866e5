package lineage

import (
	"cmp"
	"fmt"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// How says by which way one thing caused another.
type How string

// The ways.
const (
	BySend     How = "send"     // a handler sent a command
	ByTimer    How = "timer"    // a timer that a handler has set
	ByEffect   How = "effect"   // an effect on the world that a handler has asked for
	ByCancel   How = "cancel"   // a timer that a handler has taken back: it causes nothing
	BySaga     How = "saga"     // a saga reacts to an event
	ByPolicy   How = "policy"   // a policy reacts to an event
	ByRefusal  How = "refusal"  // a refused command is reported to its sender
	ByCaller   How = "caller"   // somebody outside of the runtime sent it: nothing before that is known
	ByUnproven How = "unproven" // the runtime sent it, and no address that was tried proves to be its sender
)

// Branch is a command that another one has caused, before it is known what became of it.
type Branch struct {
	How     How
	Event   actor.Version // that caused it; 0: the command as a whole
	Reactor actor.Kind    // the saga or policy that reacts to it
	To      actor.Address
	ID      actor.CommandID
	Name    string    // of the command
	Timer   string    // of a timer
	Effect  string    // of an effect
	At      time.Time // what a timer is set for
	since   time.Time // nothing of it was decided before
}

// Since is the time before which nothing of the branch was decided.
func (b *Branch) Since() time.Time { return b.since }

// Branches returns what a command has caused: what its commit says that it sent, then what
// the sagas and policies of this build make of its events. It reads nothing. Where a
// definition cannot say what it makes of an event, faults has why.
func (r *Reader) Branches(c *Command) (branches []Branch, faults []string) {
	for i := range c.Asked {
		branches = append(branches, asked(c, &c.Asked[i]))
	}
	for i := range c.Events {
		e := &c.Events[i]
		record := actor.EventRecord{
			Source: c.Aggregate, Version: e.Version, Name: e.Name, Data: e.Data, Time: c.Time, CommandID: c.ID, Metadata: c.Metadata,
		}
		for _, b := range r.reactors() {
			for _, reaction := range b.Reactions() {
				if reaction.Kind != c.Aggregate.Kind || reaction.Event != e.Name {
					continue
				}
				messages, err := reaction.Route(record)
				if err != nil {
					faults = append(faults, fmt.Sprintf("%s cannot say what it makes of version %d: %v", b.Kind(), e.Version, err))
					continue
				}
				for k := range messages {
					branches = append(branches, reacted(c, b, e.Version, &messages[k]))
				}
			}
		}
	}
	return branches, faults
}

func reacted(c *Command, b *actor.Behavior, v actor.Version, m *actor.Message) Branch {
	how := BySaga
	if b.IsPolicy() {
		how = ByPolicy
	}
	return Branch{How: how, Event: v, Reactor: b.Kind(), To: m.Target, ID: m.ID, Name: m.Name, since: c.Time}
}

// asked is what a decision has asked for.
func asked(c *Command, o *store.Outgoing) Branch {
	b := Branch{How: BySend, ID: actor.CommandID(o.ID), Name: o.Name, Timer: o.Timer, since: c.Time}
	b.To, _ = actor.ParseAddress(string(o.To)) // one that cannot be read has no history, either
	if o.At != 0 {
		b.At = time.UnixMicro(o.At).UTC()
	}
	effect, isEffect := actor.EffectOf(o.Timer)
	switch {
	case o.Name == "":
		b.How = ByCancel
	case isEffect && o.Name == actor.PerformCommand:
		b.How, b.Effect, b.Timer, b.Name, b.At = ByEffect, effect, "", "", time.Time{}
	case o.Timer != "":
		b.How, b.since = ByTimer, later(c.Time, b.At)
	case b.ID == refusalID(b.ID, c.Aggregate, c.ID):
		b.How = ByRefusal
	}
	return b
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// reactors returns the sagas and policies of this build, in the order of their names.
func (r *Reader) reactors() []*actor.Behavior {
	all := make([]*actor.Behavior, 0, len(r.Behaviors))
	for _, kind := range sortedKinds(r.Behaviors) {
		if b := r.Behaviors[kind]; len(b.Reactions()) > 0 {
			all = append(all, b)
		}
	}
	return all
}

// State says what became of a branch.
type State string

// The states.
const (
	Decided   State = "decided"    // Node.Command has it
	Waits     State = "waits"      // for its time
	Parked    State = "parked"     // for an operator
	Nowhere   State = "nowhere"    // not in the history of its target: on its way, or never carried out
	Farther   State = "farther"    // not within the part of the history that was read
	NotLooked State = "not looked" // a bound was reached before
	Concealed State = "concealed"  // its target is not for whoever asks
	Nothing   State = "nothing"    // there is nothing to look for: a cancellation
	Failed    State = "failed"     // the store could not be read
)

// Node is a branch with what became of it, and with its own branches.
type Node struct {
	Branch
	State    State
	Command  Command       // if it is Decided
	Reached  actor.Version // of the target's history, if it is Farther
	Reason   string        // why it is Parked or has Failed
	Children []Node
	More     int // branches that are not shown
	Faults   []string
}

// key tells two nodes of a tree apart.
func (n *Node) key() string { return cmp.Or(n.To.String(), "?") + "\x00" + string(n.ID) }
