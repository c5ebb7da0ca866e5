package node

import (
	"fmt"
	"strings"

	"github.com/ganglion-go/ganglion/actor"
)

// Undecodable is a sort of stored events that the definitions of a build cannot read.
type Undecodable struct {
	Kind    actor.Kind
	Name    string        // under which they are stored
	Count   uint64        // of such events
	Example actor.Address // of one aggregate that has one; zero: it could not be looked up
	Version actor.Version // of that event
	Reason  string        // why one was not decoded; empty: the name is not known
}

// String says which events, how many, and where one is.
func (u Undecodable) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d × %q", u.Kind, u.Count, u.Name)
	if u.Example.ID != "" {
		fmt.Fprintf(&b, ", such as event %d of %s", u.Version, u.Example)
	}
	if u.Reason != "" {
		fmt.Fprintf(&b, ": %s", u.Reason)
	}
	return b.String()
}

// undecodableMax bounds what an [UndecodableError] lists.
const undecodableMax = 20

// UndecodableError says that the store has events which this build cannot read, so that
// their aggregates could not be loaded. It wraps [actor.ErrUndecodable].
type UndecodableError struct {
	Events []Undecodable // by kind and name; up to 20
	More   int           // sorts of events beyond those
}

// Error lists them, one in a line.
func (e *UndecodableError) Error() string {
	return listSorts("stored events that this build cannot read:", e.Events, e.More)
}

// listSorts lists what a start has found, one in a line.
func listSorts[S fmt.Stringer](what string, sorts []S, more int) string {
	var b strings.Builder
	b.WriteString(what)
	for _, s := range sorts {
		b.WriteString("\n  " + s.String())
	}
	if more > 0 {
		fmt.Fprintf(&b, "\n  and %d sorts more", more)
	}
	return b.String()
}

// Unwrap returns [actor.ErrUndecodable].
func (e *UndecodableError) Unwrap() error { return actor.ErrUndecodable }
