package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/store"
)

// schemaTimeout bounds the look at what events there are, and at one of each sort that
// cannot be read. It is a guard against a mistake, and must not keep a node down.
const schemaTimeout = 2 * time.Second

// checkSchema refuses to go on when the event stream has events of a kind of ours under
// a name that we cannot read, or when timers or messages carry commands for it that we do
// not declare, and no node is there that might. It runs before the node has a session, so
// that nobody counts on it yet.
func (n *Node) checkSchema(ctx context.Context, definitions []actor.Registrable) error {
	if n.cfg.SchemaCheck == SchemaCheckOff {
		return nil
	}
	behaviors := behaviorsOf(definitions)
	unread, strangers, err := n.unreadEvents(ctx, behaviors)
	if err != nil && ctx.Err() == nil {
		n.cfg.Logger.WarnContext(ctx, "it could not be checked that all stored events can be read", "error", err)
	}
	undeclared, err := n.undeclaredCommands(ctx, behaviors)
	if err != nil && ctx.Err() == nil {
		n.cfg.Logger.WarnContext(ctx, "it could not be checked that all commands that wait are declared", "error", err)
	}
	n.warnOfParked(ctx, behaviors)
	if ctx.Err() != nil {
		return fmt.Errorf("check what is stored: %w", context.Cause(ctx))
	}
	if len(strangers) > 0 {
		n.cfg.Logger.WarnContext(ctx, "there are stored events of kinds that this build does not have", "kinds", len(strangers),
			"such_as", strangers[0].Kind, "count", strangers[0].Count)
	}
	return n.judgeSchema(ctx, unread, undeclared)
}

// judgeSchema decides what becomes of a start that finds what this build cannot read, or
// does not declare; nil: nothing of that sort.
func (n *Node) judgeSchema(ctx context.Context, unread *UndecodableError, undeclared *UndeclaredError) error {
	if unread == nil && undeclared == nil {
		return nil
	}
	if n.cfg.SchemaCheck == SchemaCheckWarn {
		if unread != nil {
			n.cfg.Logger.WarnContext(ctx, "aggregates cannot be loaded", "error", unread)
		}
		if undeclared != nil {
			n.cfg.Logger.WarnContext(ctx, "commands will be parked", "error", undeclared)
		}
		return nil
	}
	missing, refusal := missingOf(unread, undeclared)
	left, err := n.leftToOthers(ctx, missing)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("check what is stored: %w", context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("%w\nwhether another node can is not known: %w", refusal, err)
	case !left:
		return refusal
	}
	n.cfg.Logger.WarnContext(ctx, "aggregates are left to nodes of another build", "error", refusal)
	return nil
}

// missingOf returns the kinds in question, and both faults in one.
func missingOf(unread *UndecodableError, undeclared *UndeclaredError) (map[actor.Kind]bool, error) {
	missing := map[actor.Kind]bool{}
	var faults []error
	if unread != nil {
		faults = append(faults, unread)
		for _, u := range unread.Events {
			missing[u.Kind] = true
		}
	}
	if undeclared != nil {
		faults = append(faults, undeclared)
		for _, u := range undeclared.Commands {
			missing[u.Kind] = true
		}
	}
	if len(faults) == 1 {
		return missing, faults[0]
	}
	return missing, errors.Join(faults...)
}

// unreadEvents finds out what is in the event stream that the definitions cannot read;
// nil: nothing. strangers are the kinds that there is no definition of.
func (n *Node) unreadEvents(ctx context.Context, behaviors map[actor.Kind]*actor.Behavior) (_ *UndecodableError, strangers []natsbus.EventType, _ error) {
	ctx, cancel := context.WithTimeout(ctx, schemaTimeout)
	defer cancel()
	types, err := n.bus.EventTypes(ctx)
	if err != nil {
		return nil, nil, err
	}
	unread, strangers := sortEvents(types, behaviors)
	if len(unread) == 0 {
		return nil, strangers, nil
	}
	found := &UndecodableError{Events: unread}
	if more := len(unread) - undecodableMax; more > 0 {
		found.Events, found.More = unread[:undecodableMax], more
	}
	for i := range found.Events {
		u := &found.Events[i]
		if e, ok, err := n.bus.LastEvent(ctx, u.Kind, u.Name); err == nil && ok { // the refusal does without
			u.Example, u.Version = e.Source, e.Version
		}
	}
	return found, strangers, nil
}

// sortEvents returns the events of known kinds whose names no definition knows, and the
// unknown kinds with the number of their events.
func sortEvents(types []natsbus.EventType, behaviors map[actor.Kind]*actor.Behavior) (unread []Undecodable, strangers []natsbus.EventType) {
	for _, t := range types {
		b := behaviors[t.Kind]
		last := len(strangers) - 1
		switch {
		case b == nil && last >= 0 && strangers[last].Kind == t.Kind:
			strangers[last].Count += t.Count
		case b == nil:
			strangers = append(strangers, natsbus.EventType{Kind: t.Kind, Count: t.Count})
		case !b.Reads(t.Name):
			unread = append(unread, Undecodable{Kind: t.Kind, Name: t.Name, Count: t.Count})
		}
	}
	return unread, strangers
}

// leftToOthers reports whether there are live nodes that may be able to read all of
// that. A session alone proves nothing: that of a node that was killed looks alive until
// somebody declares it dead. So its beat must be seen to move, for which this waits up
// to the duration of a lease. Nodes renew six times in it.
func (n *Node) leftToOthers(ctx context.Context, missing map[actor.Kind]bool) (bool, error) {
	first, err := n.others(ctx)
	if err != nil || !cover(first, missing) {
		return false, err
	}
	wait := time.NewTicker(max(n.cfg.Lease/20, 10*time.Millisecond))
	defer wait.Stop()
	for deadline := time.Now().Add(n.cfg.Lease); time.Now().Before(deadline); {
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-wait.C:
		}
		now, err := n.others(ctx)
		if err != nil {
			return false, err
		}
		if cover(moved(first, now), missing) {
			return true, nil
		}
	}
	return false, nil
}

// others returns the sessions of nodes that may be able to read what this one cannot:
// not of those that are about to end, or that are of the very same build.
func (n *Node) others(ctx context.Context) ([]store.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, schemaTimeout)
	defer cancel()
	sessions, err := n.store.Sessions(ctx)
	if err != nil {
		return nil, fmt.Errorf("look up other nodes: %w", err)
	}
	return slices.DeleteFunc(sessions, func(s store.Session) bool {
		return s.Dead || s.Draining || s.Name == n.cfg.Name || placement.SameCode(s.Build, n.build())
	}), nil
}

// moved returns the sessions that are not as they were: new, or with another beat.
func moved(was, now []store.Session) []store.Session {
	return slices.DeleteFunc(now, func(s store.Session) bool {
		return slices.ContainsFunc(was, func(w store.Session) bool { return w.Incarnation == s.Incarnation && w.Beat == s.Beat })
	})
}

// cover reports whether each of the kinds is one of some session.
func cover(sessions []store.Session, kinds map[actor.Kind]bool) bool {
	for k := range kinds {
		if !slices.ContainsFunc(sessions, func(s store.Session) bool { return slices.Contains(s.Kinds, string(k)) }) {
			return false
		}
	}
	return true
}
