package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// Bounds of the look at commands that wait: of stored messages of each stream, and of
// parked commands. The oldest are looked at.
const (
	waitingMax = 5000
	parkedMax  = 1000
)

// Undeclared is a sort of commands that wait, and that the definition of their kind does
// not declare, nor as a former name (actor.From).
type Undeclared struct {
	Kind    actor.Kind
	Name    string
	Count   uint64        // of those that were looked at
	Example actor.Address // of one aggregate that they are for
}

// String says which commands, how many, and for whom one is.
func (u Undeclared) String() string {
	return fmt.Sprintf("%s: %d × %q, such as one for %s", u.Kind, u.Count, u.Name, u.Example)
}

// UndeclaredError says that timers or stored messages carry commands which this build does
// not declare, so that they would be parked. It wraps [actor.ErrUnknownCommand].
type UndeclaredError struct {
	Commands []Undeclared // by kind and name; up to 20
	More     int          // sorts of commands beyond those
}

// Error lists them, one in a line.
func (e *UndeclaredError) Error() string {
	return listSorts("timers or messages carry commands that this build does not declare (a renamed one needs actor.From):", e.Commands, e.More)
}

// Unwrap returns [actor.ErrUnknownCommand].
func (e *UndeclaredError) Unwrap() error { return actor.ErrUnknownCommand }

// commandSorts gathers commands that a build does not declare.
type commandSorts struct {
	behaviors map[actor.Kind]*actor.Behavior
	found     map[eventSort]*Undeclared
	strangers map[actor.Kind]uint64 // commands of kinds without a definition
}

func newCommandSorts(behaviors map[actor.Kind]*actor.Behavior) *commandSorts {
	return &commandSorts{behaviors: behaviors, found: map[eventSort]*Undeclared{}, strangers: map[actor.Kind]uint64{}}
}

func (s *commandSorts) add(to actor.Address, name string) {
	b := s.behaviors[to.Kind]
	switch {
	case b == nil || b.IsPolicy():
		if s.strangers[to.Kind] > 0 || len(s.strangers) < undecodableMax {
			s.strangers[to.Kind]++
		}
	case !b.Takes(name):
		sort := eventSort{to.Kind, name}
		u := s.found[sort]
		if u == nil {
			if len(s.found) == eventSortsMax {
				return
			}
			u = &Undeclared{Kind: to.Kind, Name: name, Example: to}
			s.found[sort] = u
		}
		u.Count++
	}
}

// addEnds adds the commands one of which is to end a pending effect.
func (s *commandSorts) addEnds(note *actor.Message) {
	task, id, err := actor.ReadEffectTask(note)
	if err != nil {
		return
	}
	for _, end := range []*actor.EffectReply{task.OnResult, task.OnGivenUp} {
		if end != nil {
			s.add(id.Address, end.Name)
		}
	}
}

// fault returns what is undeclared; nil: nothing.
func (s *commandSorts) fault() *UndeclaredError {
	if len(s.found) == 0 {
		return nil
	}
	e := &UndeclaredError{}
	for _, u := range slices.SortedFunc(maps.Values(s.found), func(x, y *Undeclared) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Name, y.Name))
	}) {
		if len(e.Commands) == undecodableMax {
			e.More++
			continue
		}
		e.Commands = append(e.Commands, *u)
	}
	return e
}

// undeclaredCommands finds out what waits that the definitions do not declare: nil:
// nothing. What is finished and not trimmed yet does not count.
func (n *Node) undeclaredCommands(ctx context.Context, behaviors map[actor.Kind]*actor.Behavior) (*UndeclaredError, error) {
	ctx, cancel := context.WithTimeout(ctx, schemaTimeout)
	defer cancel()
	claims, err := n.store.Claims(ctx)
	if err != nil {
		return nil, fmt.Errorf("look up watermarks: %w", err)
	}
	var sent []natsbus.WaitingCommand
	sorts := newCommandSorts(behaviors)
	stream, complete, err := n.bus.WaitingCommands(ctx, waitingMax, func(w natsbus.WaitingCommand) {
		if w.Sequence > 0 {
			sent = append(sent, w)
			return
		}
		sorts.add(w.Target, w.Name)
	})
	if err != nil {
		return nil, err
	}
	finished := watermarks(claims, stream)
	for _, w := range sent {
		if w.Sequence > finished[n.bus.Partitions().Of(w.Target)] {
			sorts.add(w.Target, w.Name)
		}
	}
	if _, err := n.bus.EffectNotes(ctx, actor.Address{}, waitingMax, func(m actor.Message, _ int64) { sorts.addEnds(&m) }); err != nil {
		return nil, err
	}
	n.warnOfStrangers(ctx, sorts)
	if !complete {
		n.cfg.Logger.InfoContext(ctx, "of the commands that wait, the oldest were checked for whether this build declares them", "messages_at_most", 2*waitingMax)
	}
	return sorts.fault(), nil
}

// warnOfStrangers logs the kinds that this build does not have: it need not have all.
func (n *Node) warnOfStrangers(ctx context.Context, s *commandSorts) {
	for kind, count := range s.strangers {
		n.cfg.Logger.WarnContext(ctx, "there are commands that wait for a kind that this build does not have", "kind", kind, "count", count)
	}
}

// watermarks returns up to where each partition's commands are finished.
func watermarks(claims []store.Claim, stream string) map[actor.Partition]uint64 {
	all := make(map[actor.Partition]uint64, len(claims))
	for i := range claims {
		if c := &claims[i]; c.Watermark.Stream == stream {
			all[actor.Partition(c.Partition)] = c.Watermark.Sequence
		}
	}
	return all
}

// warnOfParked logs which of the parked commands no definition declares. They are out of
// the way, and wait for a node that can execute them: no reason to refuse the start, which
// operators need to skip them.
func (n *Node) warnOfParked(ctx context.Context, behaviors map[actor.Kind]*actor.Behavior) {
	ctx, cancel := context.WithTimeout(ctx, schemaTimeout)
	defer cancel()
	sorts, looked := newCommandSorts(behaviors), 0
	for p, err := range n.store.ListParked(ctx, "") {
		if errors.Is(err, store.ErrCorrupt) {
			n.cfg.Logger.WarnContext(ctx, "a parked record cannot be read", "aggregate", p.Aggregate, "command_id", p.CommandID, "error", err)
			continue
		}
		if err != nil {
			n.cfg.Logger.WarnContext(ctx, "it could not be checked that all parked commands are declared", "error", err)
			return
		}
		to, err := actor.ParseAddress(string(p.Aggregate))
		if _, unreadable := runtime.ParkedUnreadable(&p); err == nil && !unreadable && to.Kind != runtime.KindPausedEffect {
			sorts.add(to, p.Name)
		}
		if looked++; looked == parkedMax {
			break
		}
	}
	n.warnOfStrangers(ctx, sorts)
	if fault := sorts.fault(); fault != nil {
		for _, u := range fault.Commands {
			n.cfg.Logger.WarnContext(ctx, "parked commands are not declared by this build: they wait for one that does", "kind", u.Kind, "name", u.Name, "count", u.Count, "such_as", u.Example)
		}
	}
}
