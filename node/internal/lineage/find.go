package lineage

import (
	"context"
	"errors"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// Bounds of a look for a command in one history.
const (
	nearBy  = 128             // events within which a binary search ends
	lookMax = nearBy + 384    // commits that are read from there
	skew    = 2 * time.Second // by which clocks of two nodes may differ that stamp commits
)

// Reader reads histories. Its fields must not be changed.
type Reader struct {
	Commits   store.Commits
	Parking   store.Parking
	Behaviors map[actor.Kind]*actor.Behavior // of this build
	// Hidden reports whether a kind is not for the eyes of who asks: nothing of its
	// aggregates is read. Nil: none is.
	Hidden func(actor.Kind) bool
	Now    func() time.Time
}

func (r *Reader) hidden(k actor.Kind) bool { return r.Hidden != nil && r.Hidden(k) }

// Look is what came of a look for a command.
type Look struct {
	Command  Command
	Found    bool
	Reached  actor.Version // up to there the history was read, if it was not found
	Complete bool          // the history ends there: it is not in what was to be read of it
}

// At returns the command that raised the event of a version, or whose outcome is there;
// false: there is no such version.
func (r *Reader) At(ctx context.Context, a actor.Address, v actor.Version) (Command, bool, error) {
	aggregate := store.Aggregate(a.String())
	last, err := r.Commits.LastVersion(ctx, aggregate)
	if err != nil || v == 0 || actor.Version(last) < v {
		return Command{}, false, err
	}
	c, found, err := holding(ctx, r.Commits, aggregate, store.Version(v))
	if err != nil || !found {
		return Command{}, false, err
	}
	commands := CommandsOf(&c)
	for i := range commands {
		one := &commands[i]
		if len(one.Events) > 0 && one.Events[0].Version <= v && v <= one.Version {
			return *one, true, nil
		}
	}
	return Command{}, false, nil
}

// holding returns the commit that holds a version of a history that is that long. A store
// finds commits by their first event, so this goes back, further and further: a commit
// begins within its own length.
func holding(ctx context.Context, s store.Commits, a store.Aggregate, v store.Version) (store.Commit, bool, error) {
	for back := store.Version(1); ; back *= 8 {
		start := v - min(back, v)
		for c, err := range s.Load(ctx, a, start) {
			if err != nil {
				return store.Commit{}, false, err
			}
			if c.First > v {
				break // it begins before start
			}
			if c.Last() >= v {
				return c, true, nil
			}
		}
		if start == 0 {
			return store.Commit{}, false, nil
		}
	}
}

// Find looks for a command from a version on, over a bounded number of commits.
func (r *Reader) Find(ctx context.Context, a actor.Address, id actor.CommandID, after actor.Version) (Look, error) {
	look := Look{Reached: after}
	read := 0
	for c, err := range r.Commits.Load(ctx, store.Aggregate(a.String()), store.Version(after)) {
		if err != nil {
			return look, err
		}
		commands := CommandsOf(&c)
		for i := range commands {
			if commands[i].ID == id {
				look.Command, look.Found = commands[i], true
				return look, nil
			}
		}
		look.Reached = actor.Version(c.Last())
		if read++; read == lookMax {
			return look, nil
		}
	}
	look.Complete = true
	return look, nil
}

// FindSince looks for a command that was decided at a time or later; also a little earlier,
// as the clocks of two nodes may differ.
func (r *Reader) FindSince(ctx context.Context, a actor.Address, id actor.CommandID, at time.Time) (Look, error) {
	after, err := r.since(ctx, a, at)
	if err != nil {
		return Look{}, err
	}
	look, err := r.Find(ctx, a, id, after)
	if err != nil || look.Found || after == 0 {
		return look, err
	}
	early, err := r.since(ctx, a, at.Add(-skew))
	if err != nil || early >= after {
		return look, err
	}
	if before, err := r.Find(ctx, a, id, early); err != nil || before.Found {
		return before, err
	}
	return look, nil
}

// since returns a version behind which all commits of a time and later are, and few of
// those before.
//
// Every commit that begins at low or before is earlier. One that is met in the middle moves
// low behind itself if it is earlier, else high before it.
func (r *Reader) since(ctx context.Context, a actor.Address, at time.Time) (actor.Version, error) {
	aggregate := store.Aggregate(a.String())
	last, err := r.Commits.LastVersion(ctx, aggregate)
	if err != nil {
		return 0, err
	}
	low, high := store.Version(0), last
	for high > low+nearBy {
		middle := low + (high-low)/2
		c, found, err := r.next(ctx, aggregate, middle)
		switch {
		case err != nil:
			return 0, err
		case !found || c.Time >= at.UnixMicro():
			high = middle
		default:
			low = c.Last()
		}
	}
	return actor.Version(low), nil
}

// next returns the first commit that begins behind a version.
func (r *Reader) next(ctx context.Context, a store.Aggregate, after store.Version) (store.Commit, bool, error) {
	for c, err := range r.Commits.Load(ctx, a, after) {
		return c, err == nil, err
	}
	return store.Commit{}, false, nil
}

// ended reports whether an error is that of a context that has ended.
func ended(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded))
}
