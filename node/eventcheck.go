package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// checkEventsCommand is the whole check of which the start makes the cheap part.
type checkEventsCommand struct {
	flags
	base    Config
	Quiet   time.Duration `help:"Time without a commit from before the check after which the store counts as read to its end." default:"3s"`
	Timeout time.Duration `help:"For all of it." default:"30m"`
}

// The ends of a check that are no success, besides [actor.ErrUndecodable].
var (
	errNoCommits = errors.New("the store has no commit: it may be the wrong one")
	errBusy      = errors.New("the store was not read to its end")
)

// Run prints a line for each sort of events that the definitions cannot decode, and how
// much was read.
func (c *checkEventsCommand) Run(definitions []actor.Registrable, out io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout) //nolint:forbidigo // the root of the process
	defer cancel()
	cfg, err := c.check(c.base)
	if err != nil {
		return err
	}
	s, closing, err := openStore(ctx, cfg)
	if err != nil {
		return err
	}
	defer closing()
	check := &eventCheck{behaviors: behaviorsOf(definitions), failed: map[eventSort]*Undecodable{}}
	err = check.read(ctx, s, c.Quiet)
	for _, u := range check.sorted() {
		_, _ = fmt.Fprintln(out, u)
	}
	_, _ = fmt.Fprintf(out, "%d commits with %d events, %d of them cannot be decoded\n", check.commits, check.events, check.undecodable)
	switch {
	case err != nil:
		return err
	case check.commits == 0:
		return errNoCommits
	case check.undecodable > 0:
		return fmt.Errorf("%d events: %w", check.undecodable, actor.ErrUndecodable)
	}
	return nil
}

// eventSort is what is reported together.
type eventSort struct {
	kind actor.Kind
	name string
}

// eventSortsMax bounds what is remembered of a store that is not ours at all.
const eventSortsMax = 10_000

// eventCheck decodes all events of a store. It applies none.
type eventCheck struct {
	behaviors                    map[actor.Kind]*actor.Behavior
	commits, events, undecodable uint64
	failed                       map[eventSort]*Undecodable
}

// read takes in all commits. The store has been read to its end when nothing has come
// for the time quiet but commits that were made after the call: those of nodes that go
// on meanwhile.
func (c *eventCheck) read(ctx context.Context, s store.Store, quiet time.Duration) error {
	begun := time.Now().UnixMicro()
	earlier := func(commit *store.Commit) bool { return commit.Time < begun }
	for item, err := range store.FollowUntilQuiet(ctx, s, quiet, earlier) {
		if err != nil {
			return fmt.Errorf("%w: %w", errBusy, err)
		}
		if item.Unreadable != nil {
			err = c.unreadable(&item)
		} else {
			err = c.add(&item.Commit)
		}
		if err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", errBusy, context.Cause(ctx))
	}
	if err := s.Ping(ctx); err != nil { // the silence may have been of a store that is away
		return fmt.Errorf("%w: %w", errBusy, err)
	}
	return nil
}

// unreadable counts a commit that cannot be understood as one event without a name.
func (c *eventCheck) unreadable(item *store.FeedItem) error {
	source, err := actor.ParseAddress(string(item.Commit.Aggregate))
	if err != nil {
		return fmt.Errorf("commit %d of %q: %w", item.Commit.First, item.Commit.Aggregate, err)
	}
	c.commits++
	c.events++
	c.note(&Undecodable{Kind: source.Kind, Example: source, Version: actor.Version(item.Commit.First), Reason: item.Unreadable.Error()})
	return nil
}

// note counts an event that cannot be decoded, with an example of each kind and name.
func (c *eventCheck) note(example *Undecodable) {
	c.undecodable++
	sort := eventSort{example.Kind, example.Name}
	u := c.failed[sort]
	if u == nil && len(c.failed) < eventSortsMax {
		u = example
		c.failed[sort] = u
	}
	if u != nil {
		u.Count++
	}
}

func (c *eventCheck) add(commit *store.Commit) error {
	source, err := actor.ParseAddress(string(commit.Aggregate))
	if err != nil {
		return fmt.Errorf("commit %d of %q: %w", commit.First, commit.Aggregate, err)
	}
	c.commits++
	for i, e := range commit.Events {
		c.events++
		reason, ok := c.decodes(source.Kind, actor.Event(e))
		if ok {
			continue
		}
		c.note(&Undecodable{
			Kind: source.Kind, Name: e.Name, Example: source,
			Version: actor.Version(commit.First) + actor.Version(i), Reason: reason,
		})
	}
	return nil
}

// decodes reports whether an event can be decoded, or why not.
func (c *eventCheck) decodes(kind actor.Kind, e actor.Event) (reason string, ok bool) {
	b := c.behaviors[kind]
	switch {
	case b == nil:
		return "this build does not have the kind", false
	case !b.Reads(e.Name):
		return "this build does not know the name", false
	case actor.Reserved(e.Name):
		return "", true
	}
	if _, err := b.Decode(e); err != nil {
		return err.Error(), false
	}
	return "", true
}

// sorted returns what failed by kind and name.
func (c *eventCheck) sorted() []*Undecodable {
	return slices.SortedFunc(maps.Values(c.failed), func(x, y *Undecodable) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Name, y.Name))
	})
}
