package stage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
	"github.com/ganglion-go/ganglion/store"
)

// Bounds of what follows a fault.
const (
	recoverMax  = 60 * time.Second // for somebody else to have taken over
	answerMax   = 15 * time.Second // for the first answer after that
	settleFor   = time.Second      // of load before the check
	backMax     = 90 * time.Second // for what was broken to be back, after the check
	lookEvery   = 150 * time.Millisecond
	resolveMost = 100 // commands of unknown outcome that a check sends again
	resolveMax  = 15 * time.Second
)

// fault is something that was broken, on purpose.
type fault struct {
	action, target string
	what           string // "node-2 was killed"
	after          string // that, and what came before it without a check
	say            string // to who has asked for it
	at             time.Time
	owners         []string // of partitions before
	incarnation    string   // of a node's session
	leader         string   // meta leader, or primary, before
	cancel         context.CancelFunc
}

// newFault notes what there is before something is broken.
func (e *Engine) newFault(ctx context.Context, action, target string) (*fault, error) {
	f := &fault{action: action, target: target, at: time.Now()}
	owners, sessions, err := e.readOwners(ctx)
	if err != nil {
		return nil, fmt.Errorf("nothing was done: %w", err)
	}
	f.owners = owners
	for _, s := range sessions {
		if s.Name == target {
			f.incarnation = s.Incarnation
		}
	}
	bound := int(FaultMax.Seconds())
	switch action {
	case page.ActKill:
		f.what, f.say = target+" was killed", "%s is killed, as by kill -9. It starts again some seconds later."
	case page.ActPause:
		f.what, f.say = target+" was paused", fmt.Sprintf("%%s is paused. It goes on after %d s, or when you bring it back.", bound)
	case page.ActCut:
		f.what, f.say = target+" was cut off", fmt.Sprintf("%%s is cut off from NATS and the store for %d s, or until you bring it back.", bound)
	case page.ActDrain:
		f.what, f.say = target+" was drained", "%s hands over and ends. It starts again some seconds later."
	case page.ActStepDown:
		f.leader = e.primary(ctx)
		f.target = f.leader
		f.what, f.say = "the primary "+f.leader+" stepped down", "%s steps down."
	}
	f.say = fmt.Sprintf(f.say, f.target)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fault == nil { // else users notice one as they notice the other
		e.evidence.beginWaits(f.at, owners)
	}
	return f, nil
}

func (e *Engine) primary(ctx context.Context) string {
	for _, m := range e.mongoFigures(ctx) {
		if m.Role == "primary" {
			return m.Name
		}
	}
	return ""
}

// watchFault follows what a fault leads to, and checks. The check of a fault before that has
// not been made is this one's.
func (e *Engine) watchFault(f *fault) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.life == nil {
		return false
	}
	after := f.what
	if before := e.fault; before != nil {
		before.cancel()
		after = before.after + ", and " + after
	}
	f.after = after
	ctx, cancel := context.WithCancel(e.life)
	f.cancel = cancel
	e.fault = f
	e.work.Go(func() {
		defer cancel()
		e.recover(ctx, f)
		if ctx.Err() != nil {
			return // another fault's check
		}
		if e.evidence.live() > 0 {
			e.verify(ctx, after, false)
		} else {
			e.journal.note(kindPlain, "there is nothing to check: no user has traded yet")
		}
		e.mu.Lock()
		if e.fault == f {
			e.fault = nil
		}
		e.mu.Unlock()
		e.watchReturn(ctx, f)
	})
	return true
}

// recover waits until others have taken over, and users are answered again.
func (e *Engine) recover(ctx context.Context, f *fault) {
	switch {
	case f.action == page.ActStepDown:
		e.awaitPrimary(ctx, f)
	case f.incarnation == "": // a NATS server
		e.awaitNATS(ctx, f)
	default:
		e.awaitOwners(ctx, f)
	}
	if !e.trading.running() {
		return
	}
	taken := time.Now()
	if e.await(ctx, answerMax, func() bool { return e.evidence.answeredSince(f.target, taken) }) && f.incarnation != "" {
		e.journal.note(kindPlain, "what %s served is answered again, %s after the fault", f.target, round(time.Since(f.at)))
	}
	e.await(ctx, settleFor, func() bool { return false })
}

// await looks again and again until it is so, at most for some time.
func (e *Engine) await(ctx context.Context, most time.Duration, so func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// round is a time for people.
func round(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// awaitOwners waits until all partitions of a node have a live owner again that is another
// session.
func (e *Engine) awaitOwners(ctx context.Context, f *fault) {
	mine := 0
	for _, owner := range f.owners {
		if owner == f.target {
			mine++
		}
	}
	declared := f.action == page.ActDrain // a drained node is not declared dead
	takers := []string{}
	if !e.await(ctx, recoverMax, func() bool {
		owners, sessions, err := e.readOwners(ctx)
		if err != nil {
			return false
		}
		if !declared && ended(sessions, f.incarnation) {
			declared = true
			e.journal.note(kindPlain, "%s is declared dead by the others, %s after the fault", f.target, round(time.Since(f.at)))
		}
		takers = takersOf(f, owners, slices.ContainsFunc(sessions, func(s store.Session) bool {
			return s.Name == f.target && s.Incarnation != f.incarnation && !s.Dead
		}))
		return takers != nil && (declared || mine == 0)
	}) {
		if ctx.Err() == nil {
			e.journal.note(kindWrong, "not all partitions of %s have been taken within %s", f.target, round(recoverMax))
		}
		return
	}
	if mine > 0 {
		e.journal.note(kindPlain, "%d partitions of %s are taken by %s, %s after the fault", mine, f.target, strings.Join(takers, ", "), round(time.Since(f.at)))
	}
}

// ended reports whether a session is over.
func ended(sessions []store.Session, incarnation string) bool {
	return !slices.ContainsFunc(sessions, func(s store.Session) bool { return s.Incarnation == incarnation && !s.Dead })
}

// takersOf returns who has taken the partitions of a fault's node; nil: not all are taken.
// The node itself may have, once it has begun anew.
func takersOf(f *fault, owners []string, anew bool) []string {
	takers := []string{}
	for p, before := range f.owners {
		if before != f.target {
			continue
		}
		if p >= len(owners) || owners[p] == "" || owners[p] == f.target && !anew {
			return nil
		}
		if !slices.Contains(takers, owners[p]) {
			takers = append(takers, owners[p])
		}
	}
	return takers
}

// awaitPrimary waits for another primary.
func (e *Engine) awaitPrimary(ctx context.Context, f *fault) {
	now := ""
	if e.await(ctx, recoverMax, func() bool { now = e.primary(ctx); return now != "" && now != f.leader }) {
		e.journal.note(kindPlain, "%s is primary, %s after the fault", now, round(time.Since(f.at)))
	} else if ctx.Err() == nil {
		e.journal.note(kindWrong, "no other primary was elected within %s", round(recoverMax))
	}
}

// awaitNATS waits until the servers that are left have a leader for everything.
func (e *Engine) awaitNATS(ctx context.Context, f *fault) {
	leader := ""
	if e.await(ctx, recoverMax, func() bool {
		leader = ""
		for _, s := range e.natsFigures(ctx) {
			if s.Role != "" && s.Name != f.target {
				leader = s.Name
			}
		}
		return leader != ""
	}) {
		e.journal.note(kindPlain, "%s leads the NATS servers, %s after the fault", leader, round(time.Since(f.at)))
	} else if ctx.Err() == nil {
		e.journal.note(kindWrong, "the NATS servers have no leader within %s", round(recoverMax))
	}
}

// watchReturn notes when what was broken is back.
func (e *Engine) watchReturn(ctx context.Context, f *fault) {
	if f.action == page.ActStepDown {
		return
	}
	back := e.await(ctx, backMax, func() bool {
		if state, _ := e.stateOf(ctx, f.target); state != page.Up {
			return false
		}
		if f.incarnation == "" {
			return true
		}
		owners, _, err := e.readOwners(ctx)
		return err == nil && slices.Contains(owners, f.target)
	})
	switch {
	case back:
		e.journal.note(kindPlain, "%s serves again, %s after the fault", f.target, round(time.Since(f.at)))
	case ctx.Err() == nil:
		e.journal.note(kindWrong, "%s is not back within %s", f.target, round(backMax))
	}
}
