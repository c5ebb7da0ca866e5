package lineage

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// Bounds of what is taken for near.
const (
	nearCommits = 128 // of the aggregate's own history, before the command
	nearTexts   = 96  // in its events
	nearMost    = 2000
	nearBytes   = 8 << 20 // of these commits
)

// addresses are those that may have sent a command, the likely ones first.
type addresses []actor.Address

// likely is how many of them are likely.
func (a addresses) likely() int { return min(len(a), 24) }

// near returns addresses that may have sent a command: the one that is suggested, the
// aggregate itself, those that it has written to before, and those whose ids are texts in
// the events of the command or in those before it.
func (r *Reader) near(ctx context.Context, c *Command, suggested actor.Address) (addresses, error) {
	g := gathering{kinds: r.kinds(), seen: map[actor.Address]bool{}}
	g.add(suggested)
	g.add(c.Aggregate)
	var before []store.Commit
	size := 0
	after := c.First() - min(c.First(), nearCommits)
	for one, err := range r.Commits.Load(ctx, store.Aggregate(c.Aggregate.String()), store.Version(after)) {
		if err != nil {
			return nil, err
		}
		if actor.Version(one.First) > c.First() {
			break
		}
		before = append(before, one)
		for size += one.Size(); size > nearBytes && len(before) > 1; before = before[1:] {
			size -= before[0].Size()
		}
	}
	for _, one := range slices.Backward(before) {
		for i := range one.Out {
			if to, err := actor.ParseAddress(string(one.Out[i].To)); err == nil {
				g.add(to)
			}
		}
	}
	for i := range c.Events {
		g.texts(c.Events[i].Data)
	}
	for _, one := range slices.Backward(before) {
		for i := range one.Events {
			g.texts(one.Events[i].Data)
		}
	}
	g.fromTexts()
	return g.found, nil
}

// gathering is a list of addresses on its way.
type gathering struct {
	kinds []actor.Kind
	found addresses
	seen  map[actor.Address]bool
	named []string // texts that may be ids
	had   map[string]bool
}

func (g *gathering) add(a actor.Address) {
	if len(g.found) >= nearMost || g.seen[a] || a.Validate() != nil {
		return
	}
	g.seen[a] = true
	g.found = append(g.found, a)
}

// texts takes in the texts of a JSON value that may be ids.
func (g *gathering) texts(data []byte) {
	if g.had == nil {
		g.had = map[string]bool{}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	for len(g.named) < nearTexts {
		token, err := d.Token()
		if err != nil {
			return
		}
		text, ok := token.(string)
		if ok && text != "" && len(text) <= actor.MaxIDBytes && !g.had[text] {
			g.had[text] = true
			g.named = append(g.named, text)
		}
	}
}

// fromTexts makes addresses of the texts: those that are one, and of each kind.
func (g *gathering) fromTexts() {
	for _, text := range g.named {
		if a, err := actor.ParseAddress(text); err == nil {
			g.add(a)
		}
	}
	for _, text := range g.named {
		for _, kind := range g.kinds {
			g.add(kind.ID(text))
		}
	}
}

// kinds are those of aggregates, sorted.
func (r *Reader) kinds() []actor.Kind {
	return slices.DeleteFunc(sortedKinds(r.Behaviors), func(k actor.Kind) bool { return r.Behaviors[k].IsPolicy() })
}

func sortedKinds(behaviors map[actor.Kind]*actor.Behavior) []actor.Kind {
	return slices.Sorted(maps.Keys(behaviors))
}
