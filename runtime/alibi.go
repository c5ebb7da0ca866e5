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
// does not come back within alibiWithin is taken for dead. The time counts from when the
// partition was taken: its callers repeat a command that waits, and each copy would wait.
//
// Likewise for the deaths that the claim counts: once the process of the session from which
// a partition was taken is seen again, that death is taken off, and a watch that was kept
// because of it ends.
const (
	alibiWithin = 10 * time.Second
	alibiLook   = 250 * time.Millisecond // between two looks at the sessions
)

// Death is the end of a session that did not release what it held, as it seemed.
type Death struct {
	Node    string `json:"node"`
	Session string `json:"session"` // its incarnation
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

func (d Death) judge(sessions []store.Session) verdict {
	i := slices.IndexFunc(sessions, func(s store.Session) bool { return s.Name == d.Node })
	switch {
	case i < 0 || sessions[i].Incarnation == d.Session:
		return unseen
	case sameProcess(sessions[i].Incarnation, d.Session):
		return hasLived
	default:
		return hasDied
	}
}

// alibis returns those of the deaths whose process lives. While as many as condemns are left
// and the nodes of some were not seen yet, it looks again, until the clock's time.
func alibis(
	ctx context.Context, clock Clock, until time.Duration, deaths []Death, condemns int, read func() ([]store.Session, error),
) (lived []Death, err error) {
	for {
		sessions, err := read()
		if err != nil {
			return nil, err
		}
		lived = nil
		waits := false
		for _, d := range deaths {
			switch d.judge(sessions) {
			case hasLived:
				lived = append(lived, d)
			case unseen:
				waits = true
			case hasDied:
			}
		}
		if !waits || len(deaths)-len(lived) < condemns || clock.Elapsed() >= until {
			return lived, nil
		}
		select {
		case <-time.After(alibiLook):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// acquit takes off the deaths under a command's name that were none. It returns false when
// the partition is left first.
func (p *partition) acquit(s *suspect) bool {
	unknown := s.Deaths - len(s.Blamed) // counted by a build that did not say whose
	lived, err := alibis(p.ctx, p.cfg.Clock, p.taken+alibiWithin, s.Blamed, deathsSuspect-unknown, func() (sessions []store.Session, err error) {
		err = p.retryBounded(func(ctx context.Context) (err error) {
			sessions, err = p.store.Sessions(ctx)
			return err
		})
		return sessions, err
	})
	s.Deaths -= len(lived)
	s.Blamed = slices.DeleteFunc(s.Blamed, func(d Death) bool { return slices.Contains(lived, d) })
	return err == nil
}

// checkFormerOwner takes note of sessions that were read: of whether the process lives from whose
// session the partition was taken.
func (p *partition) checkFormerOwner(sessions []store.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.orphan || p.former == (Death{}) || p.former.judge(sessions) != hasLived {
		return
	}
	p.orphan = false
	p.claimDeaths = max(p.claimDeaths-1, 0)
	if w := p.watch; w != nil {
		w.acquitted = true
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}
