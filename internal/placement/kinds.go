package placement

import (
	"slices"

	"github.com/ganglion-go/ganglion/store"
)

// Together reports whether two nodes may be in one namespace: all kinds of one of them
// are among the other's, as while a release that adds some is rolled out. Otherwise each
// partition would lack something wherever it is.
func Together(a, b []string) bool { return within(a, b) || within(b, a) }

func within(a, b []string) bool {
	return !slices.ContainsFunc(a, func(kind string) bool { return !slices.Contains(b, kind) })
}

// Rival returns a live session of the last reading that the node may not be together
// with, and that was opened before its own: it is this node that has to go. Of two that
// were opened at the same time both see the same one as the older, whatever their
// clocks say. A session of a build that does not say when it was opened is nobody's rival:
// it would not go, either, and was not there when this node came.
func (m *Machine) Rival() (rival store.Session, found bool) {
	if m.lost || m.leave {
		return store.Session{}, false
	}
	for _, o := range m.others {
		s := o.session
		if s.Dead || s.Opened.IsZero() || Together(s.Kinds, m.self.Kinds) || !older(&s, &m.self) {
			continue
		}
		if !found || older(&s, &rival) {
			rival, found = s, true
		}
	}
	return rival, found
}

// older reports which of two sessions was opened first: it is never both.
func older(a, b *store.Session) bool {
	if !a.Opened.Equal(b.Opened) {
		return a.Opened.Before(b.Opened)
	}
	return a.Incarnation < b.Incarnation
}
