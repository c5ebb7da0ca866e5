package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// History is what is checked: what clients were told, and what the store has.
type History struct {
	Begin      time.Time // from which the operations count
	Operations []*Operation
	Commits    map[actor.Address][]store.Commit
}

// Findings is the outcome of [Check].
type Findings struct {
	// Violations are broken promises. There must be none.
	Violations []string

	// Settled counts calls of unknown outcome that the store has, Lost those that
	// it does not have.
	Settled, Lost int

	pictures map[actor.Address]func(path string) error // of aggregates without an order
}

func (f *Findings) violated(format string, args ...any) {
	f.Violations = append(f.Violations, fmt.Sprintf(format, args...))
}

// Check compares what clients were told with the store and with the model.
func Check[S comparable](m *Model[S], h *History) *Findings {
	f := &Findings{pictures: map[actor.Address]func(string) error{}}
	byTarget := map[actor.Address][]*Operation{}
	for _, op := range h.Operations {
		byTarget[op.Target] = append(byTarget[op.Target], op)
	}
	for _, target := range sortedTargets(byTarget, h.Commits) {
		stored, changes := f.readCommits(target, h.Commits[target])
		var seen []porcupine.Operation
		var nothing []*Operation
		for _, op := range byTarget[target] {
			settled := f.settle(op, changes, stored[op.ID])
			if len(settled) == 0 && op.Fate == FateAccepted {
				nothing = append(nothing, op)
			}
			seen = append(seen, settled...)
			delete(stored, op.ID)
		}
		for id, versions := range stored {
			f.violated("%s: command %s is in the store at %v, and nobody sent it", target, id, versions)
		}
		checkOrder(m, f, target, seen, nothing)
	}
	return f
}

func sortedTargets(byTarget map[actor.Address][]*Operation, commits map[actor.Address][]store.Commit) []actor.Address {
	all := map[actor.Address]bool{}
	for a := range byTarget {
		all[a] = true
	}
	for a := range commits {
		all[a] = true
	}
	targets := make([]actor.Address, 0, len(all))
	for a := range all {
		targets = append(targets, a)
	}
	slices.SortFunc(targets, func(a, b actor.Address) int { return cmp.Compare(a.String(), b.String()) })
	return targets
}

// changes are the versions in a history at which something changed, 0 before all of
// them. An event that holds outcomes of commands that raised none has a version, and is
// no change.
type changes []actor.Version

// at returns which change has a version, or would come there.
func (c changes) at(v actor.Version) (nth actor.Version, is bool) {
	i, is := slices.BinarySearch(c, v)
	return actor.Version(i), is //nolint:gosec // an index
}

// readCommits returns the versions at which each command took effect, and all changes,
// and makes sure that the history has no gap.
func (f *Findings) readCommits(target actor.Address, commits []store.Commit) (stored map[actor.CommandID][]actor.Version, all changes) {
	stored = map[actor.CommandID][]actor.Version{}
	next := store.Version(1)
	all = changes{0}
	for i := range commits {
		c := &commits[i]
		if c.First != next {
			f.violated("%s: a commit at version %d follows version %d", target, c.First, next-1)
		}
		next = c.Last() + 1
		for i, e := range c.Events {
			if e.Name != actor.EventOutcome && e.Name != actor.EventRefused {
				all = append(all, actor.Version(c.First)+actor.Version(i)) //nolint:gosec // an index
			}
		}
		c.OutcomeVersions(func(o *store.Outcome, v store.Version) {
			if _, is := all.at(actor.Version(v)); is && o.Events > 0 {
				id := actor.CommandID(o.CommandID)
				stored[id] = append(stored[id], actor.Version(v))
			}
		})
	}
	return stored, all
}

// place returns the change whose version a caller was told.
func (f *Findings) place(op *Operation, all changes) actor.Version {
	nth, is := all.at(op.Version)
	switch last := all[len(all)-1]; {
	case op.Fate != FateDone && op.Fate != FateRefused || is:
	case op.Version > last:
		f.violated("the store has nothing above version %d: %s", last, op)
	default:
		f.violated("nothing changed at that version: %s", op)
	}
	return nth
}

// settle compares one operation with the versions that the store has of it, and
// returns what is to be put in order. The versions of that are the model's, in which each
// change is one.
func (f *Findings) settle(op *Operation, all changes, versions []actor.Version) []porcupine.Operation {
	if len(versions) > 1 {
		f.violated("took effect at versions %v: %s", versions, op)
	}
	told, stored := f.place(op, all), len(versions) > 0
	var took actor.Version
	if stored {
		took, _ = all.at(versions[0])
	}
	f.compare(op)
	switch op.Fate {
	case FateDone:
		if stored && versions[0] != op.Version {
			f.violated("is in the store at version %d: %s", versions[0], op)
		}
		return []porcupine.Operation{observed(op, told, stored)}
	case FateRefused:
		if stored {
			f.violated("was refused, and is in the store at version %d: %s", versions[0], op)
			return []porcupine.Operation{observed(op, told, false), effect(op, took)}
		}
		return []porcupine.Operation{observed(op, told, false)}
	case FateNotExecuted:
		if stored {
			f.violated("was told as not executed, and is in the store at version %d: %s", versions[0], op)
			return []porcupine.Operation{effect(op, took)}
		}
		return nil
	case FateAccepted:
		if stored {
			return []porcupine.Operation{effect(op, took)}
		}
		return nil // see cameToNothing
	default:
		switch {
		case op.IsRead():
			return nil
		case stored:
			f.Settled++
			return []porcupine.Operation{effect(op, took)}
		default:
			f.Lost++
			return nil
		}
	}
}

// compare wants one answer for all attempts: whatever a caller was told, done or
// refused, is what everybody is told who sends the command again.
func (f *Findings) compare(op *Operation) {
	first := op.definite()
	if first == nil || op.IsRead() {
		return
	}
	for i := range op.Attempts {
		next := &op.Attempts[i]
		if next.Fate != FateDone && next.Fate != FateRefused || first.same(next) {
			continue
		}
		f.violated("a second answer, %s %d %s %s, after: %s", next.Fate, next.Version, next.Code, next.Answer, op)
	}
}

// checkOrder also finds an acknowledged command that raised events and is not in
// the store although others of its version are: no two can raise the same version.
// nothing are commands that were accepted, and are not in the store.
func checkOrder[S comparable](m *Model[S], f *Findings, target actor.Address, seen []porcupine.Operation, nothing []*Operation) {
	result, info, model := m.linearize(seen)
	switch result {
	case porcupine.Ok:
		lived := m.lived(seen)
		for _, op := range nothing {
			if !m.cameToNothing(op, lived) {
				f.violated("was accepted, and is not in the store although nothing stood against it: %s", op)
			}
		}
		return
	case porcupine.Unknown:
		f.violated("%s: no order of its %d calls was found in %v, nor that there is none", target, len(seen), checkTimeout)
	default:
		f.violated("%s: its %d calls are not linearizable", target, len(seen))
	}
	f.pictures[target] = func(path string) error { return porcupine.VisualizePath(model, info, path) }
}
