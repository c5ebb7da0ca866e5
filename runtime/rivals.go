package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/internal/placement"
	"github.com/ganglion-go/ganglion/store"
)

// ErrKindsDiffer reports that a live node of the namespace serves other kinds, and that
// neither has all of the other's. The error is a [*KindsError].
var ErrKindsDiffer = errors.New("another node of the namespace serves other kinds")

// KindsError names two nodes that cannot be in one namespace, and what they serve. It
// wraps [ErrKindsDiffer].
type KindsError struct {
	Node, Other            string
	NodeKinds, OthersKinds []string
}

// Error names both lists.
func (e *KindsError) Error() string {
	return fmt.Sprintf("node %q serves the kinds %s, node %q of the same namespace serves %s: one list must contain the other "+
		"(two services take two namespaces, and renaming a kind takes two releases)",
		e.Node, list(e.NodeKinds), e.Other, list(e.OthersKinds))
}

// Unwrap returns [ErrKindsDiffer].
func (e *KindsError) Unwrap() error { return ErrKindsDiffer }

func list(kinds []string) string { return "[" + strings.Join(kinds, " ") + "]" }

func (in *incarnation) kindsError(rival *store.Session) error {
	return &KindsError{Node: in.cfg.Name, Other: rival.Name, NodeKinds: slices.Clone(in.session.Kinds), OthersKinds: rival.Kinds}
}

// sighting is a session that the node may not be together with, as it was first seen.
type sighting struct {
	session store.Session
	since   time.Duration
}

// awaitRivals returns when no live node serves kinds with which this one may not be
// together, and an error if one is seen to renew. What a node has left that is no more is
// declared dead, as nobody else may be there to do it.
func (in *incarnation) awaitRivals() error {
	seen := map[string]sighting{}
	for in.ctx.Err() == nil {
		rivals, err := in.rivals()
		if err != nil {
			clear(seen) // a store that does not answer makes nobody dead
			in.cfg.Logger.Warn("sessions not read", "error", err)
		}
		if err == nil && len(rivals) == 0 {
			return nil
		}
		for _, s := range rivals {
			was, known := seen[s.Name]
			switch {
			case !known:
				seen[s.Name] = sighting{session: s, since: in.cfg.Clock.Elapsed()}
				in.cfg.Logger.Warn("a session of other kinds is there, waiting to see whether it lives", "error", in.kindsError(&s))
			case !sameBeat(was.session, s):
				return in.kindsError(&s)
			case in.cfg.Clock.Elapsed()-was.since >= in.placer.cfg.DeadAfter(&s):
				_ = in.store.DeclareDead(in.ctx, s) // if it fails, it is seen again
				delete(seen, s.Name)
			}
		}
		if err := in.pause(in.renewEvery() / 2); err != nil {
			return err
		}
	}
	return nil
}

// rivals returns the live sessions that the node may not be together with.
func (in *incarnation) rivals() ([]store.Session, error) {
	sessions, err := in.sessions()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(sessions, func(s store.Session) bool {
		return s.Dead || s.Name == in.cfg.Name || placement.Together(s.Kinds, in.session.Kinds)
	}), nil
}

// yield ends the incarnation if a reading shows an older session that it may not be
// together with: both were opened before either could see the other.
func (in *incarnation) yield() {
	in.placer.mu.Lock()
	rival, found := in.placer.machine.Rival()
	in.placer.mu.Unlock()
	if found {
		in.cancel(in.kindsError(&rival))
	}
}
