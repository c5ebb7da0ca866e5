package runtime

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

// A session is declared dead when its node was paused, cut off, or slower than its lease,
// too. Nothing has killed that process: it opens its next session as soon as it can, and
// the incarnation of that one says that the process is the same. So a death under the name
// of a command does not count if the process of that session is seen again:
//
//	session P-1   names X, is paused                    declared dead
//	session Q-1   names X, is cut off from the store    declared dead: two deaths of X
//	session R-1   waits until the nodes of P and Q are seen. P-2 has been opened: P lived.
//	              X is named once more, with the death of Q alone, and executed.
//
// A process that has ended is known by another one under the name of its node. A node that
// does not come back within alibiWithin is taken for dead.
const (
	alibiWithin = 10 * time.Second
	alibiLook   = 250 * time.Millisecond // between two looks at the sessions
)

// blamed is a session that died under the name of a command, as it seemed.
type blamed struct {
	Node    string `json:"node"`
	Session string `json:"session"`
}

// incarnationOf returns the incarnation of a process's nth session.
func incarnationOf(process string, n int) string { return process + "-" + strconv.Itoa(n) }

// sameProcess reports whether two incarnations are of one process. Of builds that did not
// say it, none is.
func sameProcess(a, b string) bool {
	process, _, known := strings.Cut(a, "-")
	other, _, _ := strings.Cut(b, "-")
	return known && process == other
}

// verdict is what the sessions of a store say of one that was declared dead.
type verdict uint8

const (
	unseen verdict = iota // its node has not come back yet
	hasDied
	hasLived
)

func (b blamed) judge(sessions []store.Session) verdict {
	i := slices.IndexFunc(sessions, func(s store.Session) bool { return s.Name == b.Node })
	switch {
	case i < 0 || sessions[i].Incarnation == b.Session:
		return unseen
	case sameProcess(sessions[i].Incarnation, b.Session):
		return hasLived
	default:
		return hasDied
	}
}

// acquit takes off the deaths under a command's name that were none. For one that is
// condemned it waits until the nodes are seen again. It returns false when the partition
// is left first.
func (p *partition) acquit(s *suspect) bool {
	until := p.cfg.Clock.Elapsed() + alibiWithin
	for {
		var sessions []store.Session
		err := p.retryBounded(func(ctx context.Context) (err error) {
			sessions, err = p.store.Sessions(ctx)
			return err
		})
		if err != nil {
			return false
		}
		waits := s.acquit(sessions)
		if !waits || !s.condemned() || p.cfg.Clock.Elapsed() >= until {
			return true
		}
		select {
		case <-time.After(alibiLook):
		case <-p.ctx.Done():
			return false
		}
	}
}

// acquit takes off the deaths of processes that have lived. It returns true if some have
// not been seen yet.
func (s *suspect) acquit(sessions []store.Session) (waits bool) {
	s.Blamed = slices.DeleteFunc(s.Blamed, func(b blamed) bool {
		switch b.judge(sessions) {
		case hasLived:
			s.Deaths--
			return true
		case unseen:
			waits = true
		case hasDied:
		}
		return false
	})
	return waits
}
